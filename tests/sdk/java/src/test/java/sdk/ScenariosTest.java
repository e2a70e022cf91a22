package sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ClientCalls;
import io.grpc.MethodDescriptor;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.extension.TestWatcher;
import com.google.protobuf.Empty;
import io.grpc.protobuf.ProtoUtils;
import scalekit.v1.auth.passwordless.Passwordless.ResendPasswordlessRequest;
import scalekit.v1.auth.passwordless.Passwordless.SendPasswordlessRequest;
import scalekit.v1.auth.passwordless.Passwordless.SendPasswordlessResponse;
import scalekit.v1.auth.passwordless.Passwordless.TemplateType;
import scalekit.v1.auth.passwordless.Passwordless.VerifyPasswordLessRequest;
import scalekit.v1.auth.passwordless.Passwordless.VerifyPasswordLessResponse;
import scalekit.v1.clients.ClientServiceGrpc;
import scalekit.v1.clients.Clients.CreateOrganizationClientRequest;
import scalekit.v1.clients.Clients.DeleteOrganizationClientRequest;
import scalekit.v1.clients.Clients.OrganizationClient;
import scalekit.v1.commons.Commons.Role;
import scalekit.v1.errdetails.Errdetails.ErrorInfo;
import scalekit.v1.organizations.OrganizationServiceGrpc;
import scalekit.v1.organizations.Organizations.CreateOrganization;
import scalekit.v1.organizations.Organizations.CreateOrganizationRequest;
import scalekit.v1.organizations.Organizations.DeleteOrganizationRequest;
import scalekit.v1.organizations.Organizations.GetOrganizationRequest;
import scalekit.v1.roles.Roles.CreatePermission;
import scalekit.v1.roles.Roles.CreatePermissionRequest;
import scalekit.v1.roles.Roles.CreateRole;
import scalekit.v1.roles.Roles.CreateRoleRequest;
import scalekit.v1.roles.Roles.DeletePermissionRequest;
import scalekit.v1.roles.Roles.DeleteRoleRequest;
import scalekit.v1.roles.RolesServiceGrpc;
import scalekit.v1.sessions.SessionServiceGrpc;
import scalekit.v1.sessions.Sessions.RevokeSessionRequest;
import scalekit.v1.sessions.Sessions.UserSessionDetailsRequest;
import scalekit.v1.users.UserServiceGrpc;
import scalekit.v1.users.Users.CreateMembership;
import scalekit.v1.users.Users.CreateUser;
import scalekit.v1.users.Users.CreateUserAndMembershipRequest;
import scalekit.v1.users.Users.DeleteUserRequest;
import scalekit.v1.users.Users.UpdateMembership;
import scalekit.v1.users.Users.UpdateMembershipRequest;

/** What an application with Scalekit's Java SDK does, on the wire. The tag of a test is its row in the documentation. */
final class ScenariosTest {
  private static final String PAGE = "https://app.example.com/verify";
  private static final Map<String, String> RESULTS = new TreeMap<>();

  private Path data;
  private Vestibule vestibule;
  private SdkLikeClient scalekit;

  @BeforeEach
  void start() throws Exception {
    data = Vestibule.newData();
    vestibule = new Vestibule(data, 0);
    scalekit = new SdkLikeClient(vestibule);
  }

  @AfterEach
  void stop() throws Exception {
    scalekit.close();
    vestibule.close();
    Vestibule.delete(data);
  }

  @RegisterExtension
  static final TestWatcher REPORT = new TestWatcher() {
    @Override
    public void testSuccessful(ExtensionContext test) {
      test.getTags().forEach(tag -> RESULTS.put(tag, "pass"));
    }

    @Override
    public void testFailed(ExtensionContext test, Throwable cause) {
      test.getTags().forEach(tag -> RESULTS.put(tag, "fail"));
    }
  };

