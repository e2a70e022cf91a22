package sdktest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/go-jose/go-jose/v4"
	scalekit "github.com/scalekit-inc/scalekit-sdk-go/v2"
	authv1 "github.com/scalekit-inc/scalekit-sdk-go/v2/pkg/grpc/scalekit/v1/auth"
	"github.com/scalekit-inc/scalekit-sdk-go/v2/pkg/grpc/scalekit/v1/auth/authconnect"
)

const magicLink = "http://localhost:3000/passwordless/verify"

// scenarios has the ids that all SDKs' suites share.
var scenarios = []struct {
	id, sentence string
	run          func(*testing.T, *app)
}{
	{"client_token", "credentials give a token, and wrong ones are refused", clientToken},
	{"sign_in", "a person signs in on the hosted page and the code gives the user, once", signIn},
	{"sign_in_pkce", "only the verifier of the challenge redeems the code", signInWithPKCE},
	{"refresh", "offline access gives a refresh token that gives new tokens", refresh},
	{"validate", "a good access token validates and a tampered one does not", validate},
	{"logout_url", "the logout address ends the session and leads back", logoutURL},
	{"headless_code", "the newest code verifies with state and template, once", headlessCode},
	{"headless_link", "the link in the email is the application's and its token verifies", headlessLink},
	{"wrong_code", "a wrong code is refused and the right one still verifies", wrongCode},
	{"expired_code", "a code is refused after its time and no sooner", expiredCode},
	{"too_many_attempts", "the sixth wrong code and the third email are refused", tooManyAttempts},
	{"unknown_request", "an unknown auth_request_id is not found", unknownRequest},
	{"not_emulated", "a method that is not emulated says so by its name", notEmulated},
	{"management", "an organization has a member with a role and a session, and a machine", management},
	{"concurrent", "twenty users sign in at once", concurrent},
	{"restart", "tokens and open requests outlive a restart", restart},
}

func TestSDK(t *testing.T) {
	version := sdkVersion(t)
	for _, transport := range []string{"http", "https"} {
		t.Run(transport, func(t *testing.T) {
			report := &Report{SDK: "Go", Version: version, Transport: transport, Results: map[string]string{}}
			report.write(t)
			server := startFor(t, transport, "main")
			for _, scenario := range scenarios {
				t.Run(scenario.id+": "+scenario.sentence, func(t *testing.T) {
					report.note(t, scenario.id)
					// A panic in one scenario must not take the others' results along.
					defer func() {
						if panicked := recover(); panicked != nil {
							t.Errorf("panic: %v", panicked)
						}
					}()
					scenario.run(t, appOf(t, server, transport))
				})
			}
		})
	}
}

func clientToken(t *testing.T, app *app) {
	token, err := app.GetClientAccessToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	app.validates(t, token)

	generated, err := app.GenerateClientToken(t.Context(), scalekit.GenerateClientTokenOptions{ClientID: app.server.ClientID, ClientSecret: app.server.ClientSecret})
	if err != nil {
		t.Fatal(err)
	}
	app.validates(t, generated.AccessToken)
	if generated.ExpiresIn <= 0 {
		t.Errorf("the token expires in %d s", generated.ExpiresIn)
	}

	impostor := scalekit.NewScalekitClient(app.base, app.server.ClientID, "wrong")
	_, err = impostor.GetClientAccessToken(t.Context())
	refusedByOAuth(t, err, http.StatusUnauthorized, "invalid_client")
	_, err = impostor.Passwordless().SendPasswordlessEmail(t.Context(), app.addressFor("impostor"), nil)
	refusedByOAuth(t, err, http.StatusUnauthorized, "invalid_client")

	// The SDK never shows the refusal that makes it fetch a token, so it is looked at through its generated client.
	bare := authconnect.NewPasswordlessServiceClient(http.DefaultClient, app.base, connect.WithGRPC())
	for _, bearer := range []string{"", "Bearer invented"} {
		request := connect.NewRequest(&authv1.SendPasswordlessRequest{Email: app.addressFor("bearer")})
		if bearer != "" {
			request.Header().Set("Authorization", bearer)
		}
		_, err = bare.SendPasswordlessEmail(t.Context(), request)
		refused(t, err, connect.CodeUnauthenticated, "UNAUTHENTICATED", "")
	}
}

