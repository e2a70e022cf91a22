package vestibuletest_test

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

const callback = "http://localhost:3000/callback"

// answer is a response whose body was read.
type answer struct {
	status   int
	location string
	body     string
	header   http.Header
}

// page is a browser in the middle of a sign-in, with what the application behind it knows.
type page struct {
	env    *vestibuletest.Environment
	client *http.Client
	url    string
}

// tokens is what the application has in the end.
type tokens struct {
	Email       string
	AccessToken string
}

func newBrowser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{
		Jar: jar,
		// Nothing listens at the callback; the tests read where they would go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func authorizationURL(env *vestibuletest.Environment, email string) string {
	query := url.Values{
		"client_id":     {env.ClientID},
		"response_type": {"code"},
		"redirect_uri":  {callback},
		"scope":         {"openid email"},
		"state":         {"a-state"},
	}
	if email != "" {
		query.Set("login_hint", email)
	}
	return env.URL + "/oauth/authorize?" + query.Encode()
}

// openSignIn does what an application and its user do until the page that wants the code.
func openSignIn(t testing.TB, env *vestibuletest.Environment, email string) *page {
	t.Helper()
	p := &page{env: env, client: newBrowser(t)}
	p.open(t, email)
	return p
}

// open begins one more sign-in in the same browser.
func (p *page) open(t testing.TB, email string) {
	t.Helper()
	begun := p.get(t, authorizationURL(p.env, email))
	if begun.status != http.StatusSeeOther || !strings.Contains(begun.location, "/login/") {
		t.Fatalf("authorize: %d to %q: %s", begun.status, begun.location, begun.body)
	}
	p.url = begun.location
	if shown := p.get(t, p.url); shown.status != http.StatusOK {
		t.Fatalf("page: %d: %s", shown.status, shown.body)
	}
}

func (p *page) get(t testing.TB, address string) answer {
	t.Helper()
	response, err := p.client.Get(address)
	return read(t, response, err)
}

func (p *page) post(t testing.TB, address string, form url.Values) answer {
	t.Helper()
	response, err := p.client.PostForm(address, form)
	return read(t, response, err)
}

func read(t testing.TB, response *http.Response, err error) answer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header.Get("Location"), string(body), response.Header}
}

// tryCode sends the form with a code, and goes on to the page that says what is wrong with it.
func (p *page) tryCode(t testing.TB, code string) answer {
	t.Helper()
	judged := p.post(t, p.url+"/code", url.Values{"code": {code}})
	if strings.HasPrefix(judged.location, p.url) {
		return p.get(t, judged.location)
	}
	return judged
}

// enterCode goes on to the application, which takes its tokens.
func (p *page) enterCode(t testing.TB, code string) tokens {
	t.Helper()
	return p.finish(t, p.tryCode(t, code))
}

var linkToken = regexp.MustCompile(`name="link_token" value="([^"]+)"`)

// followLink opens the link of an email and sends the form that the page there sends by itself.
func (p *page) followLink(t testing.TB, link string) tokens {
	t.Helper()
	shown := p.get(t, link)
	field := linkToken.FindStringSubmatch(shown.body)
	if field == nil {
		t.Fatalf("link: %d: %s", shown.status, shown.body)
	}
	form := url.Values{"link_token": {html.UnescapeString(field[1])}}
	return p.finish(t, p.post(t, p.env.URL+"/login/link", form))
}

// finish is the application's callback: a code for tokens.
func (p *page) finish(t testing.TB, redirect answer) tokens {
	t.Helper()
	if !strings.HasPrefix(redirect.location, callback) {
		t.Fatalf("no way back to the application: %d: %s", redirect.status, redirect.body)
	}
	back, err := url.Parse(redirect.location)
	if err != nil {
		t.Fatal(err)
	}
	if state := back.Query().Get("state"); state != "a-state" {
		t.Fatalf("state %q", state)
	}
	return takeTokens(t, p.env, back.Query().Get("code"))
}

// requestTokens sends an authorization code to the token endpoint.
func requestTokens(t testing.TB, env *vestibuletest.Environment, code string) answer {
	t.Helper()
	response, err := http.PostForm(env.URL+"/oauth/token", url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {callback},
		"client_id":     {env.ClientID},
		"client_secret": {env.ClientSecret},
	})
	return read(t, response, err)
}

func takeTokens(t testing.TB, env *vestibuletest.Environment, code string) tokens {
	t.Helper()
	got := requestTokens(t, env, code)
	if got.status != http.StatusOK {
		t.Fatalf("token: %d: %s", got.status, got.body)
	}
	var set struct {
		AccessToken string `json:"access_token"`
		IDToken     string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &set); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(set.IDToken, ".")
	if len(parts) != 3 {
		t.Fatalf("id token %q", set.IDToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Email string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return tokens{Email: claims.Email, AccessToken: set.AccessToken}
}
