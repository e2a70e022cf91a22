package dev.vestibule.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** A browser in the middle of a sign-in, with what the application behind it knows. */
final class Browser {
  static final String CALLBACK = "http://localhost:3000/callback";
  private static final Pattern LINK_TOKEN = Pattern.compile("name=\"link_token\" value=\"([^\"]+)\"");

  /** What the application has in the end. */
  record Tokens(String email, String accessToken) {}

  private final VestibuleEnvironment env;
  // Nothing listens at the callback; the tests read where they would go.
  private final HttpClient client =
      HttpClient.newBuilder().cookieHandler(new CookieManager()).followRedirects(HttpClient.Redirect.NEVER).build();
  private String page;

  private Browser(VestibuleEnvironment env) {
    this.env = env;
  }

  /** What an application and its user do until the page that wants the code. */
  static Browser openSignIn(VestibuleEnvironment env, String email) {
    Browser browser = new Browser(env);
    browser.open(email);
    return browser;
  }

  static String authorizationUrl(VestibuleEnvironment env, String email) {
    Map<String, String> query = new LinkedHashMap<>();
    query.put("client_id", env.clientId());
    query.put("response_type", "code");
    query.put("redirect_uri", CALLBACK);
    query.put("scope", "openid email");
    query.put("state", "a-state");
    if (email != null) {
      query.put("login_hint", email);
    }
    return env.url() + "/oauth/authorize?" + form(query);
  }

  /** Begins one more sign-in in the same browser. */
  void open(String email) {
    HttpResponse<String> begun = get(authorizationUrl(env, email));
    assertEquals(303, begun.statusCode(), begun.body());
    page = location(begun);
    assertTrue(page.contains("/login/"), page);
    assertEquals(200, get(page).statusCode());
  }

  /** Sends the form with a code, and goes on to the page that says what is wrong with it. */
  HttpResponse<String> tryCode(String code) {
    HttpResponse<String> judged = post(client, page + "/code", Map.of("code", code));
    boolean isRefused = judged.headers().firstValue("location").filter(to -> to.startsWith(page)).isPresent();
    return isRefused ? get(location(judged)) : judged;
  }

  /** Goes on to the application, which takes its tokens. */
  Tokens enterCode(String code) {
    return finish(tryCode(code));
  }

  /** Opens the link of an email and sends the form that the page there sends by itself. */
  Tokens followLink(String link) {
    HttpResponse<String> shown = get(link);
    Matcher token = LINK_TOKEN.matcher(shown.body());
    assertTrue(token.find(), shown.body());
    return finish(post(client, env.url() + "/login/link", Map.of("link_token", token.group(1))));
  }

  /** Sends an authorization code to the token endpoint. */
  static HttpResponse<String> requestTokens(VestibuleEnvironment env, String code) {
    return post(
        HttpClient.newHttpClient(),
        env.url() + "/oauth/token",
        Map.of(
            "grant_type", "authorization_code",
            "code", code,
            "redirect_uri", CALLBACK,
            "client_id", env.clientId(),
            "client_secret", env.clientSecret()));
  }

  static Tokens takeTokens(VestibuleEnvironment env, String code) {
    HttpResponse<String> answer = requestTokens(env, code);
    assertEquals(200, answer.statusCode(), answer.body());
    try {
      JsonNode tokens = ControlApi.JSON.readTree(answer.body());
      byte[] payload = Base64.getUrlDecoder().decode(tokens.get("id_token").asText().split("\\.")[1]);
      String email = ControlApi.JSON.readTree(payload).path("email").asText();
      return new Tokens(email, tokens.get("access_token").asText());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  static String location(HttpResponse<?> response) {
    return response.headers().firstValue("location").orElse("");
  }

  /** The application's callback: a code for tokens. */
  private Tokens finish(HttpResponse<String> redirect) {
    String back = location(redirect);
    assertTrue(back.startsWith(CALLBACK), redirect.body());
    Matcher code = Pattern.compile("[?&]code=([^&]+)").matcher(back);
    assertTrue(code.find() && back.contains("state=a-state"), back);
    return takeTokens(env, code.group(1));
  }

  private HttpResponse<String> get(String url) {
    return send(client, HttpRequest.newBuilder(URI.create(url)).build());
  }

  private static HttpResponse<String> post(HttpClient client, String url, Map<String, String> fields) {
    return send(
        client,
        HttpRequest.newBuilder(URI.create(url))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(BodyPublishers.ofString(form(fields)))
            .build());
  }

  private static HttpResponse<String> send(HttpClient client, HttpRequest request) {
    try {
      return client.send(request, BodyHandlers.ofString());
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private static String form(Map<String, String> fields) {
    return fields.entrySet().stream()
        .map(field -> field.getKey() + "=" + ControlApi.encode(field.getValue()))
        .collect(Collectors.joining("&"));
  }
}