func signIn(t *testing.T, app *app) {
	address := app.addressFor("sign-in")
	_, answer := app.signIn(t, address, scalekit.AuthorizationUrlOptions{Nonce: "a nonce"})
	result, err := app.AuthenticateWithCode(t.Context(), answer.Get("code"), callback, scalekit.AuthenticationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "email", result.User.Email, address)
	equal(t, "email_verified", result.User.EmailVerified, true)
	equal[any](t, "nonce", result.User.Claims["nonce"], "a nonce")
	equal(t, "the refresh token without offline_access", result.RefreshToken, "")
	if result.User.Id == "" || result.ExpiresIn <= 0 {
		t.Errorf("id %q, expires in %d s", result.User.Id, result.ExpiresIn)
	}
	app.validates(t, result.AccessToken)

	for _, code := range []string{answer.Get("code"), "invented"} {
		_, err = app.AuthenticateWithCode(t.Context(), code, callback, scalekit.AuthenticationOptions{})
		refusedByOAuth(t, err, http.StatusBadRequest, "invalid_grant")
	}
}

func signInWithPKCE(t *testing.T, app *app) {
	pkce, err := app.GeneratePKCEConfiguration(scalekit.PKCEOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := app.GeneratePKCEConfiguration(scalekit.PKCEOptions{})
	if err != nil {
		t.Fatal(err)
	}
	challenge := scalekit.AuthorizationUrlOptions{CodeChallenge: pkce.CodeChallenge, CodeChallengeMethod: pkce.CodeChallengeMethod}
	for name, verifier := range map[string]string{"pkce-none": "", "pkce-other": other.CodeVerifier} {
		_, answer := app.signIn(t, app.addressFor(name), challenge)
		_, err := app.AuthenticateWithCode(t.Context(), answer.Get("code"), callback, scalekit.AuthenticationOptions{CodeVerifier: verifier})
		refusedByOAuth(t, err, http.StatusBadRequest, "invalid_grant")
	}
	address := app.addressFor("pkce")
	_, answer := app.signIn(t, address, challenge)
	result, err := app.AuthenticateWithCode(t.Context(), answer.Get("code"), callback, scalekit.AuthenticationOptions{CodeVerifier: pkce.CodeVerifier})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "email", result.User.Email, address)
}

