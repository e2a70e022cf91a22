package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/**
 * Requests, and where the journal stands.
 *
 * @param requests at most 50, newest first
 * @param cursor for {@link Wait#since()}: what is asked from now on
 * @param notEmulated what applications asked for that is not emulated
 */
public record RequestList(
    List<RecordedRequest> requests,
    String cursor,
    @JsonProperty("not_emulated") List<NotEmulated> notEmulated) {

  /**
   * How often an application asked for something that is not emulated.
   *
   * @param clientId the application; {@code null} where its requests did not say
   * @param name the method of Scalekit's API, or HTTP method and path
   * @param times how often
   */
  public record NotEmulated(@JsonProperty("client_id") String clientId, String name, long times) {}
}
