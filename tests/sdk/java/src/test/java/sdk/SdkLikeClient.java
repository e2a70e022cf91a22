package sdk;

import com.fasterxml.jackson.databind.JsonNode;
import io.grpc.CallCredentials;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.AbstractStub;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpResponse;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jose4j.jwk.HttpsJwks;
import org.jose4j.jwt.consumer.InvalidJwtException;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.keys.resolvers.HttpsJwksVerificationKeyResolver;
import scalekit.v1.auth.passwordless.PasswordlessServiceGrpc;

/**
 * Calls as Scalekit's Java SDK does: credentials in the body, a channel that is always TLS, the token in the call's
 * credentials and fetched again once when it is refused, ten seconds for a call, keys fetched for every validation.
 */
final class SdkLikeClient implements AutoCloseable {
  static final String CALLBACK = "http://localhost:3000/auth/callback";

  private final Vestibule server;
  private final HttpClient http = HttpClient.newHttpClient();
  private final ManagedChannel channel;
  private volatile String token;

  SdkLikeClient(Vestibule server) {
    this.server = server;
    URI url = URI.create(server.url);
    // Up to 2.1 the port is always 443; later the URL's own, or 443.
    int port = url.getPort() == -1 ? 443 : url.getPort();
    channel = ManagedChannelBuilder.forAddress(url.getHost(), port).useTransportSecurity().build();
  }

  @Override
  public void close() throws Exception {
    channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
  }

  /** The JSON answer of the token endpoint, which has to be exactly 200. */
  JsonNode token(Map<String, String> grant) throws Exception {
    Map<String, String> fields = new HashMap<>(grant);
    fields.putIfAbsent("client_id", server.clientId);
    fields.putIfAbsent("client_secret", server.clientSecret);
    HttpResponse<String> answer = http.send(Vestibule.form(server.url + "/oauth/token", fields), HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) {
      throw new IllegalStateException("Failed to authenticate: " + answer.body());
    }
    return Vestibule.JSON.readTree(answer.body());
  }

  String clientToken() throws Exception {
    return token(Map.of("grant_type", "client_credentials")).get("access_token").asText();
  }

  String authorizationUrl(String address, String scopes, Map<String, String> more) {
    Map<String, String> parameters = new HashMap<>(more);
    parameters.putAll(Map.of("response_type", "code", "client_id", server.clientId, "redirect_uri", CALLBACK,
        "scope", scopes, "state", "xyz", "login_hint", address));
    StringBuilder url = new StringBuilder(server.url + "/oauth/authorize?");
    parameters.forEach((name, value) -> url.append(name).append('=').append(Vestibule.encode(value)).append('&'));
    return url.substring(0, url.length() - 1);
  }

  JsonNode authenticateWithCode(String code, Map<String, String> more) throws Exception {
    Map<String, String> grant = new HashMap<>(more);
    grant.putAll(Map.of("grant_type", "authorization_code", "code", code, "redirect_uri", CALLBACK));
    return token(grant);
  }

  /** Signature, expiry and not-before with half a minute of leeway; no audience. */
  boolean validates(String accessToken) {
    HttpsJwks keys = new HttpsJwks(server.url + "/keys");
    var consumer = new JwtConsumerBuilder().setRequireExpirationTime().setAllowedClockSkewInSeconds(30)
        .setSkipDefaultAudienceValidation().setVerificationKeyResolver(new HttpsJwksVerificationKeyResolver(keys)).build();
    try {
      consumer.processToClaims(accessToken);
      return true;
    } catch (InvalidJwtException refused) {
      return false;
    }
  }

  /** One call, and another one with a new token when the first is refused as unauthenticated. */
  <T> T call(Function<PasswordlessServiceGrpc.PasswordlessServiceBlockingStub, T> method) {
    return call(PasswordlessServiceGrpc::newBlockingStub, method);
  }

  /** The same for a method of any service. */
  <S extends AbstractStub<S>, T> T call(Function<Channel, S> service, Function<S, T> method) {
    return retried(() -> method.apply(service.apply(channel)
        .withDeadlineAfter(10, TimeUnit.SECONDS).withCallCredentials(credentials)));
  }

  <T> T retried(java.util.function.Supplier<T> call) {
    try {
      return call.get();
    } catch (StatusRuntimeException refused) {
      if (refused.getStatus().getCode() != Status.Code.UNAUTHENTICATED) {
        throw refused;
      }
      token = null;
      return call.get();
    }
  }

  ManagedChannel channel() {
    return channel;
  }

  /** A token that the server does not know, as after a change of keys. */
  void spoilToken() {
    token = "old.and.gone";
  }

  final CallCredentials credentials = new CallCredentials() {
    @Override
    public void applyRequestMetadata(RequestInfo info, Executor executor, MetadataApplier applier) {
      executor.execute(() -> {
        try {
          if (token == null) {
            token = clientToken();
          }
          Metadata headers = new Metadata();
          headers.put(Metadata.Key.of("Authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
          applier.apply(headers);
        } catch (Exception failed) {
          applier.fail(Status.UNAUTHENTICATED.withCause(failed));
        }
      });
    }
  };
}
