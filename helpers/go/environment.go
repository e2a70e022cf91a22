package vestibuletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// EnvironmentOptions says what a new environment is to be. Everything may be left out.
type EnvironmentOptions struct {
	// Name is part of the environment's URLs. It is made up when empty.
	Name string
	// Settings go over the configured ones, in the words of the configuration file:
	// {"passwordless": {"type": "LINK"}}.
	Settings map[string]any
	// Seed is who is there from the start, and after each reset.
	Seed Seed
	// Clock is the time to begin with. The zero value is real time.
	Clock ClockOptions
	// RedirectURIs are callbacks of the application that is made.
	RedirectURIs []string
	// NoInstantSignIn forbids SignIn for that application.
	NoInstantSignIn bool
}

// Seed is users and organizations in the words of the configuration file: {"email": "ada@example.com"} and
// {"display_name": "Acme"}.
type Seed struct {
	Users         []map[string]any `json:"users,omitempty"`
	Organizations []map[string]any `json:"organizations,omitempty"`
}

// ClockOptions is the time that an environment begins with.
type ClockOptions struct {
	// Now is the time to begin at: real time when zero.
	Now time.Time
	// Frozen lets the clock stand still.
	Frozen bool
}

// Environment is an isolated part of a server: users, emails, settings and clock of its own. It may be used by several
// goroutines.
type Environment struct {
	// URL is the environment URL to give to the application under test: Scalekit's environment URL.
	URL string
	// ClientID and ClientSecret are the application's credentials.
	ClientID     string
	ClientSecret string
	// Name is the environment's name on the server. It is empty for the default environment.
	Name string

	server *Server
}

