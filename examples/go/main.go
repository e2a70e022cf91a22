// An application whose users sign in with Scalekit, or with Vestibule in its place.
package main

import (
	"cmp"
	"crypto/rand"
	"html/template"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/scalekit-inc/scalekit-sdk-go/v2"
)

var page = template.Must(template.New("page").Parse(`{{if .}}<p>Signed in as {{.User.Email}}</p>
<form method="post" action="/logout"><button>Sign out</button></form>
{{else}}<a href="/login">Sign in</a>{{end}}`))

type app struct {
	scalekit scalekit.Scalekit
	home     string
	sessions sync.Map // *scalekit.AuthenticationResponse by the session cookie's value
}

func main() {
	port := cmp.Or(os.Getenv("PORT"), "3000")
	home := cmp.Or(os.Getenv("APP_URL"), "http://localhost:"+port)
	log.Println("listening on", home)
	log.Fatal(http.ListenAndServe("localhost:"+port, newApp(home)))
}

func newApp(home string) http.Handler {
	// Only these variables decide who answers.
	a := &app{home: home, scalekit: scalekit.NewScalekitClient(
		os.Getenv("SCALEKIT_ENVIRONMENT_URL"), os.Getenv("SCALEKIT_CLIENT_ID"), os.Getenv("SCALEKIT_CLIENT_SECRET"),
	)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.index)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /auth/callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	return mux
}

func (a *app) index(w http.ResponseWriter, r *http.Request) {
	var session any
	if cookie, err := r.Cookie("session"); err == nil {
		session, _ = a.sessions.Load(cookie.Value)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, session); err != nil {
		log.Print(err)
	}
}

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	state := rand.Text()
	a.setCookie(w, "state", state)
	to, err := a.scalekit.GetAuthorizationUrl(a.home+"/auth/callback", scalekit.AuthorizationUrlOptions{State: state})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	// Without this check, somebody else's sign-in could be slipped to this browser.
	state, err := r.Cookie("state")
	if err != nil || state.Value == "" || state.Value != r.FormValue("state") {
		http.Error(w, "This sign-in did not begin here.", http.StatusBadRequest)
		return
	}
	options := scalekit.AuthenticationOptions{}
	signedIn, err := a.scalekit.AuthenticateWithCode(r.Context(), r.FormValue("code"), a.home+"/auth/callback", options)
	if err != nil {
		http.Error(w, cmp.Or(r.FormValue("error_description"), err.Error()), http.StatusBadRequest)
		return
	}
	session := rand.Text()
	a.sessions.Store(session, signedIn)
	a.setCookie(w, "session", session)
	a.setCookie(w, "state", "")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	options := scalekit.LogoutUrlOptions{PostLogoutRedirectUri: a.home}
	if cookie, err := r.Cookie("session"); err == nil {
		if session, ok := a.sessions.LoadAndDelete(cookie.Value); ok {
			options.IdTokenHint = session.(*scalekit.AuthenticationResponse).IdToken
		}
	}
	to, err := a.scalekit.GetLogoutUrl(options)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

func (a *app) setCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(a.home, "https:"),
	})
}
