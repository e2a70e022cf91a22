package dev.vestibule.testing;

import java.util.List;

/** A refusal by the control API, or a server that could not be started or reached. */
public final class VestibuleException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;
  private final String code;
  private final String title;
  private final String detail;
  private final transient List<FieldError> errors;

  VestibuleException(String message, Throwable cause) {
    super("vestibule: " + message, cause);
    this.status = 0;
    this.code = "";
    this.title = "";
    this.detail = message;
    this.errors = List.of();
  }

  VestibuleException(int status, String code, String title, String detail, List<FieldError> errors) {
    super("vestibule: " + status + " " + title + ": " + detail);
    this.status = status;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.errors = List.copyOf(errors);
  }

  /** The HTTP status; 0 when there was no answer. */
  public int status() {
    return status;
  }

  /** The server's name for the mistake, such as {@code invalid_request}; empty when there was no answer. */
  public String code() {
    return code;
  }

  /** A short text for people, the same for all mistakes of a kind; empty when there was no answer. */
  public String title() {
    return title;
  }

  /** What went wrong this time. */
  public String detail() {
    return detail;
  }

  /** The fields at fault, if it was about fields. */
  public List<FieldError> errors() {
    // A copy that was serialized has none.
    return errors == null ? List.of() : errors;
  }
}
