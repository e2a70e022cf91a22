package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;

/**
 * A sign-in.
 *
 * @param id the sign-in's id
 * @param email the address; {@code null} before there is one
 * @param clientId the application; {@code null} where it was not known
 * @param userId the user; {@code null} before the sign-in succeeded
 * @param status {@code INITIATED}, {@code PENDING}, {@code SUCCESS} or {@code FAILED}
 * @param why the last thing that was decided, for users
 * @param startedAt the beginning, by the environment's clock
 * @param changedAt the last change, by the environment's clock
 */
public record Flow(
    String id,
    String email,
    @JsonProperty("client_id") String clientId,
    @JsonProperty("user_id") String userId,
    String status,
    String why,
    @JsonProperty("started_at") Instant startedAt,
    @JsonProperty("changed_at") Instant changedAt) {}
