package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;

/**
 * Something that happened, as webhooks tell it.
 *
 * @param id the event's id, which is the {@code webhook-id} of its webhooks
 * @param type such as {@code organization.created}
 * @param object what it happened to
 * @param organizationId the organization; {@code null} where it is about none
 * @param occurredAt when it happened, by the environment's clock
 * @param data what its type says
 */
public record Event(
    String id,
    String type,
    String object,
    @JsonProperty("organization_id") String organizationId,
    @JsonProperty("occurred_at") Instant occurredAt,
    JsonNode data) {}
