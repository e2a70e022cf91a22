package sdktest

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	scalekit "github.com/scalekit-inc/scalekit-sdk-go/v2"
	"github.com/scalekit-inc/scalekit-sdk-go/v2/pkg/grpc/scalekit/v1/errdetails"
)

// app is an application that uses the SDK.
type app struct {
	scalekit.Scalekit
	server    *Server
	transport string
	base      string
}

func appOf(t *testing.T, server *Server, transport string) *app {
	t.Helper()
	base := server.url(t, transport)
	return &app{scalekit.NewScalekitClient(base, server.ClientID, server.ClientSecret), server, transport, base}
}

var addresses atomic.Int64

// addressFor is a new address each time, with -count, too: emails are limited per address.
func (a *app) addressFor(name string) string {
	return fmt.Sprintf("%s.%s.%d@example.com", name, a.transport, addresses.Add(1))
}

// signIn signs a person in on the hosted page, and gives the browser and the parameters of the callback.
func (a *app) signIn(t *testing.T, address string, options scalekit.AuthorizationUrlOptions) (*browser, url.Values) {
	t.Helper()
	options.LoginHint, options.State = address, "state of "+address
	authorization, err := a.GetAuthorizationUrl(callback, options)
	if err != nil {
		t.Fatal(err)
	}
	person := newBrowser(t, a.base)
	form := person.get(authorization.String())
	end := person.enterCode(form, a.mail(t, address, nil).Code)
	if !end.left || !strings.HasPrefix(end.url.String(), callback+"?") {
		t.Fatalf("signing in ended at %s with status %d", end.url, end.status)
	}
	answer := end.url.Query()
	equal(t, "state", answer.Get("state"), options.State)
	if answer.Get("code") == "" {
		t.Fatalf("no code in %s", end.url)
	}
	return person, answer
}

// signedIn is what the application knows about a person who signed in.
func (a *app) signedIn(t *testing.T, address string, options scalekit.AuthorizationUrlOptions) *scalekit.AuthenticationResponse {
	t.Helper()
	_, answer := a.signIn(t, address, options)
	result, err := a.AuthenticateWithCode(t.Context(), answer.Get("code"), callback, scalekit.AuthenticationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "email", result.User.Email, address)
	return result
}

func (a *app) mail(t *testing.T, address string, after *Message) *Message {
	t.Helper()
	message, err := mailTo(a.base, address, after)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// send starts a headless sign-in.
func (a *app) send(t *testing.T, address string, options scalekit.SendPasswordlessOptions) *scalekit.SendPasswordlessResponse {
	t.Helper()
	if options.MagiclinkAuthUri == "" {
		options.MagiclinkAuthUri = magicLink
	}
	sent, err := a.Passwordless().SendPasswordlessEmail(t.Context(), address, &options)
	if err != nil {
		t.Fatal(err)
	}
	if sent.GetAuthRequestId() == "" {
		t.Fatal("no auth_request_id")
	}
	return sent
}

func (a *app) verifyCode(t *testing.T, request, code string) (*scalekit.VerifyPasswordLessResponse, error) {
	t.Helper()
	return a.Passwordless().VerifyPasswordlessEmail(t.Context(), &scalekit.VerifyPasswordlessOptions{Code: code, AuthRequestId: request})
}

// validates says that the SDK takes an access token for good.
func (a *app) validates(t *testing.T, token string) {
	t.Helper()
	if ok, err := a.ValidateAccessToken(t.Context(), token); err != nil || !ok {
		t.Fatalf("the access token does not validate: %v, %v", ok, err)
	}
}

// otherCode is a code of the same length that differs from the right one, and for each n from the others.
func otherCode(t *testing.T, right string, n int) string {
	t.Helper()
	number, err := strconv.Atoi(right)
	if err != nil {
		t.Fatal(err)
	}
	limit := 1
	for range right {
		limit *= 10
	}
	return fmt.Sprintf("%0*d", len(right), (number+n)%limit)
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, not %v", what, got, want)
	}
}

// refused says that a gRPC call failed as the contract says: status, Scalekit's error code, and the word in the
// message that applications look for.
func refused(t *testing.T, err error, status connect.Code, errorCode, word string) {
	t.Helper()
	var refusal *connect.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("not a *connect.Error: %T %v", err, err)
	}
	if refusal.Code() != status {
		t.Errorf("the status is %s, not %s: %v", refusal.Code(), status, err)
	}
	if !strings.Contains(strings.ToLower(refusal.Message()), strings.ToLower(word)) {
		t.Errorf("no %q in the message %q", word, refusal.Message())
	}
	var codes []string
	for _, detail := range refusal.Details() {
		// The SDK does not bring this type; who wants it imports google.golang.org/genproto.
		if detail.Type() == "google.rpc.RetryInfo" {
			continue
		}
		value, err := detail.Value()
		if err != nil {
			t.Fatalf("a detail of type %s: %v", detail.Type(), err)
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			codes = append(codes, info.GetErrorCode())
		}
	}
	if len(codes) != 1 || codes[0] != errorCode {
		t.Errorf("the error codes are %q, not one %s", codes, errorCode)
	}
}

// refusedByOAuth says that a token call failed with a status and an error of OAuth.
func refusedByOAuth(t *testing.T, err error, status int, word string) {
	t.Helper()
	var refusal *scalekit.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("not a *scalekit.Error: %T %v", err, err)
	}
	if refusal.StatusCode != status || !strings.Contains(refusal.Message, `"`+word+`"`) {
		t.Errorf("not %d and %s, but %d: %s", status, word, refusal.StatusCode, refusal.Message)
	}
}
