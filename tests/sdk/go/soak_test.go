package sdktest

import (
	"os"
	"strconv"
	"testing"

	"connectrpc.com/connect"
	scalekit "github.com/scalekit-inc/scalekit-sdk-go/v2"
)

// TestSoak alternates calls that are refused before their body is read with calls that are answered, over the same
// connections: none may be lost. VESTIBULE_SDK_CALLS says how many.
func TestSoak(t *testing.T) {
	calls := 600
	if text := os.Getenv("VESTIBULE_SDK_CALLS"); text != "" {
		var err error
		if calls, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, transport := range []string{"http", "https"} {
		t.Run(transport, func(t *testing.T) {
			app := appOf(t, startFor(t, transport, "main"), transport)
			for call := 0; call < calls; call += 2 {
				_, err := app.Directory().ListDirectories(t.Context(), "org_1")
				refused(t, err, connect.CodeUnimplemented, "NOT_EMULATED", "ListDirectories")
				if call%4 == 0 {
					if _, err := app.GetClientAccessToken(t.Context()); err != nil {
						t.Errorf("call %d: %v", call+1, err)
					}
				} else {
					_, err := app.Passwordless().VerifyPasswordlessEmail(t.Context(), &scalekit.VerifyPasswordlessOptions{Code: "123456", AuthRequestId: "nobody"})
					refused(t, err, connect.CodeNotFound, "AUTH_REQUEST_NOT_FOUND", "not found")
				}
				if t.Failed() {
					t.Fatalf("lost within %d calls", call+2)
				}
			}
		})
	}
}