func refresh(t *testing.T, app *app) {
	first := app.signedIn(t, app.addressFor("refresh"), scalekit.AuthorizationUrlOptions{Scopes: []string{"openid", "email", "offline_access"}})
	if first.RefreshToken == "" {
		t.Fatal("no refresh token")
	}
	second, err := app.RefreshAccessToken(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	app.validates(t, second.AccessToken)
	claims, err := app.GetAccessTokenClaims(t.Context(), second.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sub", claims.Sub, first.User.Id)
	if second.AccessToken == first.AccessToken || second.RefreshToken == "" || second.ExpiresIn <= 0 {
		t.Errorf("the tokens are not new: %+v", second)
	}
	if _, err := app.RefreshAccessToken(t.Context(), second.RefreshToken); err != nil {
		t.Errorf("the second refresh token: %v", err)
	}
	_, err = app.RefreshAccessToken(t.Context(), "invented")
	refusedByOAuth(t, err, http.StatusBadRequest, "invalid_grant")
}

func validate(t *testing.T, app *app) {
	result := app.signedIn(t, app.addressFor("validate"), scalekit.AuthorizationUrlOptions{})
	app.validates(t, result.AccessToken)
	claims, err := app.GetAccessTokenClaims(t.Context(), result.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sub", claims.Sub, result.User.Id)
	equal(t, "iss", claims.Iss, app.base)
	mine := &scalekit.ValidateTokenOptions{Audience: []string{app.server.ClientID}}
	if ok, err := app.ValidateTokenWithOptions(t.Context(), result.AccessToken, mine); err != nil || !ok {
		t.Errorf("the audience: %v, %v", ok, err)
	}
	another := &scalekit.ValidateTokenOptions{Audience: []string{"somebody else"}}
	if ok, err := app.ValidateTokenWithOptions(t.Context(), result.AccessToken, another); err == nil || ok {
		t.Error("another audience is accepted")
	}

	for part, name := range []string{"header", "payload", "signature"} {
		tampered := tamper(result.AccessToken, part)
		ok, err := app.ValidateAccessToken(t.Context(), tampered)
		if ok || err == nil {
			t.Errorf("a tampered %s is accepted", name)
		}
		// A header that no longer decodes is refused before its signature is looked at.
		if part > 0 && !errors.Is(err, jose.ErrCryptoFailure) {
			t.Errorf("a tampered %s is not refused for its signature: %v", name, err)
		}
	}
}

// tamper changes a letter in the middle of one of a token's three parts.
func tamper(token string, part int) string {
	parts := strings.Split(token, ".")
	text := []byte(parts[part])
	middle := &text[len(text)/2]
	if *middle == 'A' {
		*middle = 'B'
	} else {
		*middle = 'A'
	}
	parts[part] = string(text)
	return strings.Join(parts, ".")
}

func logoutURL(t *testing.T, app *app) {
	address := app.addressFor("logout")
	person, answer := app.signIn(t, address, scalekit.AuthorizationUrlOptions{})
	result, err := app.AuthenticateWithCode(t.Context(), answer.Get("code"), callback, scalekit.AuthenticationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	authorization, err := app.GetAuthorizationUrl(callback, scalekit.AuthorizationUrlOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if again := person.get(authorization.String()); !again.left {
		t.Fatalf("the session does not hold: %s", again.url)
	}

	logout, err := app.GetLogoutUrl(scalekit.LogoutUrlOptions{IdTokenHint: result.IdToken, PostLogoutRedirectUri: callback, State: "bye"})
	if err != nil {
		t.Fatal(err)
	}
	end := person.get(logout.String())
	equal(t, "where logging out ends", end.url.String(), callback+"?state=bye")
	if after := person.get(authorization.String()); after.left {
		t.Errorf("still signed in: %s", after.url)
	}

	bare, err := app.GetLogoutUrl(scalekit.LogoutUrlOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if end := newBrowser(t, app.base).get(bare.String()); end.status >= http.StatusBadRequest {
		t.Errorf("logging out without a session ends with status %d", end.status)
	}
}

func headlessCode(t *testing.T, app *app) {
	address := app.addressFor("headless-code")
	signUp := scalekit.TemplateTypeSignup
	options := &scalekit.SendPasswordlessOptions{MagiclinkAuthUri: magicLink, State: "a state", Template: &signUp, ExpiresIn: 1800}
	ctx, protocol := tracing(t.Context())
	sent, err := app.Passwordless().SendPasswordlessEmail(ctx, address, options)
	if err != nil {
		t.Fatal(err)
	}
	// The connection of the call itself: that gRPC arrives by this transport is the point of running everything twice.
	equal(t, "the protocol of the gRPC call", protocol(), map[string]string{"http": "plain", "https": "h2"}[app.transport])
	equal(t, "expires_in", sent.GetExpiresIn(), 1800)
	equal(t, "passwordless_type", sent.GetPasswordlessType(), scalekit.PasswordlessTypeLinkOtp)
	if left := time.Until(time.Unix(sent.GetExpiresAt(), 0)); left < 29*time.Minute || left > 31*time.Minute {
		t.Errorf("expires_at is in %s", left)
	}

	first := app.mail(t, address, nil)
	resent, err := app.Passwordless().ResendPasswordlessEmail(t.Context(), sent.GetAuthRequestId())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the resent auth_request_id", resent.GetAuthRequestId(), sent.GetAuthRequestId())

	newest := app.mail(t, address, first)
	verified, err := app.verifyCode(t, sent.GetAuthRequestId(), newest.Code)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "email", verified.GetEmail(), address)
	equal(t, "state", verified.GetState(), "a state")
	equal(t, "template", verified.GetTemplate(), signUp)
	equal(t, "passwordless_type", verified.GetPasswordlessType(), scalekit.PasswordlessTypeLinkOtp)

	_, err = app.verifyCode(t, sent.GetAuthRequestId(), newest.Code)
	refused(t, err, connect.CodeInvalidArgument, "AUTH_REQUEST_ALREADY_USED", "")
}

// tracing gives a context that notices the protocol of the connection a call goes over.
func tracing(parent context.Context) (context.Context, func() string) {
	var lock sync.Mutex
	protocol := "none"
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		lock.Lock()
		defer lock.Unlock()
		if secured, ok := got.Conn.(*tls.Conn); ok {
			protocol = secured.ConnectionState().NegotiatedProtocol
		} else {
			protocol = "plain"
		}
	}}
	return httptrace.WithClientTrace(parent, trace), func() string {
		lock.Lock()
		defer lock.Unlock()
		return protocol
	}
}

func headlessLink(t *testing.T, app *app) {
	for name, link := range map[string]struct{ uri, prefix string }{
		"link":            {magicLink, magicLink + "?link_token="},
		"link-with-query": {magicLink + "?from=mail", magicLink + "?from=mail&link_token="},
	} {
		address := app.addressFor(name)
		sent := app.send(t, address, scalekit.SendPasswordlessOptions{MagiclinkAuthUri: link.uri, State: name})
		mail := app.mail(t, address, nil)
		token, found := strings.CutPrefix(mail.Link, link.prefix)
		if !found || token == "" {
			t.Fatalf("the link is %q", mail.Link)
		}
		token, err := url.QueryUnescape(token)
		if err != nil {
			t.Fatal(err)
		}
		verified, err := app.Passwordless().VerifyPasswordlessEmail(t.Context(), &scalekit.VerifyPasswordlessOptions{LinkToken: token, AuthRequestId: sent.GetAuthRequestId()})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "email", verified.GetEmail(), address)
		equal(t, "state", verified.GetState(), name)
	}
}

func wrongCode(t *testing.T, app *app) {
	address := app.addressFor("wrong-code")
	sent := app.send(t, address, scalekit.SendPasswordlessOptions{})
	right := app.mail(t, address, nil).Code
	_, err := app.verifyCode(t, sent.GetAuthRequestId(), otherCode(t, right, 1))
	refused(t, err, connect.CodeInvalidArgument, "INVALID_CODE", "invalid")
	if _, err := app.verifyCode(t, sent.GetAuthRequestId(), right); err != nil {
		t.Errorf("the right code: %v", err)
	}
}

func expiredCode(t *testing.T, main *app) {
	app := appOf(t, startFor(t, main.transport, "clock"), main.transport)
	brief, long := app.addressFor("brief"), app.addressFor("long")
	expiring := app.send(t, brief, scalekit.SendPasswordlessOptions{})
	lasting := app.send(t, long, scalekit.SendPasswordlessOptions{ExpiresIn: 3600})
	codes := map[string]string{brief: app.mail(t, brief, nil).Code, long: app.mail(t, long, nil).Code}

	advanceClock(t, app.base, 10*time.Minute)
	_, err := app.verifyCode(t, expiring.GetAuthRequestId(), codes[brief])
	refused(t, err, connect.CodeInvalidArgument, "AUTH_REQUEST_EXPIRED", "expired")
	if _, err := app.verifyCode(t, lasting.GetAuthRequestId(), codes[long]); err != nil {
		t.Errorf("the code that lasts an hour: %v", err)
	}
}

func tooManyAttempts(t *testing.T, app *app) {
	address := app.addressFor("too-many")
	sent := app.send(t, address, scalekit.SendPasswordlessOptions{})
	right := app.mail(t, address, nil).Code
	for n := 1; n <= 5; n++ {
		_, err := app.verifyCode(t, sent.GetAuthRequestId(), otherCode(t, right, n))
		refused(t, err, connect.CodeInvalidArgument, "INVALID_CODE", "invalid")
	}
	for _, code := range []string{otherCode(t, right, 6), right} {
		_, err := app.verifyCode(t, sent.GetAuthRequestId(), code)
		refused(t, err, connect.CodeResourceExhausted, "TOO_MANY_ATTEMPTS", "too many")
	}

	impatient := app.send(t, app.addressFor("impatient"), scalekit.SendPasswordlessOptions{})
	if _, err := app.Passwordless().ResendPasswordlessEmail(t.Context(), impatient.GetAuthRequestId()); err != nil {
		t.Fatal(err)
	}
	_, err := app.Passwordless().ResendPasswordlessEmail(t.Context(), impatient.GetAuthRequestId())
	refused(t, err, connect.CodeResourceExhausted, "RATE_LIMITED", "rate")
}

func unknownRequest(t *testing.T, app *app) {
	_, err := app.verifyCode(t, "invented", "123456")
	refused(t, err, connect.CodeNotFound, "AUTH_REQUEST_NOT_FOUND", "not found")
	_, err = app.Passwordless().ResendPasswordlessEmail(t.Context(), "invented")
	refused(t, err, connect.CodeNotFound, "AUTH_REQUEST_NOT_FOUND", "not found")
}

func notEmulated(t *testing.T, app *app) {
	_, err := app.Connection().EnableConnection(t.Context(), "org_1", "conn_1")
	refused(t, err, connect.CodeUnimplemented, "NOT_EMULATED", "EnableConnection")
	_, err = app.Directory().ListDirectories(t.Context(), "org_1")
	refused(t, err, connect.CodeUnimplemented, "NOT_EMULATED", "ListDirectories")
}

func concurrent(t *testing.T, app *app) {
	const people = 20
	problems := make([]error, people)
	var wait sync.WaitGroup
	for i := range people {
		wait.Go(func() { problems[i] = app.sendAndVerify(t.Context(), i) })
	}
	wait.Wait()
	if err := errors.Join(problems...); err != nil {
		t.Fatal(err)
	}
}

func (a *app) sendAndVerify(ctx context.Context, person int) error {
	address := a.addressFor(fmt.Sprintf("person-%d", person))
	sent, err := a.Passwordless().SendPasswordlessEmail(ctx, address, &scalekit.SendPasswordlessOptions{MagiclinkAuthUri: magicLink, State: address})
	if err != nil {
		return fmt.Errorf("send to %s: %w", address, err)
	}
	mail, err := mailTo(a.base, address, nil)
	if err != nil {
		return err
	}
	verified, err := a.Passwordless().VerifyPasswordlessEmail(ctx, &scalekit.VerifyPasswordlessOptions{Code: mail.Code, AuthRequestId: sent.GetAuthRequestId()})
	if err != nil {
		return fmt.Errorf("verify %s: %w", address, err)
	}
	if verified.GetEmail() != address || verified.GetState() != address {
		return fmt.Errorf("%s was answered %s with state %s", address, verified.GetEmail(), verified.GetState())
	}
	return nil
}

func restart(t *testing.T, main *app) {
	server := startFor(t, main.transport, "restart")
	app := appOf(t, server, main.transport)
	token := app.signedIn(t, app.addressFor("restart"), scalekit.AuthorizationUrlOptions{}).AccessToken
	app.validates(t, token)
	address := app.addressFor("across")
	sent := app.send(t, address, scalekit.SendPasswordlessOptions{})
	code := app.mail(t, address, nil).Code

	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	startAgain(t, server)

	// The SDK that was there before, which keeps keys and a client token; and one that must fetch the keys anew.
	app.validates(t, token)
	verified, err := app.verifyCode(t, sent.GetAuthRequestId(), code)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "email", verified.GetEmail(), address)
	anew := appOf(t, server, main.transport)
	anew.validates(t, token)
	anew.send(t, app.addressFor("after"), scalekit.SendPasswordlessOptions{})
}
