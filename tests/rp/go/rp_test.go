// Package rp tests relying parties written in Go, unmodified.
package rp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
	"golang.org/x/oauth2"
)

func TestMain(m *testing.M) { vestibuletest.Main(m) }

// report notes what a library did, for tests/rp/table.mjs.
func report(t *testing.T, library, version string, did ...string) {
	t.Helper()
	folder := os.Getenv("VESTIBULE_RP_REPORT")
	if folder == "" {
		return
	}
	row := map[string]any{"library": library, "language": "Go", "version": strings.TrimPrefix(version, "v"), "did": did}
	text, err := json.Marshal(row)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, library+".json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// application is what the documentation of go-oidc shows.
type application struct {
	provider *oidc.Provider
	config   oauth2.Config
}

func newApplication(t *testing.T, env *vestibuletest.Environment) *application {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), env.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &application{provider, oauth2.Config{
		ClientID:     env.ClientID,
		ClientSecret: env.ClientSecret,
		RedirectURL:  "http://localhost:3000/callback",
		Endpoint:     provider.Endpoint(),
		Scopes:       []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess},
	}}
}

func (a *application) signIn(t *testing.T, env *vestibuletest.Environment, address string) (*oauth2.Token, *oidc.IDToken, error) {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	back, err := env.SignIn(t.Context(), address,
		a.config.AuthCodeURL("of-the-test", oidc.Nonce("n-1"), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	if back.State != "of-the-test" {
		t.Fatalf("state %q", back.State)
	}
	token, err := a.config.Exchange(t.Context(), back.Code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := a.provider.Verifier(&oidc.Config{ClientID: env.ClientID}).Verify(t.Context(), raw)
	return token, idToken, err
}

func TestGoOIDC(t *testing.T) {
	env := vestibuletest.New(t)
	app := newApplication(t, env)
	token, idToken, err := app.signIn(t, env, "jane@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Nonce != "n-1" || idToken.VerifyAccessToken(token.AccessToken) != nil {
		t.Fatalf("nonce %q, or the access token is another", idToken.Nonce)
	}
	info, err := app.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != idToken.Subject || info.Email != "jane@example.com" {
		t.Fatalf("%v %+v", err, info)
	}
	token.Expiry = time.Now().Add(-time.Hour)
	renewed, err := app.config.TokenSource(t.Context(), token).Token()
	if err != nil || renewed.RefreshToken == token.RefreshToken {
		t.Fatalf("%v: the refresh token did not rotate", err)
	}

	rule := map[string]any{"count": 1, "effect": map[string]any{"kind": "token", "fault": "bad_signature"}}
	if _, err := env.AddFault(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.signIn(t, env, "eve@example.com"); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Fatalf("a bad signature: %v", err)
	}
	report(t, "go-oidc", os.Getenv("GO_OIDC_VERSION"), "discovery", "PKCE", "nonce", "UserInfo", "refresh",
		"an issuer with a path", "refuses a bad signature")
}

func TestOAuth2Proxy(t *testing.T) {
	binary := os.Getenv("OAUTH2_PROXY")
	if binary == "" {
		t.Fatal("OAUTH2_PROXY is the path of the program: ./run builds it")
	}
	env := vestibuletest.New(t)
	address := freeAddress(t)
	home := "http://localhost:" + strings.Split(address, ":")[1]
	start(t, exec.CommandContext(t.Context(), binary,
		"--provider=oidc", "--oidc-issuer-url="+env.URL, "--client-id="+env.ClientID, "--client-secret="+env.ClientSecret,
		"--redirect-url="+home+"/oauth2/callback", "--http-address="+address, "--upstream=static://200", "--email-domain=*",
		"--cookie-secret=0123456789abcdef0123456789abcdef", "--cookie-secure=false", "--code-challenge-method=S256",
		"--skip-provider-button=true"), home+"/ping")

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	visitor := &http.Client{Jar: jar, CheckRedirect: stay}
	redirect := get(t, visitor, home+"/protected")
	if redirect.StatusCode != http.StatusFound {
		t.Fatalf("%d", redirect.StatusCode)
	}
	back, err := env.SignIn(t.Context(), "jane@example.com", redirect.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if arrived := get(t, visitor, back.CallbackURL); arrived.Header.Get("Location") != "/protected" {
		t.Fatalf("%d to %q", arrived.StatusCode, arrived.Header.Get("Location"))
	}
	if let := get(t, visitor, home+"/protected"); let.StatusCode != http.StatusOK {
		t.Fatalf("%d", let.StatusCode)
	}
	var me struct{ Email string }
	if err := json.NewDecoder(get(t, visitor, home+"/oauth2/userinfo").Body).Decode(&me); err != nil || me.Email != "jane@example.com" {
		t.Fatalf("%v %+v", err, me)
	}

	rule := map[string]any{"count": 1, "effect": map[string]any{"kind": "token", "fault": "bad_signature"}}
	if _, err := env.AddFault(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	if jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	visitor.Jar = jar
	back, err = env.SignIn(t.Context(), "eve@example.com", get(t, visitor, home+"/protected").Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if refused := get(t, visitor, back.CallbackURL); refused.StatusCode < 400 {
		t.Fatalf("%d to %q", refused.StatusCode, refused.Header.Get("Location"))
	}
	report(t, "oauth2-proxy", os.Getenv("OAUTH2_PROXY_VERSION"), "discovery", "PKCE", "state", "an issuer with a path",
		"refuses a bad signature")
}

func get(t *testing.T, client *http.Client, address string) *http.Response {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// start runs a program until the test ends, and waits until it answers.
func start(t *testing.T, command *exec.Cmd, answersAt string) {
	t.Helper()
	log := &strings.Builder{}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() })
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if response, err := http.Get(answersAt); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			return
		}
		select {
		case err := <-ended:
			t.Fatal(fmt.Errorf("it ended: %w\n%s", err, log))
		case <-deadline.Done():
			t.Fatal("it does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
