package vestibuletest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

var ctx = context.Background()

func TestSignInByLink(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	page := openSignIn(t, env, "ada@example.com")
	if got := page.followLink(t, env.MustLink(t, "ada@example.com")); got.Email != "ada@example.com" {
		t.Errorf("signed in as %q", got.Email)
	}
}

func TestWrongCode(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	page := openSignIn(t, env, "ada@example.com")
	code := env.MustCode(t, "ada@example.com")
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	if got := page.tryCode(t, wrong); got.status != http.StatusBadRequest {
		t.Errorf("a wrong code: %d", got.status)
	}
	page.enterCode(t, code)
}

func TestEnvironmentsAreIsolated(t *testing.T) {
	t.Parallel()
	one, other := vestibuletest.New(t), vestibuletest.New(t)
	if one.URL == other.URL || one.Name == other.Name || one.ClientID == other.ClientID || one.ClientSecret == other.ClientSecret {
		t.Fatalf("the same: %+v and %+v", one, other)
	}
	page := openSignIn(t, one, "ada@example.com")
	code := one.MustCode(t, "ada@example.com")

	_, err := other.WaitForCode(ctx, "ada@example.com", vestibuletest.Within(0))
	wantStatus(t, err, http.StatusNotFound)
	if err := other.Clock().Advance(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	// An hour would have ended the code.
	page.enterCode(t, code)

	waitForFlow(t, one, "SUCCESS")
	if got := flows(t, other, "ada@example.com"); len(got) != 0 {
		t.Errorf("flows there: %+v", got)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	// A plus must come through as it is.
	const address = "ada+news@example.com"
	page := openSignIn(t, env, address)
	first, err := env.WaitForMessage(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	if first.To != address || !strings.Contains(first.Text, first.Code) || !strings.Contains(first.HTML, first.Link) ||
		first.Subject == "" || first.AuthRequestID == "" || first.CreatedAt.IsZero() || first.Kind == "" || first.TestUser {
		t.Errorf("email %+v", first)
	}
	_, err = env.WaitForMessage(ctx, address, vestibuletest.Since(first.ID), vestibuletest.Within(10*time.Millisecond))
	wantStatus(t, err, http.StatusNotFound)

	// The wait begins before the email is there.
	waited := make(chan error, 1)
	var second *vestibuletest.Message
	go func() {
		var err error
		second, err = env.WaitForMessage(ctx, address, vestibuletest.Since(first.ID), vestibuletest.Within(time.Minute))
		waited <- err
	}()
	page.open(t, address)
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if second.ID == first.ID {
		t.Error("Since gave the email that was there already")
	}
	page.enterCode(t, second.Code)
}

func TestInboxGivesTheSignInThatFollows(t *testing.T) {
	t.Parallel()
	const address = "ada@example.com"
	settings := map[string]any{"limits": map[string]any{"mails_per_address": 0}}
	env := vestibuletest.New(t, vestibuletest.EnvironmentOptions{Settings: settings})
	inbox := env.MustInbox(t, address)
	for range 4 {
		// Nobody waits for the submit.
		submitted := make(chan *page, 1)
		go func() { submitted <- openSignIn(t, env, address) }()
		code := inbox.MustCode(t)
		if got := (<-submitted).enterCode(t, code); got.Email != address {
			t.Errorf("signed in as %q", got.Email)
		}
	}
	_, err := inbox.NextMessage(ctx, vestibuletest.Within(0))
	wantStatus(t, err, http.StatusNotFound)

	// Emails from before it was opened are none of its.
	later := env.MustInbox(t, address)
	opened := make(chan *page, 1)
	go func() { opened <- openSignIn(t, env, address) }()
	link := later.MustLink(t)
	<-opened
	if link != env.MustLink(t, address) {
		t.Error("the link of another email")
	}
}

func TestWaitForEvent(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	makeOrganization(t, env, "Before")
	since, err := env.EventCursor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The wait begins before it happens.
	type outcome struct {
		event *vestibuletest.Event
		err   error
	}
	waited := make(chan outcome, 1)
	go func() {
		event, err := env.WaitForEvent(ctx, "organization.created", vestibuletest.Since(since))
		waited <- outcome{event, err}
	}()
	makeOrganization(t, env, "After")
	got := <-waited
	if got.err != nil {
		t.Fatal(got.err)
	}
	if !strings.Contains(string(got.event.Data), "After") || got.event.OccurredAt.IsZero() || got.event.OrganizationID == "" {
		t.Errorf("event %+v", got.event)
	}
	_, err = env.WaitForEvent(ctx, "organization.created", vestibuletest.Since(got.event.ID), vestibuletest.Within(10*time.Millisecond))
	wantStatus(t, err, http.StatusNotFound)
}

// makeOrganization makes one by Scalekit's API, as the control API serves it.
func makeOrganization(t *testing.T, env *vestibuletest.Environment, name string) {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"display_name": %q}`, name))
	response, err := http.Post(env.URL+"/_emulator/v1/api/organizations", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatal(response.Status)
	}
}

func TestExpectRequest(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	before, err := env.Requests(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	// The wait begins before the request is made.
	waited := make(chan error, 1)
	var request *vestibuletest.Request
	go func() {
		var err error
		request, err = env.ExpectRequest(ctx, "/oauth/authorize", vestibuletest.Since(before.Cursor), vestibuletest.OfClient(env.ClientID))
		waited <- err
	}()
	openSignIn(t, env, "ada@example.com")
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if request.Status != http.StatusSeeOther || request.Parameters["response_type"] != "code" || request.At.IsZero() || request.Route != "/oauth/authorize" {
		t.Errorf("request %+v", request)
	}
	_, err = env.ExpectRequest(ctx, "/oauth/token", vestibuletest.Within(10*time.Millisecond))
	wantStatus(t, err, http.StatusNotFound)
	if !strings.Contains(err.Error(), "GET /oauth/authorize 303") {
		t.Errorf("error %v", err)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := env.WaitForCode(short, "ada@example.com"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestMailsWithoutCodeOrLink(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"LINK", "OTP"} {
		env := vestibuletest.New(t, vestibuletest.EnvironmentOptions{
			Settings: map[string]any{"passwordless": map[string]any{"type": kind}},
		})
		openSignIn(t, env, "ada@example.com")
		code, codeErr := env.WaitForCode(ctx, "ada@example.com")
		link, linkErr := env.WaitForLink(ctx, "ada@example.com")
		if hasCode := kind == "OTP"; (code != "") != hasCode || (codeErr == nil) != hasCode {
			t.Errorf("%s: code %q, %v", kind, code, codeErr)
		}
		if hasLink := kind == "LINK"; (link != "") != hasLink || (linkErr == nil) != hasLink {
			t.Errorf("%s: link %q, %v", kind, link, linkErr)
		}
	}
}

func TestNoCodeOfASignInThatIsOver(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	page := openSignIn(t, env, "ada@example.com")
	page.enterCode(t, env.MustCode(t, "ada@example.com"))
	_, err := env.WaitForCode(ctx, "ada@example.com", vestibuletest.Within(0))
	wantStatus(t, err, http.StatusNotFound)
	var refused *vestibuletest.Error
	if !errors.As(err, &refused) || len(refused.Timeline) == 0 || !strings.Contains(err.Error(), refused.Timeline[0]) {
		t.Errorf("no timeline in %v", err)
	}
	if message, err := env.WaitForMessage(ctx, "ada@example.com", vestibuletest.Within(0)); err != nil || message.Code == "" {
		t.Errorf("the email is %+v, %v", message, err)
	}
	if got := env.Env(); got["SCALEKIT_ENVIRONMENT_URL"] != env.URL || got["SCALEKIT_CLIENT_SECRET"] != env.ClientSecret {
		t.Errorf("variables %v", got)
	}
}

func TestInstantSignIn(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	result, err := env.SignIn(ctx, "ada@example.com", authorizationURL(env, ""))
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(result.CallbackURL)
	if err != nil {
		t.Fatal(err)
	}
	if back.Query().Get("code") != result.Code || result.State != "a-state" || result.Error != "" || result.SessionCookie == "" {
		t.Errorf("result %+v", result)
	}
	if got := takeTokens(t, env, result.Code); got.Email != "ada@example.com" {
		t.Errorf("signed in as %q", got.Email)
	}
	_, err = env.WaitForMessage(ctx, "ada@example.com", vestibuletest.Within(0))
	wantStatus(t, err, http.StatusNotFound)
}

func TestCodeExpiresByTheClock(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	page := openSignIn(t, env, "ada@example.com")
	code := env.MustCode(t, "ada@example.com")
	if err := env.Clock().Advance(ctx, 301*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := page.tryCode(t, code); got.location != "" || got.status < 400 {
		t.Errorf("a code of 301 s ago: %d to %q", got.status, got.location)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	env := vestibuletest.New(t, vestibuletest.EnvironmentOptions{
		Clock: vestibuletest.ClockOptions{Now: start, Frozen: true},
	})
	clock := env.Clock()
	wantTime := func(want time.Time) {
		t.Helper()
		if got, err := clock.Now(ctx); err != nil || !got.Equal(want) {
			t.Errorf("clock %v, %v, want %v", got, err, want)
		}
	}
	wantNoError := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	wantTime(start)
	wantNoError(clock.Advance(ctx, 90*time.Minute))
	wantTime(start.Add(90 * time.Minute))
	wantNoError(clock.Advance(ctx, -2*time.Hour))
	wantTime(start.Add(-30 * time.Minute))
	wantNoError(clock.Set(ctx, start.Add(time.Hour)))
	wantTime(start.Add(time.Hour))

	if err := clock.Advance(ctx, 1500*time.Millisecond); err == nil {
		t.Error("one and a half seconds went through")
	}
	wantTime(start.Add(time.Hour))

	wantNoError(clock.Resume(ctx))
	deadline := time.Now().Add(10 * time.Second)
	for {
		now, err := clock.Now(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if now.After(start.Add(time.Hour)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the clock does not run")
		}
	}
	wantNoError(clock.Freeze(ctx))
	frozen, err := clock.Now(ctx)
	wantNoError(err)
	wantTime(frozen)

	before := time.Now()
	wantNoError(clock.Reset(ctx))
	now, err := clock.Now(ctx)
	wantNoError(err)
	if now.Before(before.Add(-time.Second)) || now.After(time.Now().Add(time.Second)) {
		t.Errorf("real time is %v, the clock %v", before, now)
	}
}

func TestResetForgetsPeopleAndKeepsTheSeed(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t, vestibuletest.EnvironmentOptions{
		Seed:     vestibuletest.Seed{Users: []map[string]any{{"email": "ada@example.com"}}},
		Settings: map[string]any{"passwordless": map[string]any{"sign_up_allowed": false}},
	})
	if err := env.Seed(ctx, vestibuletest.Seed{
		Users:         []map[string]any{{"email": "grace@example.com"}},
		Organizations: []map[string]any{{"display_name": "Acme"}},
	}); err != nil {
		t.Fatal(err)
	}
	first := openSignIn(t, env, "ada@example.com")
	first.enterCode(t, env.MustCode(t, "ada@example.com"))

	if err := env.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := env.WaitForMessage(ctx, "ada@example.com", vestibuletest.Within(0))
	wantStatus(t, err, http.StatusNotFound)
	if got := flows(t, env, "ada@example.com"); len(got) != 0 {
		t.Errorf("flows %+v", got)
	}
	// The session is gone, so the same browser is asked for a code again.
	first.open(t, "ada@example.com")
	first.enterCode(t, env.MustCode(t, "ada@example.com"))
	// Sign-up is off, so only who was seeded gets an email.
	second := openSignIn(t, env, "grace@example.com")
	second.enterCode(t, env.MustCode(t, "grace@example.com"))
}

func TestResetKeepsWhatItIsTold(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	start := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	prepare := func() {
		t.Helper()
		if err := env.Clock().Set(ctx, start); err != nil {
			t.Fatal(err)
		}
		if _, err := env.AddFault(ctx, vestibuletest.FaultRule{LatencyMS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	prepare()
	if err := env.Reset(ctx, vestibuletest.KeepClock, vestibuletest.KeepFaults); err != nil {
		t.Fatal(err)
	}
	if now, err := env.Clock().Now(ctx); err != nil || now.Year() != 2031 {
		t.Errorf("clock %v, %v", now, err)
	}
	if got, err := env.Faults(ctx); err != nil || len(got) != 1 {
		t.Errorf("faults %v, %v", got, err)
	}
	if err := env.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if now, err := env.Clock().Now(ctx); err != nil || now.Year() == 2031 {
		t.Errorf("clock %v, %v", now, err)
	}
	if got, err := env.Faults(ctx); err != nil || len(got) != 0 {
		t.Errorf("faults %v, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	typed := vestibuletest.FaultRule{
		Match:  vestibuletest.FaultMatch{Path: "/oauth/token", Method: "POST"},
		Effect: map[string]any{"kind": "status", "status": 503},
		Count:  1,
	}
	words := map[string]any{
		"match":  map[string]any{"path": "/oauth/*"},
		"effect": map[string]any{"kind": "oauth_error", "error": "temporarily_unavailable", "status": 429},
	}

	fault, err := env.AddFault(ctx, typed)
	if err != nil {
		t.Fatal(err)
	}
	got := requestTokens(t, env, "none")
	if got.status != http.StatusServiceUnavailable || got.header.Get("X-Vestibule-Fault") != fault.ID {
		t.Errorf("first: %d by %q", got.status, got.header.Get("X-Vestibule-Fault"))
	}
	if got := requestTokens(t, env, "none"); got.status != http.StatusBadRequest {
		t.Errorf("second: %d", got.status)
	}
	list, err := env.Faults(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].ID != fault.ID || list[0].Matched != 2 || list[0].Fired != 1 {
		t.Errorf("faults %+v", list)
	}

	if _, err := env.AddFault(ctx, words); err != nil {
		t.Fatal(err)
	}
	if got := requestTokens(t, env, "none"); got.status != 429 || !strings.Contains(got.body, "temporarily_unavailable") {
		t.Errorf("third: %d: %s", got.status, got.body)
	}
	if err := env.ClearFaults(ctx); err != nil {
		t.Fatal(err)
	}
	if got := requestTokens(t, env, "none"); got.status != http.StatusBadRequest {
		t.Errorf("fourth: %d", got.status)
	}
}

func TestFlowsTellHowASignInWent(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	page := openSignIn(t, env, "ada@example.com")
	code := env.MustCode(t, "ada@example.com")
	waitForFlow(t, env, "PENDING")
	page.enterCode(t, code)
	got := waitForFlow(t, env, "SUCCESS")
	if got.ClientID != env.ClientID || got.UserID == "" || got.Why == "" || got.StartedAt.IsZero() ||
		got.ChangedAt.Before(got.StartedAt) {
		t.Errorf("flow %+v", got)
	}
}

// waitForFlow waits for the one sign-in to stand so: the log is written a moment after the answer.
func waitForFlow(t testing.TB, env *vestibuletest.Environment, status string) vestibuletest.Flow {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		got := flows(t, env, "ada@example.com")
		if len(got) == 1 && got[0].Status == status {
			return got[0]
		}
		if len(got) > 1 || time.Now().After(deadline) {
			t.Fatalf("flows %+v, want one that is %s", got, status)
		}
	}
}

func TestChangeSettings(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	length := func(want int, value any) {
		t.Helper()
		if err := env.ChangeSettings(ctx, map[string]any{"passwordless": map[string]any{"code_length": value}}); err != nil {
			t.Fatal(err)
		}
		email := fmt.Sprintf("length-%d@example.com", want)
		openSignIn(t, env, email)
		if code := env.MustCode(t, email); len(code) != want {
			t.Errorf("code %q, want %d digits", code, want)
		}
	}
	length(8, 8)
	length(6, nil)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	err := env.ChangeSettings(ctx, map[string]any{"passwordless": map[string]any{"valdity_s": 60}})
	refusal := wantStatus(t, err, http.StatusBadRequest)
	if refusal.Code != "invalid_request" || refusal.Title == "" || !strings.Contains(refusal.Detail, "valdity_s") ||
		len(refusal.Errors) != 1 || refusal.Errors[0].Field != "passwordless.valdity_s" || refusal.Errors[0].Reason == "" {
		t.Errorf("refusal %+v", refusal)
	}
	if text := err.Error(); !strings.Contains(text, "400") || !strings.Contains(text, "valdity_s") {
		t.Errorf("text %q", text)
	}

	_, err = env.SignIn(ctx, "ada@example.com", "not a URL")
	wantStatus(t, err, http.StatusBadRequest)
	_, err = env.AddFault(ctx, map[string]any{"effect": map[string]any{"kind": "nonsense"}})
	wantStatus(t, err, http.StatusBadRequest)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	env := vestibuletest.New(t)
	if err := env.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, env.Delete(ctx), http.StatusNotFound)
	// What is gone does not answer in the control API's form, but the error has the same fields.
	refusal := wantStatus(t, env.Reset(ctx), http.StatusNotFound)
	if refusal.Title == "" || !strings.Contains(refusal.Detail, env.Name) {
		t.Errorf("refusal %+v", refusal)
	}
}

func flows(t testing.TB, env *vestibuletest.Environment, email string) []vestibuletest.Flow {
	t.Helper()
	list, err := env.Flows(ctx, email)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func wantStatus(t testing.TB, err error, status int) *vestibuletest.Error {
	t.Helper()
	var refusal *vestibuletest.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want one with status %d", err, status)
	}
	if refusal.Status != status {
		t.Fatalf("status %d, want %d: %v", refusal.Status, status, err)
	}
	return refusal
}
