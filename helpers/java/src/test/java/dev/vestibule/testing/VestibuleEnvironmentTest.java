package dev.vestibule.testing;

import static dev.vestibule.testing.Browser.authorizationUrl;
import static dev.vestibule.testing.Browser.openSignIn;
import static dev.vestibule.testing.Browser.requestTokens;
import static dev.vestibule.testing.Browser.takeTokens;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.function.Executable;

@ExtendWith(VestibuleExtension.class)
class VestibuleEnvironmentTest {
  private static final String ADA = "ada@example.com";
  private static final Wait AT_ONCE = Wait.within(Duration.ZERO);
  private static final Instant THEN = Instant.parse("2031-02-03T04:05:06Z");

  @Test
  void signsInByLink(VestibuleEnvironment env) {
    Browser browser = openSignIn(env, ADA);
    assertEquals(ADA, browser.followLink(env.waitForLink(ADA)).email());
  }

  @Test
  void givesNoCodeOfASignInThatIsOver(VestibuleEnvironment env) {
    openSignIn(env, ADA).enterCode(env.waitForCode(ADA));
    VestibuleException refused = assertThrows(VestibuleException.class, () -> env.waitForCode(ADA, AT_ONCE));
    assertEquals(404, refused.status());
    assertTrue(refused.getMessage().endsWith(refused.timeline().get(refused.timeline().size() - 1)));
    assertNotNull(env.waitForMessage(ADA, AT_ONCE).code());
    assertEquals(env.url(), env.env().get("SCALEKIT_ENVIRONMENT_URL"));
  }

  @Test
  void refusesAWrongCode(VestibuleEnvironment env) {
    Browser browser = openSignIn(env, ADA);
    String code = env.waitForCode(ADA);
    assertEquals(400, browser.tryCode(code.equals("000000") ? "000001" : "000000").statusCode());
    browser.enterCode(code);
  }

  @Test
  void isolatesEnvironments(VestibuleEnvironment one, Vestibule server) {
    try (VestibuleEnvironment other = server.newEnvironment(EnvironmentOptions.defaults())) {
      assertNotEquals(one.url(), other.url());
      assertNotEquals(one.clientId(), other.clientId());
      assertNotEquals(one.clientSecret(), other.clientSecret());
      Browser browser = openSignIn(one, ADA);
      String code = one.waitForCode(ADA);

      assertRefused(404, () -> other.waitForCode(ADA, AT_ONCE));
      // Here, an hour would end the code.
      other.clock().advance(Duration.ofHours(1));
      browser.enterCode(code);
      waitForFlow(one, "SUCCESS");
      assertEquals(List.of(), other.flows(ADA));
    }
  }

  @Test
  void waitsForMails(VestibuleEnvironment env) {
    // A plus must come through as it is.
    String address = "ada+news@example.com";
    Browser browser = openSignIn(env, address);
    Message first = env.waitForMessage(address);
    assertEquals(address, first.to());
    assertTrue(first.text().contains(first.code()) && first.html().contains(first.link()));
    assertNotNull(first.createdAt());
    assertNotNull(first.authRequestId());
    assertFalse(first.testUser());
    Wait newer = Wait.since(first);
    assertRefused(404, () -> env.waitForMessage(address, newer.andWithin(Duration.ofMillis(10))));

    // The wait begins before the email is there.
    CompletableFuture<Message> waiting =
        CompletableFuture.supplyAsync(() -> env.waitForMessage(address, newer.andWithin(Duration.ofSeconds(60))));
    browser.open(address);
    Message second = waiting.join();
    assertNotEquals(first.id(), second.id());
    browser.enterCode(second.code());
  }

  @Test
  void givesTheSignInThatFollows(VestibuleEnvironment env) {
    env.changeSettings(Map.of("limits", Map.of("mails_per_address", 0)));
    Inbox inbox = env.inbox(ADA);
    for (int round = 0; round < 4; round++) {
      // Nobody waits for the submit.
      CompletableFuture<Browser> submitted = CompletableFuture.supplyAsync(() -> openSignIn(env, ADA));
      String code = inbox.nextCode();
      assertEquals(ADA, submitted.join().enterCode(code).email());
    }
    assertRefused(404, () -> inbox.nextMessage(AT_ONCE));

    // Emails from before it was opened are none of its.
    Inbox later = env.inbox(ADA);
    CompletableFuture<Browser> opened = CompletableFuture.supplyAsync(() -> openSignIn(env, ADA));
    String link = later.nextLink();
    opened.join();
    assertEquals(env.waitForLink(ADA), link);
  }

  @Test
  void waitsForAnEvent(VestibuleEnvironment env) throws Exception {
    makeOrganization(env, "Before");
    String cursor = env.eventCursor();
    // The wait begins before it happens.
    CompletableFuture<Event> waiting =
        CompletableFuture.supplyAsync(() -> env.waitForEvent("organization.created", Wait.since(cursor)));
    makeOrganization(env, "After");
    Event event = waiting.join();
    assertEquals("After", event.data().get("display_name").asText());
    assertNotNull(event.occurredAt());
    assertNotNull(event.organizationId());
    Wait newer = Wait.since(event.id()).andWithin(Duration.ofMillis(10));
    assertRefused(404, () -> env.waitForEvent("organization.created", newer));
  }

