package vestibuletest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// New makes an environment for one test and deletes it when the test is over. All tests of a test binary share one
// server, which starts with the first of them. At most one options value is taken.
//
// The test fails at once when there is no server or the server refuses the options.
func New(t testing.TB, options ...EnvironmentOptions) *Environment {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shared.once.Do(func() { shared.server, shared.err = Start(ctx, Options{}) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	var chosen EnvironmentOptions
	if len(options) > 1 {
		t.Fatal("vestibule: New takes at most one EnvironmentOptions")
	}
	if len(options) == 1 {
		chosen = options[0]
	}
	environment, err := shared.server.NewEnvironment(ctx, chosen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := environment.Delete(ctx)
		var refusal *Error
		if errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
			return // the test deleted it itself
		}
		if err != nil {
			t.Errorf("delete environment %s: %v", environment.Name, err)
		}
	})
	return environment
}

// Main runs the tests of a test binary and then stops the server that New started. It is all that TestMain needs:
//
//	func TestMain(m *testing.M) { vestibuletest.Main(m) }
//
// On Linux the server ends with the test binary even without it, as after a panic or a time-out.
func Main(m *testing.M) {
	code := m.Run()
	// Tests that used no server never started one, and start none now.
	shared.once.Do(func() {})
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// MustCode is WaitForCode that fails the test at once when there is no code within 10 s or what Within says.
func (e *Environment) MustCode(t testing.TB, address string, options ...WaitOption) string {
	t.Helper()
	code, err := e.WaitForCode(context.Background(), address, options...)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// MustInbox is Inbox that fails the test at once when the server refuses.
func (e *Environment) MustInbox(t testing.TB, address string) *Inbox {
	t.Helper()
	inbox, err := e.Inbox(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	return inbox
}

// MustCode is NextCode that fails the test at once when there is no code within 10 s or what Within says.
func (i *Inbox) MustCode(t testing.TB, options ...WaitOption) string {
	t.Helper()
	code, err := i.NextCode(context.Background(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// MustLink is NextLink that fails the test at once when there is no link within 10 s or what Within says.
func (i *Inbox) MustLink(t testing.TB, options ...WaitOption) string {
	t.Helper()
	link, err := i.NextLink(context.Background(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// MustLink is WaitForLink that fails the test at once when there is no link within 10 s or what Within says.
func (e *Environment) MustLink(t testing.TB, address string, options ...WaitOption) string {
	t.Helper()
	link, err := e.WaitForLink(context.Background(), address, options...)
	if err != nil {
		t.Fatal(err)
	}
	return link
}
