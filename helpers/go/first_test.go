package vestibuletest_test

import (
	"testing"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

func TestMain(m *testing.M) { vestibuletest.Main(m) }

func TestFirstSignIn(t *testing.T) {
	env := vestibuletest.New(t)
	inbox := env.MustInbox(t, "ada@example.com")  // what arrives from now on
	page := openSignIn(t, env, "ada@example.com") // your application, in your test's browser
	tokens := page.enterCode(t, inbox.MustCode(t))

	if tokens.Email != "ada@example.com" {
		t.Errorf("signed in as %q", tokens.Email)
	}
}
