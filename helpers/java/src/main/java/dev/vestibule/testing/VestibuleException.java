package dev.vestibule.testing;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A refusal by the control API, or a server that could not be started or reached. */
public final class VestibuleException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;
  private final String code;
  private final String title;
  private final String detail;
  private final transient List<FieldError> errors;
  private final transient List<String> timeline;

  VestibuleException(String message, Throwable cause) {
    super("vestibule: " + message, cause);
    this.status = 0;
    this.code = "";
    this.title = "";
    this.detail = message;
    this.errors = List.of();
    this.timeline = List.of();
  }

  VestibuleException(int status, String code, String title, String detail, List<FieldError> errors) {
    this(status, code, title, detail, errors, List.of());
  }

  VestibuleException(
      int status, String code, String title, String detail, List<FieldError> errors, List<String> timeline) {
    super(
        Stream.concat(Stream.of("vestibule: " + status + " " + title + ": " + detail), timeline.stream())
            .collect(Collectors.joining("\n  ")));
    this.status = status;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.errors = List.copyOf(errors);
    this.timeline = List.copyOf(timeline);
  }

  /** The HTTP status; 0 when there was no answer. */
  public int status() {
    return status;
  }

  /** The server's name for the mistake, such as {@code invalid_request}; empty when there was no answer. */
  public String code() {
    return code;
  }

  /** A short text for users, the same for all mistakes of a kind; empty when there was no answer. */
  public String title() {
    return title;
  }

  /** What went wrong this time. */
  public String detail() {
    return detail;
  }

  /** What happened in the sign-in that was waited for, a line for each step; often empty. */
  public List<String> timeline() {
    return timeline == null ? List.of() : timeline;
  }

  /** The fields at fault, if it was about fields. */
  public List<FieldError> errors() {
    // A copy that was serialized has none.
    return errors == null ? List.of() : errors;
  }
}
