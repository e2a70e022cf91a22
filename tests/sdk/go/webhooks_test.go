package sdktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// delivery is a webhook as an endpoint gets it.
type delivery struct {
	headers map[string]string
	body    []byte
}

// endpoint is an address for webhooks, and what is posted to it.
func endpoint(t *testing.T) (string, <-chan delivery) {
	received := make(chan delivery, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		headers := map[string]string{}
		for name := range r.Header {
			headers[strings.ToLower(name)] = r.Header.Get(name)
		}
		received <- delivery{headers, body}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	return server.URL, received
}

// control calls the control API and reads its answer.
func control(t *testing.T, server *Server, method, path string, body, answer any) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, server.EnvironmentURL+"/_emulator/v1"+path, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %s", method, path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}

func TestWebhookIsVerifiedAndRefusedWhenAByteOrTheTimeIsOff(t *testing.T) {
	url, received := endpoint(t)
	server := startFor(t, "http", "webhooks")
	app := appOf(t, server, "http")
	var made struct {
		Secret string `json:"secret"`
	}
	control(t, server, http.MethodPost, "/webhooks", map[string]any{"url": url}, &made)
	// The environment's clock is nobody's business but the environment's.
	control(t, server, http.MethodPut, "/clock", map[string]any{"advance_s": 86_400}, &struct{}{})
	control(t, server, http.MethodPost, "/api/organizations", map[string]any{"display_name": "Acme"}, &struct{}{})
	var sent delivery
	select {
	case sent = <-received:
	case <-time.After(20 * time.Second):
		t.Fatal("no webhook came")
	}
	if good, err := app.VerifyWebhookPayload(made.Secret, sent.headers, sent.body); !good || err != nil {
		t.Fatalf("%v, %v", good, err)
	}
	seconds, err := strconv.ParseInt(sent.headers["webhook-timestamp"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, value string) map[string]string {
		headers := map[string]string{name: value}
		for known, value := range sent.headers {
			if known != name {
				headers[known] = value
			}
		}
		return headers
	}
	for what, bad := range map[string]delivery{
		"a byte":   {sent.headers, bytes.Replace(sent.body, []byte("Acme"), []byte("Acmf"), 1)},
		"the time": {with("webhook-timestamp", fmt.Sprint(seconds-301)), sent.body},
		"the id":   {with("webhook-id", "evt_1"), sent.body},
	} {
		if good, err := app.VerifyWebhookPayload(made.Secret, bad.headers, bad.body); good || err == nil {
			t.Errorf("%s is off: %v, %v", what, good, err)
		}
	}
}

func TestInterceptorIsVerifiedAndRefusedWhenAByteOrTheTimeIsOff(t *testing.T) {
	url, received := endpoint(t)
	server := startFor(t, "http", "interceptors")
	app := appOf(t, server, "http")
	var made struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	wanted := map[string]any{"url": url, "trigger_point": "PRE_USER_INVITATION"}
	control(t, server, http.MethodPost, "/interceptors", wanted, &made)
	control(t, server, http.MethodPut, "/clock", map[string]any{"advance_s": 86_400}, &struct{}{})
	control(t, server, http.MethodPost, "/interceptors/"+made.ID+"/test", map[string]any{}, &struct{}{})
	var sent delivery
	select {
	case sent = <-received:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was asked")
	}
	if good, err := app.VerifyInterceptorPayload(made.Secret, sent.headers, sent.body); !good || err != nil {
		t.Fatalf("%v, %v", good, err)
	}
	changed := bytes.Replace(sent.body, []byte("Sample"), []byte("Simple"), 1)
	if good, err := app.VerifyInterceptorPayload(made.Secret, sent.headers, changed); good || err == nil {
		t.Errorf("a byte is off: %v, %v", good, err)
	}
	seconds, err := strconv.ParseInt(sent.headers["webhook-timestamp"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	sent.headers["webhook-timestamp"] = fmt.Sprint(seconds - 301)
	if good, err := app.VerifyInterceptorPayload(made.Secret, sent.headers, sent.body); good || err == nil {
		t.Errorf("the time is off: %v, %v", good, err)
	}
}
