package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.util.Map;

/**
 * A request that an application or a browser made to the environment. Nothing secret is in it.
 *
 * @param id the request's id, for {@link Wait#since(RecordedRequest)}
 * @param requestId its {@code x-request-id}
 * @param at when it was answered, by the environment's clock
 * @param kind {@code oauth}, {@code rest}, {@code grpc}, {@code page} or {@code other}
 * @param method the HTTP method
 * @param path the path below the environment's URL, or {@code /service/method} of a gRPC call
 * @param route the template of the path, such as <code>/api/v1/users/{id}</code>; {@code null} where there is none
 * @param clientId the client that the request is of; {@code null} where it does not say
 * @param parameters those of query and form; values that could be secret are {@code [redacted]}
 * @param status the HTTP status; {@code null} where the connection ended without a response
 * @param grpcStatus the name of the gRPC status, of a gRPC call
 * @param durationMs how many milliseconds it took
 * @param error the code of the error that the caller was told, such as {@code invalid_grant}
 * @param fault the id of the fault rule that was applied
 * @param notEmulated what it asked for that is not emulated
 */
public record RecordedRequest(
    String id,
    @JsonProperty("request_id") String requestId,
    Instant at,
    String kind,
    String method,
    String path,
    String route,
    @JsonProperty("client_id") String clientId,
    Map<String, String> parameters,
    Integer status,
    @JsonProperty("grpc_status") String grpcStatus,
    @JsonProperty("duration_ms") double durationMs,
    String error,
    String fault,
    @JsonProperty("not_emulated") String notEmulated) {}
