package dev.vestibule.rp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.oauth2.sdk.AuthorizationCode;
import com.nimbusds.oauth2.sdk.AuthorizationCodeGrant;
import com.nimbusds.oauth2.sdk.AuthorizationGrant;
import com.nimbusds.oauth2.sdk.RefreshTokenGrant;
import com.nimbusds.oauth2.sdk.ResponseType;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.State;
import com.nimbusds.oauth2.sdk.pkce.CodeChallengeMethod;
import com.nimbusds.oauth2.sdk.pkce.CodeVerifier;
import com.nimbusds.openid.connect.sdk.AuthenticationRequest;
import com.nimbusds.openid.connect.sdk.AuthenticationResponseParser;
import com.nimbusds.openid.connect.sdk.Nonce;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponse;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponseParser;
import com.nimbusds.openid.connect.sdk.UserInfoRequest;
import com.nimbusds.openid.connect.sdk.UserInfoResponse;
import com.nimbusds.openid.connect.sdk.claims.IDTokenClaimsSet;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import com.nimbusds.openid.connect.sdk.token.OIDCTokens;
import com.nimbusds.openid.connect.sdk.validators.IDTokenValidator;
import dev.vestibule.testing.EnvironmentOptions;
import dev.vestibule.testing.Vestibule;
import dev.vestibule.testing.VestibuleEnvironment;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Nimbus' OpenID Connect SDK, unmodified. */
class NimbusTest {
  private static final URI CALLBACK = URI.create("http://localhost:3000/callback");

  private static Vestibule server;
  private static VestibuleEnvironment environment;
  private static OIDCProviderMetadata provider;
  private static ClientID clientId;
  private static Secret secret;

  @BeforeAll
  static void discover() throws Exception {
    server = Vestibule.start();
    environment = server.newEnvironment(EnvironmentOptions.defaults());
    provider = OIDCProviderMetadata.resolve(new Issuer(environment.url()));
    clientId = new ClientID(environment.clientId());
    secret = new Secret(environment.clientSecret());
  }

  @AfterAll
  static void stop() {
    if (server != null) {
      server.close();
    }
  }

  private static OIDCTokens tokens(AuthorizationGrant grant) throws Exception {
    ClientSecretBasic authentication = new ClientSecretBasic(clientId, secret);
    TokenRequest request = new TokenRequest.Builder(provider.getTokenEndpointURI(), authentication, grant).build();
    return ((OIDCTokenResponse) OIDCTokenResponseParser.parse(request.toHTTPRequest().send()).toSuccessResponse())
        .getOIDCTokens();
  }

  private record SignedIn(OIDCTokens tokens, Nonce nonce) {
    IDTokenClaimsSet validated() throws Exception {
      IDTokenValidator validator =
          new IDTokenValidator(provider.getIssuer(), clientId, JWSAlgorithm.RS256, provider.getJWKSetURI().toURL());
      return validator.validate(tokens.getIDToken(), nonce);
    }
  }

  private static SignedIn signIn(String address) throws Exception {
    CodeVerifier verifier = new CodeVerifier();
    State state = new State();
    Nonce nonce = new Nonce();
    AuthenticationRequest request =
        new AuthenticationRequest.Builder(
                ResponseType.CODE, new Scope("openid", "email", "offline_access"), clientId, CALLBACK)
            .endpointURI(provider.getAuthorizationEndpointURI())
            .state(state)
            .nonce(nonce)
            .codeChallenge(verifier, CodeChallengeMethod.S256)
            .build();
    URI back = environment.signIn(address, request.toURI().toString()).callbackUrl();
    var response = AuthenticationResponseParser.parse(back).toSuccessResponse();
    assertEquals(state, response.getState());
    assertEquals(provider.getIssuer(), response.getIssuer());
    AuthorizationCode code = response.getAuthorizationCode();
    return new SignedIn(tokens(new AuthorizationCodeGrant(code, CALLBACK, verifier)), nonce);
  }

  @Test
  void signsAPersonIn() throws Exception {
    SignedIn jane = signIn("jane@example.com");
    IDTokenClaimsSet claims = jane.validated();
    assertEquals("jane@example.com", claims.getStringClaim("email"));
    UserInfoRequest request =
        new UserInfoRequest(provider.getUserInfoEndpointURI(), jane.tokens().getBearerAccessToken());
    UserInfoResponse told = UserInfoResponse.parse(request.toHTTPRequest().send());
    assertEquals(claims.getSubject(), told.toSuccessResponse().getUserInfo().getSubject());
    OIDCTokens renewed = tokens(new RefreshTokenGrant(jane.tokens().getRefreshToken()));
    assertNotEquals(jane.tokens().getRefreshToken(), renewed.getRefreshToken());
    assertTrue(provider.supportsAuthorizationResponseIssuerParam());

    environment.addFault(Map.of("count", 1, "effect", Map.of("kind", "token", "fault", "wrong_issuer")));
    SignedIn eve = signIn("eve@example.com");
    assertThrows(BadJOSEException.class, eve::validated);
    report("discovery", "PKCE", "nonce", "iss", "UserInfo", "refresh", "an issuer with a path", "refuses a wrong issuer");
  }

  /** Notes what the library did, for tests/rp/table.mjs. */
  private static void report(String... did) throws Exception {
    String folder = System.getenv("VESTIBULE_RP_REPORT");
    if (folder != null) {
      Map<String, Object> row =
          Map.of("library", "nimbus oauth2-oidc-sdk", "language", "Java", "version", System.getProperty("nimbus.version"),
              "did", List.of(did));
      Files.writeString(Path.of(folder, "nimbus.json"), new ObjectMapper().writeValueAsString(row));
    }
  }
}
