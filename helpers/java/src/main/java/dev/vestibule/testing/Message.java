package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;

/**
 * An email.
 *
 * @param id the email's id, for {@link VestibuleEnvironment#waitForMessage(String, Wait)}
 * @param to the address
 * @param subject the subject
 * @param text the part without markup
 * @param html the part with markup
 * @param code the code; {@code null} where the email carries none
 * @param link the link; {@code null} where the email carries none
 * @param kind {@code signin} or {@code signup}
 * @param authRequestId names the sign-in; it is the id of a {@link Flow}
 * @param testUser whether the address signs in with the fixed code, so that no email left the server
 * @param createdAt when the email was sent
 */
public record Message(
    String id,
    String to,
    String subject,
    String text,
    String html,
    String code,
    String link,
    String kind,
    @JsonProperty("auth_request_id") String authRequestId,
    @JsonProperty("test_user") boolean testUser,
    @JsonProperty("created_at") Instant createdAt) {}
