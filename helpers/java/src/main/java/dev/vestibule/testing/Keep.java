package dev.vestibule.testing;

/** What a reset can leave as it is. */
public enum Keep {
  /** The settings. */
  SETTINGS,
  /** The clock. */
  CLOCK,
  /** The fault rules. */
  FAULTS
}
