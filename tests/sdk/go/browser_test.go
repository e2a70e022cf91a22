package sdktest

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const (
	callback     = "http://localhost:3000/auth/callback"
	maxRedirects = 10
)

// browser is a person's browser, as far as signing in needs one: it keeps cookies and posts forms. Nothing listens at
// the application's address, so a redirect that leaves the server is where it stops.
type browser struct {
	t      *testing.T
	base   *url.URL
	client *http.Client
}

// page is where a browser arrived: on a page of the server, or at an address outside of it.
type page struct {
	url    *url.URL
	status int
	body   string
	left   bool
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: t, base: parsed(t, base), client: &http.Client{Jar: jar, CheckRedirect: stay}}
}

func (b *browser) get(address string) *page {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(request)
}

var (
	formWithCode = regexp.MustCompile(`(?s)<form[^>]*\saction="([^"]*/code)"[^>]*>(.*?)</form>`)
	hiddenInput  = regexp.MustCompile(`<input\s[^>]*type="hidden"[^>]*>`)
	nameOf       = regexp.MustCompile(`\sname="([^"]*)"`)
	valueOf      = regexp.MustCompile(`\svalue="([^"]*)"`)
)

// enterCode fills in and sends the form for the code.
func (b *browser) enterCode(at *page, code string) *page {
	b.t.Helper()
	form := formWithCode.FindStringSubmatch(at.body)
	if form == nil {
		b.t.Fatalf("no form for the code on %s (status %d)", at.url, at.status)
	}
	fields := url.Values{"code": {code}}
	for _, input := range hiddenInput.FindAllString(form[2], -1) {
		name, value := nameOf.FindStringSubmatch(input), valueOf.FindStringSubmatch(input)
		if name != nil && value != nil {
			fields.Set(html.UnescapeString(name[1]), html.UnescapeString(value[1]))
		}
	}
	target := at.url.ResolveReference(parsed(b.t, html.UnescapeString(form[1])))
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.base.Scheme+"://"+b.base.Host)
	return b.follow(request)
}

func (b *browser) follow(request *http.Request) *page {
	b.t.Helper()
	for range maxRedirects {
		response, err := b.client.Do(request)
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		if response.StatusCode < 300 || response.StatusCode > 399 {
			return &page{url: request.URL, status: response.StatusCode, body: string(body)}
		}
		next, err := response.Location()
		if err != nil {
			b.t.Fatalf("%s from %s: %v", response.Status, request.URL, err)
		}
		if next.Scheme != b.base.Scheme || next.Host != b.base.Host {
			return &page{url: next, status: response.StatusCode, left: true}
		}
		if request, err = http.NewRequestWithContext(b.t.Context(), http.MethodGet, next.String(), nil); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatalf("more than %d redirects, the last to %s", maxRedirects, request.URL)
	return nil
}

func parsed(t *testing.T, address string) *url.URL {
	t.Helper()
	result, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
