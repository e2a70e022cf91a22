package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

func TestMain(m *testing.M) { vestibuletest.Main(m) }

func TestSignsInByTheCodeOfTheEmailAndOut(t *testing.T) {
	env := vestibuletest.New(t)
	home := startApp(t, env)
	browser := openBrowser(t)
	inbox := env.MustInbox(t, "ada@example.com") // what arrives from now on
	run(t, browser,
		chromedp.Navigate(home),
		chromedp.Click(`//a[.="Sign in"]`),
		chromedp.SendKeys(`input[name="email"]`, "ada@example.com"),
		chromedp.Click(`//button[.="Continue"]`),
	)
	run(t, browser,
		chromedp.SendKeys(`input[name="code"]`, inbox.MustCode(t)),
		chromedp.Click(`//button[.="Continue"]`),
		chromedp.WaitVisible(`//p[.="Signed in as ada@example.com"]`),
		chromedp.Click(`//button[.="Sign out"]`),
		chromedp.WaitVisible(`//a[.="Sign in"]`),
	)
}

func TestRefusesACallbackOfASignInThatDidNotBeginHere(t *testing.T) {
	home := startApp(t, vestibuletest.New(t))
	response, err := http.Get(home + "/auth/callback?code=stolen&state=made-up")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", response.StatusCode)
	}
}

// startApp runs the application, which learns of Vestibule by its environment variables alone.
func startApp(t *testing.T, env *vestibuletest.Environment) (home string) {
	t.Helper()
	t.Setenv("SCALEKIT_ENVIRONMENT_URL", env.URL)
	t.Setenv("SCALEKIT_CLIENT_ID", env.ClientID)
	t.Setenv("SCALEKIT_CLIENT_SECRET", env.ClientSecret)
	server := httptest.NewUnstartedServer(nil)
	home = "http://" + server.Listener.Addr().String()
	server.Config.Handler = newApp(home)
	server.Start()
	t.Cleanup(server.Close)
	return home
}

func openBrowser(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

func run(t *testing.T, browser context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if _, err := chromedp.Run(browser, chromedp.Steps(steps...)); err != nil {
		t.Fatal(err)
	}
}
