package vestibuletest_test

import (
	"testing"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

func TestMain(m *testing.M) { vestibuletest.Main(m) }

func TestFirstSignIn(t *testing.T) {
	env := vestibuletest.New(t)
	page := openSignIn(t, env, "ada@example.com") // your application, in your test's browser
	tokens := page.enterCode(t, env.MustCode(t, "ada@example.com"))

	if tokens.Email != "ada@example.com" {
		t.Errorf("signed in as %q", tokens.Email)
	}
}
