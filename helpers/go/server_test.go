package vestibuletest_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

func TestStartAttachStop(t *testing.T) {
	t.Parallel()
	server := start(t)
	if _, err := os.Stat(server.CAFile); err != nil || !strings.HasPrefix(server.HTTPSURL, "https://") {
		t.Errorf("server %+v: %v", server, err)
	}
	attached, err := vestibuletest.Attach(ctx, server.URL+"/", "")
	if err != nil {
		t.Fatal(err)
	}
	if attached.URL != server.URL || attached.ClientID != server.ClientID || attached.ClientSecret != server.ClientSecret {
		t.Errorf("attached %+v to %+v", attached, server)
	}

	env := attached.Default()
	page := openSignIn(t, env, "ada@example.com")
	page.enterCode(t, env.MustCode(t, "ada@example.com"))
	if err := env.Delete(ctx); err == nil {
		t.Error("the default environment was deleted")
	}

	// Who attached does not end what others started.
	if err := attached.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := vestibuletest.Attach(ctx, server.URL, ""); err != nil {
		t.Error(err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := vestibuletest.Attach(ctx, server.URL, ""); err == nil {
		t.Error("the server answers after its end")
	}
	if err := server.Stop(); err != nil {
		t.Error("second stop:", err)
	}
}

func TestNewEnvironment(t *testing.T) {
	t.Parallel()
	server := start(t)
	options := vestibuletest.EnvironmentOptions{
		Name: "chosen", RedirectURIs: []string{"https://app.example.com/callback"}, NoInstantSignIn: true,
	}
	env, err := server.NewEnvironment(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	if env.Name != "chosen" || env.URL != server.URL+"/e/chosen" {
		t.Errorf("environment %+v", env)
	}
	_, err = server.NewEnvironment(ctx, options)
	wantStatus(t, err, http.StatusConflict)
	_, err = env.SignIn(ctx, "ada@example.com", authorizationURL(env, ""))
	wantStatus(t, err, http.StatusForbidden)
	if err := env.Delete(ctx); err != nil {
		t.Error(err)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "vestibule.toml")
	if err := os.WriteFile(config, []byte("[control]\ntoken = \"a-token-that-is-long-enough-for-this\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, "--config", config)
	_, err := vestibuletest.Attach(ctx, server.URL, "wrong")
	wantStatus(t, err, http.StatusUnauthorized)
	attached, err := vestibuletest.Attach(ctx, server.URL, "a-token-that-is-long-enough-for-this")
	if err != nil {
		t.Fatal(err)
	}
	env, err := attached.NewEnvironment(ctx, vestibuletest.EnvironmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	openSignIn(t, env, "ada@example.com")
	env.MustCode(t, "ada@example.com")
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	if _, err := vestibuletest.Start(ctx, vestibuletest.Options{Binary: "no-such-vestibule"}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no binary: %v", err)
	}
	// The server's own words are in the error.
	_, err := vestibuletest.Start(ctx, vestibuletest.Options{Args: []string{"--no-such-option"}})
	if err == nil || !strings.Contains(err.Error(), "--no-such-option") {
		t.Errorf("wrong option: %v", err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := vestibuletest.Start(over, vestibuletest.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("context that is over: %v", err)
	}
}

// TestServerEndsWithItsProcess runs this test binary again, as a child that starts a server and is then killed.
func TestServerEndsWithItsProcess(t *testing.T) {
	if os.Getenv("CHILD_OF_TEST") != "" {
		os.Stdout.WriteString(start(t).URL + "\n")
		select {}
	}
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child with its parent")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithItsProcess$")
	child.Env = append(os.Environ(), "CHILD_OF_TEST=1")
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, err := output.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(line[:n]))
	if _, err := vestibuletest.Attach(ctx, url, ""); err != nil {
		t.Fatalf("%q: %v", url, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed, so this is an error
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := vestibuletest.Attach(ctx, url, ""); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server lives on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func start(t testing.TB, arguments ...string) *vestibuletest.Server {
	t.Helper()
	server, err := vestibuletest.Start(ctx, vestibuletest.Options{Args: arguments})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}