  @AfterAll
  static void report() throws Exception {
    String folder = System.getenv("VESTIBULE_SDK_REPORT");
    if (folder == null) {
      return;
    }
    String how = Vestibule.ON_443 ? "on port 443, as its SDK" : "on any port, which no SDK of Java allows";
    Files.createDirectories(Path.of(folder));
    // The last test's result comes after this method, so the file is written at the very end.
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        var report = Map.of("sdk", "grpc-java", "version", how, "transport", "https", "results", RESULTS);
        Vestibule.JSON.writeValue(Path.of(folder, "java-" + (Vestibule.ON_443 ? "443" : "any") + ".json").toFile(), report);
      } catch (java.io.IOException failed) {
        throw new java.io.UncheckedIOException(failed);
      }
    }));
  }

  private record Sent(String id, JsonNode mail) {}

  private Sent send(String address, SendPasswordlessRequest.Builder request) throws Exception {
    SendPasswordlessRequest asked = request.setEmail(address).build();
    return new Sent(scalekit.call(stub -> stub.sendPasswordlessEmail(asked)).getAuthRequestId(), vestibule.mailTo(address));
  }

  private Sent send(String address) throws Exception {
    return send(address, SendPasswordlessRequest.newBuilder().setMagiclinkAuthUri(PAGE));
  }

  private VerifyPasswordLessResponse verify(String id, String code) {
    VerifyPasswordLessRequest asked = VerifyPasswordLessRequest.newBuilder().setAuthRequestId(id).setCode(code).build();
    return scalekit.call(stub -> stub.verifyPasswordlessEmail(asked));
  }

  /** Status, error code and words, from the details that the SDK reads. */
  private static void refused(org.junit.jupiter.api.function.Executable call, Code code, String errorCode, String words)
      throws InvalidProtocolBufferException {
    StatusRuntimeException refused = assertThrows(StatusRuntimeException.class, call);
    assertEquals(code, refused.getStatus().getCode(), refused.toString());
    Status status = StatusProto.fromThrowable(refused);
    assertEquals(errorCode, status.getDetails(0).unpack(ErrorInfo.class).getErrorCode());
    assertTrue(status.getMessage().toLowerCase().contains(words), status.getMessage());
  }

  private static String otherThan(JsonNode mail, int by) {
    return String.format("%06d", (Integer.parseInt(mail.get("code").asText()) + by) % 1_000_000);
  }

  private JsonNode tokens(String address) throws Exception {
    String url = scalekit.authorizationUrl(address, "openid profile email offline_access", Map.of());
    return scalekit.authenticateWithCode(vestibule.signIn(url, address).get("code"), Map.of());
  }

  @Test
  @Tag("client_token")
  void aClientTokenIsFetchedAndVerified() throws Exception {
    assertTrue(scalekit.validates(scalekit.clientToken()));
  }

  @Test
  @Tag("sign_in")
  void aPersonSignsInAndTheCodeIsExchanged() throws Exception {
    Map<String, String> answer = vestibule.signIn(scalekit.authorizationUrl("jane@example.com", "openid profile email", Map.of()), "jane@example.com");
    assertEquals("xyz", answer.get("state"));
    JsonNode tokens = scalekit.authenticateWithCode(answer.get("code"), Map.of());
    String claims = new String(Base64.getUrlDecoder().decode(tokens.get("id_token").asText().split("\\.")[1]), StandardCharsets.UTF_8);
    assertEquals("jane@example.com", Vestibule.JSON.readTree(claims).get("email").asText());
    assertEquals(vestibule.url, Vestibule.JSON.readTree(claims).get("iss").asText());
    var again = assertThrows(IllegalStateException.class, () -> scalekit.authenticateWithCode(answer.get("code"), Map.of()));
    assertTrue(again.getMessage().contains("invalid_grant"));
  }

  @Test
  @Tag("sign_in_pkce")
  void aPersonSignsInWithPkce() throws Exception {
    String verifier = "v".repeat(64);
    String challenge = Base64.getUrlEncoder().withoutPadding().encodeToString(MessageDigest.getInstance("SHA-256").digest(verifier.getBytes(StandardCharsets.US_ASCII)));
    String url = scalekit.authorizationUrl("pkce@example.com", "openid email", Map.of("code_challenge", challenge, "code_challenge_method", "S256"));
    String code = vestibule.signIn(url, "pkce@example.com").get("code");
    assertThrows(IllegalStateException.class, () -> scalekit.authenticateWithCode(code, Map.of("code_verifier", "x".repeat(64))));
    String second = vestibule.signIn(url, "pkce@example.com").get("code");
    assertTrue(scalekit.authenticateWithCode(second, Map.of("code_verifier", verifier)).has("access_token"));
  }

  @Test
  @Tag("refresh")
  void aRefreshTokenRotates() throws Exception {
    String first = tokens("refresh@example.com").get("refresh_token").asText();
    JsonNode second = scalekit.token(Map.of("grant_type", "refresh_token", "refresh_token", first));
    assertNotEquals(first, second.get("refresh_token").asText());
    assertTrue(scalekit.validates(second.get("access_token").asText()));
  }

  @Test
  @Tag("validate")
  void goodTokensAreValidAndTamperedOnesAreNot() throws Exception {
    String token = tokens("validate@example.com").get("access_token").asText();
    assertTrue(scalekit.validates(token));
    assertFalse(scalekit.validates(token.substring(0, token.length() - 4) + "AAAA"));
  }

  @Test
  @Tag("logout_url")
  void theLogoutUrlSignsOut() throws Exception {
    String hint = tokens("logout@example.com").get("id_token").asText();
    URI url = URI.create(vestibule.url + "/oidc/logout?id_token_hint=" + hint);
    assertTrue(HttpClient.newHttpClient().send(HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.discarding()).statusCode() < 400);
  }

  @Test
  @Tag("headless_code")
  void aCodeIsSentSentAgainAndVerified() throws Exception {
    var asked = SendPasswordlessRequest.newBuilder().setMagiclinkAuthUri(PAGE).setState("st").setTemplate(TemplateType.SIGNUP)
        .setExpiresIn(1800).putTemplateVariables("app_name", "Acme");
    Sent sent = send("code@example.com", asked);
    assertTrue(sent.mail().get("subject").asText().contains("Acme"));
    var resend = ResendPasswordlessRequest.newBuilder().setAuthRequestId(sent.id()).build();
    SendPasswordlessResponse again = scalekit.call(stub -> stub.resendPasswordlessEmail(resend));
    assertEquals(sent.id(), again.getAuthRequestId());
    assertEquals(1800, again.getExpiresIn());
    String code = vestibule.mailTo("code@example.com").get("code").asText();
    VerifyPasswordLessResponse proof = verify(sent.id(), code);
    assertEquals("code@example.com", proof.getEmail());
    assertEquals("st", proof.getState());
    assertEquals(TemplateType.SIGNUP, proof.getTemplate());
    refused(() -> verify(sent.id(), code), Code.INVALID_ARGUMENT, "AUTH_REQUEST_ALREADY_USED", "already used");
  }

  @Test
  @Tag("headless_link")
  void aLinkIsSentAndVerified() throws Exception {
    Sent sent = send("link@example.com");
    String link = sent.mail().get("link").asText();
    String prefix = PAGE + "?link_token=";
    assertTrue(link.startsWith(prefix), link);
    var asked = VerifyPasswordLessRequest.newBuilder().setLinkToken(link.substring(prefix.length()));
    refused(() -> scalekit.call(stub -> stub.verifyPasswordlessEmail(asked.build())), Code.INVALID_ARGUMENT, "INVALID_ARGUMENT", "auth_request_id is required");
    asked.setAuthRequestId(sent.id());
    assertEquals("link@example.com", scalekit.call(stub -> stub.verifyPasswordlessEmail(asked.build())).getEmail());
  }

  @Test
  @Tag("wrong_code")
  void aWrongCodeIsAnInvalidArgument() throws Exception {
    Sent sent = send("wrong@example.com");
    refused(() -> verify(sent.id(), otherThan(sent.mail(), 1)), Code.INVALID_ARGUMENT, "INVALID_CODE", "invalid");
  }

  @Test
  @Tag("expired_code")
  void aCodeThatIsTooOldSaysSo() throws Exception {
    Sent sent = send("late@example.com");
    vestibule.moveClock(301);
    refused(() -> verify(sent.id(), sent.mail().get("code").asText()), Code.INVALID_ARGUMENT, "AUTH_REQUEST_EXPIRED", "auth request expired");
  }

  @Test
  @Tag("too_many_attempts")
  void theSixthCodeIsTooMany() throws Exception {
    Sent sent = send("many@example.com");
    for (int guess = 1; guess <= 5; guess++) {
      String wrong = otherThan(sent.mail(), guess);
      refused(() -> verify(sent.id(), wrong), Code.INVALID_ARGUMENT, "INVALID_CODE", "invalid");
    }
    refused(() -> verify(sent.id(), sent.mail().get("code").asText()), Code.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS", "too many");
  }

  @Test
  @Tag("unknown_request")
  void anUnknownAuthRequestIsNotFound() throws Exception {
    refused(() -> verify("nobody", "123456"), Code.NOT_FOUND, "AUTH_REQUEST_NOT_FOUND", "not found");
  }

  @Test
  @Tag("not_emulated")
  void aMethodThatIsNotEmulatedSaysSoByName() throws Exception {
    var method = MethodDescriptor.<Empty, Empty>newBuilder().setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName("scalekit.v1.connections.ConnectionService/EnableConnection")
        .setRequestMarshaller(ProtoUtils.marshaller(Empty.getDefaultInstance()))
        .setResponseMarshaller(ProtoUtils.marshaller(Empty.getDefaultInstance())).build();
    var options = io.grpc.CallOptions.DEFAULT.withCallCredentials(scalekit.credentials);
    refused(() -> ClientCalls.blockingUnaryCall(scalekit.channel(), method, options, Empty.getDefaultInstance()),
        Code.UNIMPLEMENTED, "NOT_EMULATED", "connectionservice/enableconnection is not emulated");
  }

  private static JsonNode claims(JsonNode tokens) throws Exception {
    String payload = tokens.get("access_token").asText().split("\\.")[1];
    return Vestibule.JSON.readTree(Base64.getUrlDecoder().decode(payload));
  }

  private static Role role(String name) {
    return Role.newBuilder().setName(name).build();
  }

  /** An organization, and a role with a permission. */
  private String organizationWithRole() {
    var permission = CreatePermission.newBuilder().setName("read:documents").setDescription("Read documents");
    var makePermission = CreatePermissionRequest.newBuilder().setPermission(permission).build();
    scalekit.call(RolesServiceGrpc::newBlockingStub, roles -> roles.createPermission(makePermission));
    var reader = CreateRole.newBuilder().setName("reader").setDisplayName("Reader").addPermissions("read:documents");
    var makeRole = CreateRoleRequest.newBuilder().setRole(reader).build();
    scalekit.call(RolesServiceGrpc::newBlockingStub, roles -> roles.createRole(makeRole));
    var acme = CreateOrganization.newBuilder().setDisplayName("Acme").setExternalId("acme");
    var makeOrganization = CreateOrganizationRequest.newBuilder().setOrganization(acme).build();
    return scalekit.call(OrganizationServiceGrpc::newBlockingStub, organizations -> organizations.createOrganization(makeOrganization))
        .getOrganization().getId();
  }

  /** A member with the role, who has accepted the invitation. */
  private String invitedMember(String organization, String address) throws Exception {
    var user = CreateUser.newBuilder().setEmail(address).setMembership(CreateMembership.newBuilder().addRoles(role("reader")));
    var invite = CreateUserAndMembershipRequest.newBuilder().setOrganizationId(organization).setUser(user).setSendInvitationEmail(true).build();
    String id = scalekit.call(UserServiceGrpc::newBlockingStub, users -> users.createUserAndMembership(invite)).getUser().getId();
    vestibule.acceptInvitation(address);
    return id;
  }

  /** A machine client gets tokens of its own until it is deleted. */
  private void machineClient(String organization) throws Exception {
    var robot = OrganizationClient.newBuilder().setName("Robot").addScopes("read").addAudience("documents");
    var make = CreateOrganizationClientRequest.newBuilder().setOrganizationId(organization).setClient(robot).build();
    var made = scalekit.call(ClientServiceGrpc::newBlockingStub, clients -> clients.createOrganizationClient(make));
    String id = made.getClient().getClientId();
    var grant = Map.of("grant_type", "client_credentials", "client_id", id, "client_secret", made.getPlainSecret());
    JsonNode token = claims(scalekit.token(grant));
    assertEquals(id, token.get("client_id").asText());
    assertEquals(organization, token.get("oid").asText());
    var delete = DeleteOrganizationClientRequest.newBuilder().setOrganizationId(organization).setClientId(id).build();
    scalekit.call(ClientServiceGrpc::newBlockingStub, clients -> clients.deleteOrganizationClient(delete));
    assertThrows(IllegalStateException.class, () -> scalekit.token(grant));
  }

  private void deleteEverything(String organization, String user) {
    var deleteUser = DeleteUserRequest.newBuilder().setId(user).build();
    scalekit.call(UserServiceGrpc::newBlockingStub, users -> users.deleteUser(deleteUser));
    var deleteOrganization = DeleteOrganizationRequest.newBuilder().setId(organization).build();
    scalekit.call(OrganizationServiceGrpc::newBlockingStub, organizations -> organizations.deleteOrganization(deleteOrganization));
    var deleteRole = DeleteRoleRequest.newBuilder().setRoleName("reader").build();
    scalekit.call(RolesServiceGrpc::newBlockingStub, roles -> roles.deleteRole(deleteRole));
    var deletePermission = DeletePermissionRequest.newBuilder().setPermissionName("read:documents").build();
    scalekit.call(RolesServiceGrpc::newBlockingStub, roles -> roles.deletePermission(deletePermission));
    var get = GetOrganizationRequest.newBuilder().setId(organization).build();
    var refused = assertThrows(StatusRuntimeException.class,
        () -> scalekit.call(OrganizationServiceGrpc::newBlockingStub, organizations -> organizations.getOrganization(get)));
    assertEquals(Code.NOT_FOUND, refused.getStatus().getCode());
  }

  @Test
  @Tag("management")
  void anOrganizationHasAMemberWithARoleAndASessionAndAMachine() throws Exception {
    int port = vestibule.port;
    vestibule.close();
    vestibule = new Vestibule(data, port, Map.of("VESTIBULE_TOKENS__USER_MANAGEMENT", "true"));
    String organization = organizationWithRole();
    String user = invitedMember(organization, "member@example.com");
    JsonNode tokens = tokens("member@example.com");
    JsonNode claims = claims(tokens);
    assertEquals(user, claims.get("sub").asText());
    assertEquals(organization, claims.get("oid").asText());
    assertEquals("[\"reader\"]", claims.get("roles").toString());
    assertEquals("[\"read:documents\"]", claims.get("permissions").toString());

    var admin = UpdateMembershipRequest.newBuilder().setOrganizationId(organization).setId(user)
        .setMembership(UpdateMembership.newBuilder().addRoles(role("admin"))).build();
    scalekit.call(UserServiceGrpc::newBlockingStub, users -> users.updateMembership(admin));
    JsonNode second = scalekit.token(Map.of("grant_type", "refresh_token", "refresh_token", tokens.get("refresh_token").asText()));
    assertEquals("[\"admin\"]", claims(second).get("roles").toString());

    String session = claims.get("sid").asText();
    var list = UserSessionDetailsRequest.newBuilder().setUserId(user).build();
    var listed = scalekit.call(SessionServiceGrpc::newBlockingStub, sessions -> sessions.getUserSessions(list));
    assertTrue(listed.getSessionsList().stream().anyMatch(s -> s.getSessionId().equals(session) && s.getStatus().equals("active")));
    var revoke = RevokeSessionRequest.newBuilder().setSessionId(session).build();
    var revoked = scalekit.call(SessionServiceGrpc::newBlockingStub, sessions -> sessions.revokeSession(revoke));
    assertEquals("revoked", revoked.getRevokedSession().getStatus());
    var refresh = Map.of("grant_type", "refresh_token", "refresh_token", second.get("refresh_token").asText());
    assertThrows(IllegalStateException.class, () -> scalekit.token(refresh));

    machineClient(organization);
    deleteEverything(organization, user);
  }

  @Test
  @Tag("concurrent")
  void twentyPeopleProveTheirAddressesAtOnce() throws Exception {
    var threads = Executors.newFixedThreadPool(20);
    try {
      var proofs = threads.invokeAll(IntStream.range(0, 20).mapToObj(number -> (Callable<Boolean>) () -> {
        String address = "concurrent" + number + "@example.com";
        Sent sent = send(address);
        return verify(sent.id(), sent.mail().get("code").asText()).getEmail().equals(address);
      }).toList());
      for (var proof : proofs) {
        assertTrue(proof.get());
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  @Tag("restart")
  void aRestartBetweenTwoCallsIsNotNoticed() throws Exception {
    String token = tokens("restart@example.com").get("access_token").asText();
    Sent sent = send("restarted@example.com");
    int port = vestibule.port;
    vestibule.close();
    vestibule = new Vestibule(data, port);
    assertTrue(scalekit.validates(token));
    assertEquals("restarted@example.com", verify(sent.id(), sent.mail().get("code").asText()).getEmail());
  }

  @Test
  void aTokenThatIsNoLongerGoodIsReplacedByAnother() throws Exception {
    scalekit.spoilToken();
    assertEquals("jane@example.com", send("jane@example.com").mail().get("to").asText());
  }
}
