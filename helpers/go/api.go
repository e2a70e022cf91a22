package vestibuletest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// FieldError is one mistake in a request.
type FieldError struct {
	// Field is a dotted name such as "passwordless.validity_s". It is empty for the request as a whole.
	Field string `json:"field"`
	// Reason says what is wrong with the field.
	Reason string `json:"reason"`
}

// Error is a refusal by the control API. Get at it with [errors.As].
type Error struct {
	// Status is the HTTP status.
	Status int `json:"status"`
	// Code is the server's name for the mistake, such as "invalid_request" or "not_found".
	Code string `json:"error"`
	// Title is a short text for users, the same for all mistakes of a kind.
	Title string `json:"title"`
	// Detail says what went wrong this time.
	Detail string `json:"detail"`
	// Errors has the fields at fault, if it was about fields.
	Errors []FieldError `json:"errors"`
	// Timeline is what happened in the sign-in that was waited for, a line for each step.
	Timeline []string `json:"timeline"`
}

// Error gives status, title and detail in one line, and the timeline below it.
func (e *Error) Error() string {
	text := fmt.Sprintf("vestibule: %d %s: %s", e.Status, e.Title, e.Detail)
	return strings.Join(append([]string{text}, e.Timeline...), "\n  ")
}

// api is the control API of one environment.
type api struct {
	base  string
	token string
}

// call sends input as JSON unless it is nil, and reads the answer into output unless that is nil.
func (a api) call(ctx context.Context, method, path string, input, output any) error {
	var body io.Reader
	if input != nil {
		encoded, err := json.Marshal(input)
		if err != nil {
			return fmt.Errorf("vestibule: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+"/_emulator/v1"+path, body)
	if err != nil {
		return fmt.Errorf("vestibule: %w", err)
	}
	if input != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("vestibule: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("vestibule: %s %s: %w", method, path, err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return newError(response.StatusCode, answer)
	}
	if output == nil {
		return nil
	}
	if err := json.Unmarshal(answer, output); err != nil {
		return fmt.Errorf("vestibule: %s %s: %w", method, path, err)
	}
	return nil
}

// newError reads a problem document. What lies in front of the control API answers in other forms: a deleted
// environment as OAuth does, a proxy with a page.
func newError(status int, answer []byte) *Error {
	var problem struct {
		Error
		ErrorDescription string `json:"error_description"`
	}
	if err := json.Unmarshal(answer, &problem); err != nil {
		problem.Detail = strings.TrimSpace(string(answer))
	}
	result := problem.Error
	result.Status = status
	if result.Title == "" {
		result.Title = http.StatusText(status)
	}
	if result.Detail == "" {
		result.Detail = problem.ErrorDescription
	}
	return &result
}
