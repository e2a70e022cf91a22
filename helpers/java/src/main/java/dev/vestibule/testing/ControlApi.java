package dev.vestibule.testing;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import com.fasterxml.jackson.databind.module.SimpleModule;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** The control API of one environment. */
final class ControlApi {
  static final ObjectMapper JSON =
      new ObjectMapper()
          // A newer server may say more.
          .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .registerModule(new SimpleModule().addDeserializer(Instant.class, new Rfc3339()));

  // HTTP/1.1: without TLS, the client would otherwise ask each connection for an upgrade first.
  private static final HttpClient CLIENT =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10)).build();

  private final String base;
  private final String token;

  ControlApi(String base, String token) {
    this.base = base;
    this.token = token;
  }

  /** Sends the input as JSON unless it is {@code null}. Gives {@code null} for an answer without content. */
  JsonNode call(String method, String path, Object input) {
    return call(method, path, input, Duration.ZERO);
  }

  /** The same, for a call that the server may take that much longer for. */
  JsonNode call(String method, String path, Object input, Duration wait) {
    HttpResponse<String> response;
    try {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(URI.create(base + "/_emulator/v1" + path)).timeout(wait.plusSeconds(60));
      if (input == null) {
        request.method(method, HttpRequest.BodyPublishers.noBody());
      } else {
        request.header("Content-Type", "application/json");
        request.method(method, HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(input)));
      }
      if (token != null && !token.isEmpty()) {
        request.header("Authorization", "Bearer " + token);
      }
      response = CLIENT.send(request.build(), BodyHandlers.ofString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new VestibuleException(method + " " + path + ": interrupted", e);
    } catch (IOException e) {
      throw new VestibuleException(method + " " + path + " at " + base + ": " + e, e);
    }
    if (response.statusCode() < 200 || response.statusCode() > 299) {
      throw refusal(response.statusCode(), response.body());
    }
    if (response.body().isEmpty()) {
      return null;
    }
    try {
      return JSON.readTree(response.body());
    } catch (JsonProcessingException e) {
      throw new VestibuleException(method + " " + path + ": the answer is not JSON", e);
    }
  }

  <T> T call(String method, String path, Object input, Class<T> type) {
    return read(call(method, path, input), type);
  }

  static <T> T read(JsonNode node, Class<T> type) {
    try {
      return JSON.treeToValue(node, type);
    } catch (JsonProcessingException e) {
      throw new VestibuleException("the answer is no " + type.getSimpleName(), e);
    }
  }

  static String encode(String value) {
    return URLEncoder.encode(value, StandardCharsets.UTF_8);
  }

  /** What lies in front of the control API answers in other forms: a deleted environment as OAuth does. */
  private static VestibuleException refusal(int status, String body) {
    JsonNode problem;
    try {
      problem = JSON.readTree(body);
    } catch (JsonProcessingException e) {
      return new VestibuleException(status, "", "no problem document", body, List.of());
    }
    List<FieldError> errors = new ArrayList<>();
    for (JsonNode error : problem.path("errors")) {
      errors.add(new FieldError(error.path("field").asText(), error.path("reason").asText()));
    }
    String code = problem.path("error").asText();
    String title = problem.path("title").asText(code);
    String detail = problem.path("detail").asText(problem.path("error_description").asText());
    List<String> timeline = new ArrayList<>();
    problem.path("timeline").forEach(line -> timeline.add(line.asText()));
    return new VestibuleException(status, code, title, detail, errors, timeline);
  }

  /** Jackson's own module for times would be one dependency more. */
  private static final class Rfc3339 extends StdDeserializer<Instant> {
    private static final long serialVersionUID = 1L;

    Rfc3339() {
      super(Instant.class);
    }

    @Override
    public Instant deserialize(JsonParser parser, DeserializationContext context) throws IOException {
      return Instant.parse(parser.getText());
    }
  }
}