  /** Makes one by Scalekit's API, as the control API serves it. */
  private static void makeOrganization(VestibuleEnvironment env, String name) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(env.url() + "/_emulator/v1/api/organizations"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"display_name\": \"" + name + "\"}"))
            .build();
    HttpResponse<Void> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding());
    assertEquals(201, response.statusCode());
  }

  @Test
  void expectsRequests(VestibuleEnvironment env) {
    Wait fromNowOn = Wait.since(env.requests("*"));
    // The wait begins before the request is made.
    CompletableFuture<RecordedRequest> expected =
        CompletableFuture.supplyAsync(() -> env.expectRequest("/oauth/authorize", fromNowOn));
    openSignIn(env, ADA);
    RecordedRequest request = expected.join();
    assertEquals(303, request.status());
    assertEquals(env.clientId(), request.clientId());
    assertEquals("code", request.parameters().get("response_type"));
    assertNotNull(request.at());

    VestibuleException late =
        assertThrows(VestibuleException.class, () -> env.expectRequest("/oauth/token", AT_ONCE));
    assertEquals(404, late.status());
    assertTrue(late.detail().contains("GET /oauth/authorize 303"), late.detail());
  }

  @Test
  void saysWhenAMailHasNoCode(VestibuleEnvironment env) {
    env.changeSettings(Map.of("passwordless", Map.of("type", "LINK")));
    openSignIn(env, ADA);
    assertNotNull(env.waitForLink(ADA));
    assertThrows(IllegalStateException.class, () -> env.waitForCode(ADA));
  }

  @Test
  void saysWhenAMailHasNoLink(VestibuleEnvironment env) {
    env.changeSettings(Map.of("passwordless", Map.of("type", "OTP")));
    openSignIn(env, ADA);
    assertNotNull(env.waitForCode(ADA));
    assertThrows(IllegalStateException.class, () -> env.waitForLink(ADA));
  }

  @Test
  void signsInAtOnce(VestibuleEnvironment env) {
    SignIn result = env.signIn(ADA, authorizationUrl(env, null));
    assertTrue(result.callbackUrl().getQuery().contains("code=" + result.code()));
    assertEquals("a-state", result.state());
    assertNull(result.error());
    assertNotNull(result.sessionCookie());
    assertEquals(ADA, takeTokens(env, result.code()).email());
    assertRefused(404, () -> env.waitForMessage(ADA, AT_ONCE));
  }

  @Test
  void endsCodesByTheClock(VestibuleEnvironment env) {
    Browser browser = openSignIn(env, ADA);
    String code = env.waitForCode(ADA);
    env.clock().advance(Duration.ofSeconds(301));
    HttpResponse<String> answer = browser.tryCode(code);
    assertTrue(answer.statusCode() >= 400, "status " + answer.statusCode());
  }

  @Test
  void movesTime(Vestibule server) {
    try (VestibuleEnvironment env = server.newEnvironment(EnvironmentOptions.defaults().frozenClock(THEN))) {
      VestibuleClock clock = env.clock();
      assertEquals(THEN, clock.now());
      clock.advance(Duration.ofMinutes(90));
      assertEquals(THEN.plusSeconds(5400), clock.now());
      clock.advance(Duration.ofHours(-2));
      assertEquals(THEN.minusSeconds(1800), clock.now());
      clock.set(THEN);
      assertEquals(THEN, clock.now());
      assertThrows(IllegalArgumentException.class, () -> clock.advance(Duration.ofMillis(1500)));
      assertThrows(IllegalArgumentException.class, () -> clock.advance(Duration.ofMillis(-1500)));
      assertEquals(THEN, clock.now());

      clock.resume();
      long deadline = deadline();
      while (!clock.now().isAfter(THEN)) {
        assertTrue(System.nanoTime() < deadline, "the clock does not run");
      }
      clock.freeze();
      assertEquals(clock.now(), clock.now());

      Instant before = Instant.now().minusSeconds(1);
      clock.reset();
      Instant now = clock.now();
      assertTrue(now.isAfter(before) && now.isBefore(Instant.now().plusSeconds(1)), "clock " + now);
    }
  }

  @Test
  void resetForgetsPeopleAndKeepsTheSeed(Vestibule server) {
    EnvironmentOptions options =
        EnvironmentOptions.defaults()
            .seed(Seed.users(ADA))
            .settings(Map.of("passwordless", Map.of("sign_up_allowed", false)));
    try (VestibuleEnvironment env = server.newEnvironment(options)) {
      env.seed(new Seed(List.of(Map.of("email", "grace@example.com")), List.of(Map.of("display_name", "Acme"))));
      Browser browser = openSignIn(env, ADA);
      browser.enterCode(env.waitForCode(ADA));

      env.reset();
      assertRefused(404, () -> env.waitForMessage(ADA, AT_ONCE));
      // The session is gone, so the same browser is asked for a code again.
      browser.open(ADA);
      browser.enterCode(env.waitForCode(ADA));
      // Sign-up is off, so only who was seeded gets an email.
      openSignIn(env, "grace@example.com").enterCode(env.waitForCode("grace@example.com"));
    }
  }

  @Test
  void resetKeepsWhatItIsTold(VestibuleEnvironment env) {
    env.clock().set(THEN);
    env.addFault(Map.of("latency_ms", 1));
    env.reset(Keep.CLOCK, Keep.FAULTS);
    assertFalse(env.clock().now().isBefore(THEN));
    assertEquals(1, env.faults().size());
    env.reset();
    assertTrue(env.clock().now().isBefore(THEN));
    assertEquals(List.of(), env.faults());
  }

  @Test
  void letsRequestsGoWrong(VestibuleEnvironment env) {
    Fault fault =
        env.addFault(
            Map.of(
                "match", Map.of("path", "/oauth/token", "method", "POST"),
                "count", 1,
                "effect", Map.of("kind", "status", "status", 503)));
    HttpResponse<String> first = requestTokens(env, "none");
    assertEquals(503, first.statusCode());
    assertEquals(fault.id(), first.headers().firstValue("x-vestibule-fault").orElse(""));
    assertEquals(400, requestTokens(env, "none").statusCode());
    assertEquals(List.of(new Fault(fault.id(), 2, 1)), env.faults());

    env.addFault(Map.of("effect", Map.of("kind", "status", "status", 500)));
    assertEquals(500, requestTokens(env, "none").statusCode());
    env.clearFaults();
    assertEquals(400, requestTokens(env, "none").statusCode());
  }

  @Test
  void tellsHowASignInWent(VestibuleEnvironment env) {
    Browser browser = openSignIn(env, ADA);
    String code = env.waitForCode(ADA);
    waitForFlow(env, "PENDING");
    browser.enterCode(code);
    Flow flow = waitForFlow(env, "SUCCESS");
    assertEquals(env.clientId(), flow.clientId());
    assertNotNull(flow.userId());
    assertFalse(flow.changedAt().isBefore(flow.startedAt()));
  }

  @Test
  void changesSettings(VestibuleEnvironment env) {
    env.changeSettings(Map.of("passwordless", Map.of("code_length", 8)));
    openSignIn(env, ADA);
    assertEquals(8, env.waitForCode(ADA).length());
    env.changeSettings(Map.of("passwordless", Collections.singletonMap("code_length", null)));
    openSignIn(env, "grace@example.com");
    assertEquals(6, env.waitForCode("grace@example.com").length());
  }

  @Test
  void saysWhatIsWrong(VestibuleEnvironment env) {
    VestibuleException refusal =
        assertRefused(400, () -> env.changeSettings(Map.of("passwordless", Map.of("valdity_s", 60))));
    assertEquals("invalid_request", refusal.code());
    assertFalse(refusal.title().isEmpty());
    assertTrue(refusal.detail().contains("valdity_s"), refusal.detail());
    assertEquals("passwordless.valdity_s", refusal.errors().get(0).field());
    assertFalse(refusal.errors().get(0).reason().isEmpty());
    assertTrue(refusal.getMessage().contains("400") && refusal.getMessage().contains("valdity_s"));
    assertRefused(400, () -> env.signIn(ADA, "not a URL"));
    assertRefused(400, () -> env.addFault(Map.of("effect", Map.of("kind", "nonsense"))));
  }

  @Test
  void deletes(VestibuleEnvironment env) {
    env.delete();
    assertRefused(404, env::delete);
    // What is gone does not answer in the control API's form, but the exception has the same fields.
    VestibuleException refusal = assertRefused(404, env::reset);
    assertFalse(refusal.title().isEmpty());
    assertTrue(refusal.detail().contains(env.name()), refusal.detail());
    env.close();
  }

  private static VestibuleException assertRefused(int status, Executable call) {
    VestibuleException refusal = assertThrows(VestibuleException.class, call);
    assertEquals(status, refusal.status(), refusal.getMessage());
    return refusal;
  }

  /** Waits for the one sign-in to stand so: the log is written a moment after the answer. */
  private static Flow waitForFlow(VestibuleEnvironment env, String status) {
    long deadline = deadline();
    while (true) {
      List<Flow> flows = env.flows(ADA);
      if (flows.size() == 1 && flows.get(0).status().equals(status)) {
        return flows.get(0);
      }
      assertTrue(flows.size() <= 1 && System.nanoTime() < deadline, () -> "flows " + flows + ", want " + status);
    }
  }

  private static long deadline() {
    return System.nanoTime() + Duration.ofSeconds(10).toNanos();
  }
}
