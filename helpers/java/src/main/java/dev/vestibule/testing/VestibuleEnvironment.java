package dev.vestibule.testing;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.StreamSupport;

/**
 * An isolated part of a server: users, emails, settings and clock of its own. It may be used by several threads.
 *
 * <p>All methods that ask the server throw {@link VestibuleException} when it refuses or does not answer.
 */
public final class VestibuleEnvironment implements AutoCloseable {
  private final Vestibule server;
  private final String url;
  private final String name;
  private final String clientId;
  private final String clientSecret;
  private final ControlApi api;

  VestibuleEnvironment(Vestibule server, String url, String name, String clientId, String clientSecret) {
    this.server = server;
    this.url = url;
    this.name = name;
    this.clientId = clientId;
    this.clientSecret = clientSecret;
    this.api = server.api(url);
  }

  /** The environment URL to give to the application under test: Scalekit's environment URL. */
  public String url() {
    return url;
  }

  /** The name on the server; empty for the default environment. */
  public String name() {
    return name;
  }

  /** The application's client id. */
  public String clientId() {
    return clientId;
  }

  /** The application's client secret. */
  public String clientSecret() {
    return clientSecret;
  }

  /** The variables by which an application finds this environment, by the names of Scalekit's documentation. */
  public Map<String, String> env() {
    return Map.of(
        "SCALEKIT_ENVIRONMENT_URL", url,
        "SCALEKIT_ENV_URL", url,
        "SCALEKIT_CLIENT_ID", clientId,
        "SCALEKIT_CLIENT_SECRET", clientSecret);
  }

  /**
   * The newest email to an address, as soon as there is one, within 10 s.
   *
   * @throws VestibuleException with status 404 when none came in time
   */
  public Message waitForMessage(String address) {
    return waitForMessage(address, Wait.DEFAULT);
  }

  /**
   * The newest email to an address, as soon as there is one. Without {@link Wait#since}, an email of an earlier sign-in
   * counts; {@link #inbox} cannot give one.
   *
   * @throws VestibuleException with status 404 when none came in time
   */
  public Message waitForMessage(String address, Wait wait) {
    return newestMessage(address, wait, "");
  }

  /** The newest email that can be used: not of a sign-in that is over, unless {@link Wait#since} says which. */
  private Message usableMessage(String address, Wait wait) {
    return newestMessage(address, wait, wait.since() == null ? "&unused=true" : "");
  }

  private Message newestMessage(String address, Wait wait, String which) {
    String query = "?to=" + ControlApi.encode(address) + "&wait_ms=" + wait.within().toMillis() + which;
    if (wait.since() != null) {
      query += "&since=" + ControlApi.encode(wait.since());
    }
    return ControlApi.read(api.call("GET", "/messages/latest" + query, null, wait.within()), Message.class);
  }

  /**
   * The code of the newest email to an address, within 10 s, never of a sign-in that is over.
   *
   * @throws VestibuleException with status 404 when no email came in time
   * @throws IllegalStateException when the email has no code
   */
  public String waitForCode(String address) {
    return waitForCode(address, Wait.DEFAULT);
  }

  /**
   * The code of the newest email to an address; without {@link Wait#since}, never of a sign-in that is over.
   *
   * @throws VestibuleException with status 404 when no email came in time
   * @throws IllegalStateException when the email has no code
   */
  public String waitForCode(String address, Wait wait) {
    return carried("code", address, usableMessage(address, wait).code());
  }

  /**
   * The link of the newest email to an address, within 10 s, never of a sign-in that is over.
   *
   * @throws VestibuleException with status 404 when no email came in time
   * @throws IllegalStateException when the email has no link
   */
  public String waitForLink(String address) {
    return waitForLink(address, Wait.DEFAULT);
  }

  /**
   * The link of the newest email to an address; without {@link Wait#since}, never of a sign-in that is over.
   *
   * @throws VestibuleException with status 404 when no email came in time
   * @throws IllegalStateException when the email has no link
   */
  public String waitForLink(String address, Wait wait) {
    return carried("link", address, usableMessage(address, wait).link());
  }

  /** Opens the inbox of an address, to read what arrives from now on. */
  public Inbox inbox(String address) {
    JsonNode list = api.call("GET", "/messages?page_size=1&to=" + ControlApi.encode(address), null);
    return new Inbox(this, address, list.get("cursor").asText());
  }

  /** Where the events stand now: take it before a change, and since it only what that change causes counts. */
  public String eventCursor() {
    return api.call("GET", "/events?page_size=1", null).get("cursor").asText();
  }

  /**
   * The newest event of a type, as soon as there is one, within 10 s.
   *
   * @throws VestibuleException with status 404 when none happened in time
   */
  public Event waitForEvent(String type) {
    return waitForEvent(type, Wait.DEFAULT);
  }

  /**
   * The newest event of a type, as soon as there is one, whether or not there is a webhook. Without {@link Wait#since}, one
   * that happened already counts.
   *
   * @throws VestibuleException with status 404 when none happened in time
   */
  public Event waitForEvent(String type, Wait wait) {
    String query = "?page_size=1&type=" + ControlApi.encode(type) + "&wait_ms=" + wait.within().toMillis();
    if (wait.since() != null) {
      query += "&since=" + ControlApi.encode(wait.since());
    }
    JsonNode events = api.call("GET", "/events" + query, null, wait.within()).get("events");
    if (events.isEmpty()) {
      throw new VestibuleException(404, "not_found", "No event", "no " + type + " happened in time", List.of());
    }
    return ControlApi.read(events.get(0), Event.class);
  }

