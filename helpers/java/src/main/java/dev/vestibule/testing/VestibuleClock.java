package dev.vestibule.testing;

import java.time.Duration;
import java.time.Instant;
import java.util.Map;

/** An environment's time. Codes, sessions and tokens age by it. */
public final class VestibuleClock {
  private final ControlApi api;

  VestibuleClock(ControlApi api) {
    this.api = api;
  }

  /** Reads the clock. */
  public Instant now() {
    return Instant.parse(api.call("GET", "/clock", null).get("now").asText());
  }

  /**
   * Moves the clock on, or back when the duration is negative.
   *
   * @throws IllegalArgumentException when the duration is not whole seconds
   * @throws VestibuleException with status 400 for more than ten years
   */
  public void advance(Duration by) {
    // Rounding would leave a clock that stands just before the moment that a test means.
    if (by.getNano() != 0) {
      throw new IllegalArgumentException("the clock moves by whole seconds, not by " + by);
    }
    api.call("PUT", "/clock", Map.of("advance_s", by.getSeconds()));
  }

  /** Lets it be this time now. */
  public void set(Instant now) {
    api.call("PUT", "/clock", Map.of("now", now.toString()));
  }

  /** Lets the clock stand still. */
  public void freeze() {
    api.call("PUT", "/clock", Map.of("frozen", true));
  }

  /** Lets a frozen clock run on from where it stood. */
  public void resume() {
    api.call("PUT", "/clock", Map.of("frozen", false));
  }

  /** Goes back to real time. */
  public void reset() {
    api.call("DELETE", "/clock", null);
  }
}
