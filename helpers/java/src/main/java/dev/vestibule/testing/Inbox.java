package dev.vestibule.testing;

/**
 * The emails to an address from a moment on. Open it before the sign-in, or before a resend: then no email of an earlier
 * one can be taken for its, however late it is sent. It is for one thread.
 */
public final class Inbox {
  private final VestibuleEnvironment environment;
  private final String address;
  private String cursor;

  Inbox(VestibuleEnvironment environment, String address, String cursor) {
    this.environment = environment;
    this.address = address;
    this.cursor = cursor;
  }

  /**
   * The newest email since the inbox was opened or last read, as soon as there is one, within 10 s.
   *
   * @throws VestibuleException with status 404 when none came in time
   */
  public Message nextMessage() {
    return nextMessage(Wait.DEFAULT);
  }

  /**
   * The newest email since the inbox was opened or last read, as soon as there is one. What {@link Wait#since} says does
   * not count.
   *
   * @throws VestibuleException with status 404 when none came in time
   */
  public Message nextMessage(Wait wait) {
    Message message = environment.waitForMessage(address, new Wait(cursor, wait.within()));
    cursor = message.id();
    return message;
  }

  /**
   * The code of the next email, within 10 s.
   *
   * @throws VestibuleException with status 404 when no email came in time
   * @throws IllegalStateException when the email has no code
   */
  public String nextCode() {
    return VestibuleEnvironment.carried("code", address, nextMessage().code());
  }

  /**
   * The link of the next email, within 10 s.
   *
   * @throws VestibuleException with status 404 when no email came in time
   * @throws IllegalStateException when the email has no link
   */
  public String nextLink() {
    return VestibuleEnvironment.carried("link", address, nextMessage().link());
  }
}