type environmentView struct {
	Name         string `json:"name"`
	PathURL      string `json:"path_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// NewEnvironment makes an isolated environment. The caller deletes it, or leaves it to the server's end.
//
// Errors: [*Error] with status 400 for options that the server refuses, 409 for a name that is taken.
func (s *Server) NewEnvironment(ctx context.Context, options EnvironmentOptions) (*Environment, error) {
	input := map[string]any{"instant_sign_in": !options.NoInstantSignIn, "seed": options.Seed}
	if options.Name != "" {
		input["name"] = options.Name
	}
	if options.Settings != nil {
		input["settings"] = options.Settings
	}
	if options.RedirectURIs != nil {
		input["redirect_uris"] = options.RedirectURIs
	}
	clock := map[string]any{}
	if !options.Clock.Now.IsZero() {
		clock["now"] = options.Clock.Now.Format(time.RFC3339Nano)
	}
	if options.Clock.Frozen {
		clock["frozen"] = true
	}
	if len(clock) > 0 {
		input["clock"] = clock
	}
	var view environmentView
	if err := s.api().call(ctx, "POST", "/environments", input, &view); err != nil {
		return nil, err
	}
	return &Environment{
		// By path: many machines do not resolve NAME.localhost.
		URL:          view.PathURL,
		ClientID:     view.ClientID,
		ClientSecret: view.ClientSecret,
		Name:         view.Name,
		server:       s,
	}, nil
}

// Delete deletes the environment with everything in it.
//
// Errors: [*Error] with status 404 when it is gone already; an error for the default environment, which stays.
func (e *Environment) Delete(ctx context.Context) error {
	if e.Name == "" {
		return errors.New("vestibule: the default environment cannot be deleted")
	}
	return e.server.api().call(ctx, "DELETE", "/environments/"+url.PathEscape(e.Name), nil, nil)
}

// Message is an email.
type Message struct {
	ID string `json:"id"`
	To string `json:"to"`
	// Subject, Text and HTML are what the reader sees.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
	// Code and Link are what the email is about; each is empty where the email carries none.
	Code string `json:"code"`
	Link string `json:"link"`
	// Kind is "signin" or "signup".
	Kind string `json:"kind"`
	// AuthRequestID names the sign-in; it is the ID of a [Flow].
	AuthRequestID string `json:"auth_request_id"`
	// TestUser is true for an address that signs in with the fixed code, so that no email left the server.
	TestUser bool `json:"test_user"`
	// CreatedAt is when the email was sent.
	CreatedAt time.Time `json:"created_at"`
}

// WaitOption narrows what WaitForMessage, WaitForEvent, ExpectRequest and their kin wait for.
type WaitOption func(url.Values)

// Since takes only emails, events or requests that are newer than the one with this ID. Without it, codes and links are
// never of a sign-in that is over; an earlier one that was not finished counts, which an [Inbox] cannot give. For requests it
// may be a [RequestList.Cursor].
func Since(id string) WaitOption {
	return func(query url.Values) { query.Set("since", id) }
}

// Within is how long to wait: 10 s without it, at most 60 s.
func Within(wait time.Duration) WaitOption {
	return func(query url.Values) { query.Set("wait_ms", strconv.FormatInt(wait.Milliseconds(), 10)) }
}

// WaitForMessage gives the newest email to an address, as soon as there is one.
//
// Errors: [*Error] with status 404 when none came in time.
func (e *Environment) WaitForMessage(ctx context.Context, address string, options ...WaitOption) (*Message, error) {
	query := url.Values{"to": {address}}
	for _, option := range options {
		option(query)
	}
	var message Message
	if err := e.api().call(ctx, "GET", "/messages/latest?"+query.Encode(), nil, &message); err != nil {
		return nil, fmt.Errorf("email to %s: %w", address, err)
	}
	return &message, nil
}

// unused leaves out emails of sign-ins that are over, unless [Since] says which count.
func unused(options []WaitOption) []WaitOption {
	return append(slices.Clone(options), func(query url.Values) {
		if !query.Has("since") {
			query.Set("unused", "true")
		}
	})
}

// Env is the variables by which an application finds the environment, as os/exec and t.Setenv take them, by the names of
// Scalekit's documentation.
func (e *Environment) Env() map[string]string {
	return map[string]string{
		"SCALEKIT_ENVIRONMENT_URL": e.URL,
		"SCALEKIT_ENV_URL":         e.URL,
		"SCALEKIT_CLIENT_ID":       e.ClientID,
		"SCALEKIT_CLIENT_SECRET":   e.ClientSecret,
	}
}

// WaitForCode gives the code of the newest email to an address, as soon as there is one, never of a sign-in that is over.
//
// Errors: [*Error] with status 404 when no email came in time; an error for an email without a code.
func (e *Environment) WaitForCode(ctx context.Context, address string, options ...WaitOption) (string, error) {
	message, err := e.WaitForMessage(ctx, address, unused(options)...)
	if err != nil {
		return "", err
	}
	return message.code()
}

// WaitForLink gives the link of the newest email to an address, as soon as there is one, never of a sign-in that is over.
//
// Errors: [*Error] with status 404 when no email came in time; an error for an email without a link.
func (e *Environment) WaitForLink(ctx context.Context, address string, options ...WaitOption) (string, error) {
	message, err := e.WaitForMessage(ctx, address, unused(options)...)
	if err != nil {
		return "", err
	}
	return message.link()
}

// Inbox is the emails to an address from a moment on. Open it before the sign-in, or before a resend: then no email of
// an earlier one can be taken for its, however late it is sent. It is for one goroutine.
type Inbox struct {
	environment *Environment
	address     string
	cursor      string
}

// Inbox opens the inbox of an address, to read what arrives from now on.
func (e *Environment) Inbox(ctx context.Context, address string) (*Inbox, error) {
	var list struct{ Cursor string }
	query := url.Values{"to": {address}, "page_size": {"1"}}
	if err := e.api().call(ctx, "GET", "/messages?"+query.Encode(), nil, &list); err != nil {
		return nil, err
	}
	return &Inbox{environment: e, address: address, cursor: list.Cursor}, nil
}

// NextMessage gives the newest email since the inbox was opened or last read, as soon as there is one.
//
// Errors: [*Error] with status 404 when none came in time.
func (i *Inbox) NextMessage(ctx context.Context, options ...WaitOption) (*Message, error) {
	message, err := i.environment.WaitForMessage(ctx, i.address, append(options, Since(i.cursor))...)
	if err != nil {
		return nil, err
	}
	i.cursor = message.ID
	return message, nil
}

// NextCode gives the code of the next email, as NextMessage.
//
// Errors: [*Error] with status 404 when no email came in time; an error for an email without a code.
func (i *Inbox) NextCode(ctx context.Context, options ...WaitOption) (string, error) {
	message, err := i.NextMessage(ctx, options...)
	if err != nil {
		return "", err
	}
	return message.code()
}

// NextLink gives the link of the next email, as NextMessage.
//
// Errors: [*Error] with status 404 when no email came in time; an error for an email without a link.
func (i *Inbox) NextLink(ctx context.Context, options ...WaitOption) (string, error) {
	message, err := i.NextMessage(ctx, options...)
	if err != nil {
		return "", err
	}
	return message.link()
}

func (m *Message) code() (string, error) {
	if m.Code == "" {
		return "", fmt.Errorf("vestibule: the email to %s has no code; it depends on passwordless.type", m.To)
	}
	return m.Code, nil
}

func (m *Message) link() (string, error) {
	if m.Link == "" {
		return "", fmt.Errorf("vestibule: the email to %s has no link; it depends on passwordless.type", m.To)
	}
	return m.Link, nil
}

// Event is something that happened, as webhooks tell it.
type Event struct {
	// ID is the webhook-id of its webhooks.
	ID string `json:"id"`
	// Type is such as "organization.created".
	Type   string `json:"type"`
	Object string `json:"object"`
	// OrganizationID is empty where it is about none.
	OrganizationID string `json:"organization_id"`
	// OccurredAt is a time of the environment's clock.
	OccurredAt time.Time `json:"occurred_at"`
	// Data is what its type says.
	Data json.RawMessage `json:"data"`
}

// EventCursor gives where the events stand now, for [Since]: take it before a change, and only what that change causes
// counts.
func (e *Environment) EventCursor(ctx context.Context) (string, error) {
	var list struct{ Cursor string }
	err := e.api().call(ctx, "GET", "/events?page_size=1", nil, &list)
	return list.Cursor, err
}

// WaitForEvent gives the newest event of a type, as soon as there is one, whether or not there is a webhook. Without [Since],
// one that happened already counts.
//
// Errors: [*Error] with status 404 when none happened in time.
func (e *Environment) WaitForEvent(ctx context.Context, eventType string, options ...WaitOption) (*Event, error) {
	query := url.Values{"type": {eventType}, "page_size": {"1"}, "wait_ms": {"10000"}}
	for _, option := range options {
		option(query)
	}
	var list struct{ Events []Event }
	if err := e.api().call(ctx, "GET", "/events?"+query.Encode(), nil, &list); err != nil {
		return nil, err
	}
	if len(list.Events) == 0 {
		detail := "no " + eventType + " happened in time"
		return nil, &Error{Status: http.StatusNotFound, Code: "not_found", Title: "No event", Detail: detail}
	}
	return &list.Events[0], nil
}

// SignInResult is where the browser would be after an instant sign-in.
type SignInResult struct {
	// CallbackURL is the application's callback, with `code` and `state` or with an `error`.
	CallbackURL string `json:"callback_url"`
	// Code, State and Error are parameters of CallbackURL; each is empty where there is none.
	Code  string `json:"code"`
	State string `json:"state"`
	Error string `json:"error"`
	// SessionCookie is the value of the environment's session cookie.
	SessionCookie string `json:"session_cookie"`
}

// SignIn signs an address in without an email, for an authorization URL as the application makes it.
//
// Errors: [*Error] with status 400 for a URL that does not work, 403 for an application without instant_sign_in.
func (e *Environment) SignIn(ctx context.Context, email, authorizationURL string) (*SignInResult, error) {
	var result SignInResult
	input := map[string]any{"email": email, "authorization_url": authorizationURL}
	if err := e.api().call(ctx, "POST", "/sign-in", input, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// Keep names what a reset leaves as it is.
type Keep string

// What a reset can leave as it is.
const (
	KeepSettings Keep = "settings"
	KeepClock    Keep = "clock"
	KeepFaults   Keep = "faults"
)

// Reset goes back to the seed: users as seeded, nobody signed in, no email; settings, clock and faults as at the start
// unless kept.
func (e *Environment) Reset(ctx context.Context, keep ...Keep) error {
	if keep == nil {
		keep = []Keep{}
	}
	return e.api().call(ctx, "POST", "/reset", map[string]any{"keep": keep}, nil)
}

// Seed adds users and organizations. A reset goes back to them too.
//
// Errors: [*Error] with status 400 for a record that does not work, 409 for one that is there already. Then nothing
// was added.
func (e *Environment) Seed(ctx context.Context, seed Seed) error {
	return e.api().call(ctx, "POST", "/seed", seed, nil)
}

// FaultRule says which requests go wrong, and how. Numbers that are zero are left to the server.
type FaultRule struct {
	// Match says which requests. The zero value is all of them. The control API is spared.
	Match FaultMatch `json:"match"`
	// Effect says what happens, by its "kind": {"kind": "status", "status": 503}, {"kind": "connection_reset"}.
	// Without it, there is only the latency.
	Effect map[string]any `json:"effect,omitempty"`
	// Count is how many requests go wrong before the rule rests: all when zero.
	Count int `json:"count,omitempty"`
	// Nth is the first matching request that goes wrong, from 1.
	Nth int `json:"nth,omitempty"`
	// LatencyMS is how many milliseconds to wait first.
	LatencyMS int `json:"latency_ms,omitempty"`
	// Probability is the share of matching requests that go wrong, up to 1: all when zero.
	Probability float64 `json:"probability,omitempty"`
}

// FaultMatch says which requests a rule is about; `*` stands for any characters.
type FaultMatch struct {
	// Path is the path below the environment's URL, without query.
	Path string `json:"path,omitempty"`
	// Method is the HTTP method.
	Method string `json:"method,omitempty"`
	// GRPC is the gRPC method, such as "*PasswordlessService/SendPasswordlessEmail".
	GRPC string `json:"grpc,omitempty"`
	// To is the address of an email, for the effects of email servers.
	To string `json:"to,omitempty"`
}

// Fault is a rule that is in place.
type Fault struct {
	ID string `json:"id"`
	// Matched and Fired count the requests that the rule was about, and those that went wrong.
	Matched int `json:"matched"`
	Fired   int `json:"fired"`
}

// AddFault lets requests go wrong from now on. The rule is a [FaultRule], or a map in the words of the control API.
//
// Errors: [*Error] with status 400 for a rule that does not work.
func (e *Environment) AddFault(ctx context.Context, rule any) (*Fault, error) {
	var fault Fault
	if err := e.api().call(ctx, "POST", "/faults", rule, &fault); err != nil {
		return nil, err
	}
	return &fault, nil
}

// Faults gives the rules with their counts.
func (e *Environment) Faults(ctx context.Context) ([]Fault, error) {
	var list struct{ Faults []Fault }
	if err := e.api().call(ctx, "GET", "/faults", nil, &list); err != nil {
		return nil, err
	}
	return list.Faults, nil
}

// ClearFaults deletes all rules.
func (e *Environment) ClearFaults(ctx context.Context) error {
	return e.api().call(ctx, "DELETE", "/faults", nil, nil)
}

// Flow is a sign-in.
type Flow struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	ClientID string `json:"client_id"`
	UserID   string `json:"user_id"`
	// Status is "INITIATED", "PENDING", "SUCCESS" or "FAILED".
	Status string `json:"status"`
	// Why is the last thing that was decided, for users.
	Why string `json:"why"`
	// StartedAt and ChangedAt are times of the environment's clock.
	StartedAt time.Time `json:"started_at"`
	ChangedAt time.Time `json:"changed_at"`
}

// Flows gives the newest sign-ins of an address or a part of one, newest first: one page of them. The
// server writes them down a moment after it answers.
func (e *Environment) Flows(ctx context.Context, email string) ([]Flow, error) {
	var list struct{ Flows []Flow }
	if err := e.api().call(ctx, "GET", "/flows?"+url.Values{"email": {email}}.Encode(), nil, &list); err != nil {
		return nil, err
	}
	return list.Flows, nil
}

// ChangeSettings changes the settings that are named, in the words of the configuration file:
// {"passwordless": {"validity_s": 60}}. A nil value goes back to the configured one.
//
// Errors: [*Error] with status 400 for a setting that does not work. Then nothing was changed.
func (e *Environment) ChangeSettings(ctx context.Context, settings map[string]any) error {
	return e.api().call(ctx, "PATCH", "/settings", settings, nil)
}

func (e *Environment) api() api { return api{base: e.URL, token: e.server.token} }
