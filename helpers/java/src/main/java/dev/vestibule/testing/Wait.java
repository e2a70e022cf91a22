package dev.vestibule.testing;

import java.time.Duration;

/**
 * Which email, event or request to wait for, and how long.
 *
 * @param since only emails, events or requests that are newer than the one with this id; {@code null} for any
 * @param within how long to wait, at most 60 s
 */
public record Wait(String since, Duration within) {
  /** Any, within 10 s. */
  public static final Wait DEFAULT = new Wait(null, Duration.ofSeconds(10));

  /** Only emails that are newer than this one, within 10 s. */
  public static Wait since(Message message) {
    return new Wait(message.id(), DEFAULT.within());
  }

  /** Only what is newer than this id or cursor, within 10 s. */
  public static Wait since(String id) {
    return new Wait(id, DEFAULT.within());
  }

  /** Only requests that are newer than this one, within 10 s. */
  public static Wait since(RecordedRequest request) {
    return new Wait(request.id(), DEFAULT.within());
  }

  /** Only requests that are made after this list was read, within 10 s. */
  public static Wait since(RequestList list) {
    return new Wait(list.cursor(), DEFAULT.within());
  }

  /** Any, within this time. */
  public static Wait within(Duration within) {
    return new Wait(null, within);
  }

  /** The same, but within this time. */
  public Wait andWithin(Duration within) {
    return new Wait(since, within);
  }
}
