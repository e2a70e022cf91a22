package vestibuletest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Request is a request that an application or a browser made to the environment. Nothing secret is in it.
type Request struct {
	// ID is what [Since] takes.
	ID string `json:"id"`
	// RequestID is its x-request-id.
	RequestID string `json:"request_id"`
	// At is a time of the environment's clock.
	At time.Time `json:"at"`
	// Kind is "oauth", "rest", "grpc", "page" or "other".
	Kind   string `json:"kind"`
	Method string `json:"method"`
	// Path is below the environment's URL, or "/service/method" of a gRPC call.
	Path string `json:"path"`
	// Route is the template of the path, such as "/api/v1/users/{id}".
	Route    string `json:"route"`
	ClientID string `json:"client_id"`
	// Parameters are those of query and form. Values that could be secret are "[redacted]".
	Parameters map[string]string `json:"parameters"`
	// Status is the HTTP status; 0 where the connection ended without a response.
	Status int `json:"status"`
	// GRPCStatus is the name of the gRPC status, of a gRPC call.
	GRPCStatus string `json:"grpc_status"`
	// DurationMS is how many milliseconds it took.
	DurationMS float64 `json:"duration_ms"`
	// Error is the code of the error that the caller was told, such as "invalid_grant".
	Error string `json:"error"`
	// Fault is the ID of the fault rule that was applied.
	Fault string `json:"fault"`
	// NotEmulated is what it asked for that is not emulated.
	NotEmulated string `json:"not_emulated"`
}

// NotEmulated is how often an application asked for something that is not emulated.
type NotEmulated struct {
	ClientID string    `json:"client_id"`
	Name     string    `json:"name"`
	Times    int       `json:"times"`
	LastAt   time.Time `json:"last_at"`
}

// RequestList is requests, and where the journal stands.
type RequestList struct {
	// Requests has at most 50, newest first.
	Requests []Request `json:"requests"`
	// Cursor is for [Since]: what is asked from now on.
	Cursor      string        `json:"cursor"`
	NotEmulated []NotEmulated `json:"not_emulated"`
}

// OfClient takes only requests of the client with this ID.
func OfClient(clientID string) WaitOption {
	return func(query url.Values) { query.Set("client_id", clientID) }
}

// Requests gives the newest requests to a path, in which `*` stands for any characters; an empty path is all of them.
func (e *Environment) Requests(ctx context.Context, path string, options ...WaitOption) (*RequestList, error) {
	query := url.Values{}
	if path != "" {
		query.Set("path", path)
	}
	for _, option := range options {
		option(query)
	}
	var list RequestList
	if err := e.api().call(ctx, "GET", "/requests?"+query.Encode(), nil, &list); err != nil {
		return nil, err
	}
	return &list, nil
}

// ExpectRequest gives the newest request to a path, as soon as there is one: "/oauth/token", or "/oauth/*". One that was
// made already counts, unless [Since] says otherwise.
//
// Errors: [*Error] with status 404, and with the last requests, when none came in time.
func (e *Environment) ExpectRequest(ctx context.Context, path string, options ...WaitOption) (*Request, error) {
	list, err := e.Requests(ctx, path, append([]WaitOption{Within(10 * time.Second)}, options...)...)
	if err != nil {
		return nil, err
	}
	if len(list.Requests) > 0 {
		return &list.Requests[0], nil
	}
	last, err := e.Requests(ctx, "")
	if err != nil {
		return nil, err
	}
	seen := []string{}
	for _, request := range last.Requests[:min(5, len(last.Requests))] {
		seen = append(seen, fmt.Sprintf("%s %s %d", request.Method, request.Path, request.Status))
	}
	if len(seen) == 0 {
		seen = append(seen, "none")
	}
	return nil, &Error{
		Status: http.StatusNotFound,
		Code:   "not_found",
		Title:  "No request",
		Detail: fmt.Sprintf("no request to %s came in time; the last ones: %s", path, strings.Join(seen, ", ")),
	}
}