  /** The newest requests to a path, in which {@code *} stands for any characters, without their secrets. */
  public RequestList requests(String path) {
    return api.call("GET", "/requests?path=" + ControlApi.encode(path), null, RequestList.class);
  }

  /**
   * The newest request to a path, in which {@code *} stands for any characters, as soon as there is one, within 10 s. One
   * that was made already counts.
   *
   * @throws VestibuleException with status 404, and with the last requests, when none came in time
   */
  public RecordedRequest expectRequest(String path) {
    return expectRequest(path, Wait.DEFAULT);
  }

  /**
   * The newest request to a path, in which {@code *} stands for any characters, as soon as there is one. One that was made
   * already counts, unless {@link Wait#since} says otherwise.
   *
   * @throws VestibuleException with status 404, and with the last requests, when none came in time
   */
  public RecordedRequest expectRequest(String path, Wait wait) {
    String query = "?page_size=1&path=" + ControlApi.encode(path) + "&wait_ms=" + wait.within().toMillis();
    if (wait.since() != null) {
      query += "&since=" + ControlApi.encode(wait.since());
    }
    JsonNode found = api.call("GET", "/requests" + query, null, wait.within());
    List<RecordedRequest> requests = ControlApi.read(found, RequestList.class).requests();
    if (!requests.isEmpty()) {
      return requests.get(0);
    }
    List<String> last =
        requests("*").requests().stream()
            .limit(5)
            .map(request -> request.method() + " " + request.path() + " " + request.status())
            .toList();
    String seen = last.isEmpty() ? "none" : String.join(", ", last);
    String detail = "no request to " + path + " came in time; the last ones: " + seen;
    throw new VestibuleException(404, "not_found", "No request", detail, List.of());
  }

  /**
   * Signs an address in without an email, for an authorization URL as the application makes it.
   *
   * @throws VestibuleException with status 400 for a URL that does not work, 403 for an application without
   *     {@link EnvironmentOptions#instantSignIn}
   */
  public SignIn signIn(String email, String authorizationUrl) {
    return api.call("POST", "/sign-in", Map.of("email", email, "authorization_url", authorizationUrl), SignIn.class);
  }

  /** The environment's clock. */
  public VestibuleClock clock() {
    return new VestibuleClock(api);
  }

  /**
   * Goes back to the seed: users as seeded, nobody signed in, no email; settings, clock and faults as at the start
   * unless kept.
   */
  public void reset(Keep... keep) {
    List<String> kept = Arrays.stream(keep).map(it -> it.name().toLowerCase(Locale.ROOT)).toList();
    api.call("POST", "/reset", Map.of("keep", kept));
  }

  /**
   * Adds users and organizations. A reset goes back to them too.
   *
   * @throws VestibuleException with status 400 for a record that does not work, 409 for one that is there already; then
   *     nothing was added
   */
  public void seed(Seed seed) {
    api.call("POST", "/seed", seed);
  }

  /**
   * Lets requests go wrong from now on, by a rule in the words of the control API: {@code Map.of("match",
   * Map.of("path", "/oauth/token"), "count", 1, "effect", Map.of("kind", "status", "status", 503))}.
   *
   * @throws VestibuleException with status 400 for a rule that does not work
   */
  public Fault addFault(Map<String, ?> rule) {
    return api.call("POST", "/faults", rule, Fault.class);
  }

  /** The fault rules with their counts. */
  public List<Fault> faults() {
    return list(api.call("GET", "/faults", null).get("faults"), Fault.class);
  }

  /** Deletes all fault rules. */
  public void clearFaults() {
    api.call("DELETE", "/faults", null);
  }

  /**
   * The newest sign-ins of an address or a part of one, newest first: one page of them. The server writes them down a
   * moment after it answers.
   */
  public List<Flow> flows(String email) {
    return list(api.call("GET", "/flows?email=" + ControlApi.encode(email), null).get("flows"), Flow.class);
  }

  /**
   * Changes the settings that are named, in the words of the configuration file: {@code Map.of("passwordless",
   * Map.of("validity_s", 60))}. A {@code null} value goes back to the configured one; {@code HashMap} takes one.
   *
   * @throws VestibuleException with status 400 for a setting that does not work; then nothing was changed
   */
  public void changeSettings(Map<String, ?> settings) {
    api.call("PATCH", "/settings", settings);
  }

  /**
   * Deletes the environment with everything in it.
   *
   * @throws VestibuleException with status 404 when it is gone already
   * @throws IllegalStateException for the default environment, which stays
   */
  public void delete() {
    if (name.isEmpty()) {
      throw new IllegalStateException("the default environment cannot be deleted");
    }
    server.api(server.url()).call("DELETE", "/environments/" + ControlApi.encode(name), null);
  }

  /** Deletes the environment unless it is gone already, or the default one. */
  @Override
  public void close() {
    if (name.isEmpty()) {
      return;
    }
    try {
      delete();
    } catch (VestibuleException e) {
      if (e.status() != 404) {
        throw e;
      }
    }
  }

  static String carried(String what, String address, String value) {
    if (value == null) {
      throw new IllegalStateException("the email to " + address + " has no " + what + "; it depends on passwordless.type");
    }
    return value;
  }

  private static <T> List<T> list(JsonNode nodes, Class<T> type) {
    return StreamSupport.stream(nodes.spliterator(), false)
        .map(node -> ControlApi.read(node, type))
        .toList();
  }
}
