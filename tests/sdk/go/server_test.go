package sdktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a server is for: one for most scenarios, one whose clock is moved, one that is started again, one with the
// tokens of user management.
var roles = []string{"main", "clock", "restart", "management"}

// settings is the vestibule.toml of the servers that have one.
var settings = map[string]string{"management": "[tokens]\nuser_management = true\n"}

const (
	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
	pollEvery  = 10 * time.Millisecond
)

// Server is a running Vestibule; the exported fields are those of its ready file.
type Server struct {
	EnvironmentURL string `json:"environment_url"`
	HTTPSURL       string `json:"https_url"`
	CAFile         string `json:"ca_file"`
	ClientID       string `json:"client_id"`
	ClientSecret   string `json:"client_secret"`
	Listen         string `json:"listen"`

	folder  string
	process *os.Process
	ended   chan struct{}
	state   *os.ProcessState
}

func folderOf(folder, transport, role string) string { return filepath.Join(folder, transport, role) }

// startFor starts the server of a role for the time of a test.
func startFor(t *testing.T, transport, role string) *Server {
	t.Helper()
	home := folderOf(folder, transport, role)
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "vestibule.toml"), []byte(settings[role]), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := start(home, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log ends with\n%s", server.logTail())
		}
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// start starts a server in a folder, on a port of its own choice when port is 0.
func start(folder string, port int) (*Server, error) {
	program := os.Getenv("VESTIBULE_BIN")
	if program == "" {
		return nil, errors.New("VESTIBULE_BIN must name the server to test")
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	ready := filepath.Join(folder, "ready.json")
	if err := os.RemoveAll(ready); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(program, "serve", "--listen", fmt.Sprintf("localhost:%d", port), "--ready-file", ready, "--data-dir", "data")
	command.Dir, command.Env, command.Stdout, command.Stderr = folder, environmentOfServer(), log, log
	if err := command.Start(); err != nil {
		return nil, err
	}
	server := &Server{folder: folder, process: command.Process, ended: make(chan struct{})}
	go func() {
		_ = command.Wait()
		server.state = command.ProcessState
		close(server.ended)
	}()
	if err := server.waitUntilReady(ready); err != nil {
		_ = server.process.Kill()
		<-server.ended
		return nil, fmt.Errorf("%w; its log ends with\n%s", err, server.logTail())
	}
	return server, nil
}

// environmentOfServer is this process's, without what configures a server or speaks to these tests.
func environmentOfServer() []string {
	var kept []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name != "DATABASE_URL" && name != "SSL_CERT_FILE" && !strings.HasPrefix(name, "VESTIBULE_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

func (s *Server) waitUntilReady(file string) error {
	limit := time.After(startLimit)
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(text, s); err != nil {
				return fmt.Errorf("the ready file %q: %w", text, err)
			}
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended early: %s", s.state)
		case <-limit:
			return fmt.Errorf("the server was not ready after %s", startLimit)
		case <-time.After(pollEvery):
		}
	}
}

// stop asks the server to end, and expects that it does so cleanly. A server that has been stopped stays so.
func (s *Server) stop() error {
	if err := s.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
		_ = s.process.Kill()
		<-s.ended
		return fmt.Errorf("the server did not stop within %s; its log ends with\n%s", stopLimit, s.logTail())
	}
	if !s.state.Success() {
		return fmt.Errorf("the server ended with %s; its log ends with\n%s", s.state, s.logTail())
	}
	return nil
}

// url is the base URL for a transport, as an application would be configured with it.
func (s *Server) url(t *testing.T, transport string) string {
	t.Helper()
	base := map[string]string{"http": s.EnvironmentURL, "https": s.HTTPSURL}[transport]
	if !strings.HasPrefix(base, transport+"://") {
		t.Fatalf("the ready file has no %s:// address: %q", transport, base)
	}
	if transport == "https" && s.CAFile == "" {
		t.Fatal("the ready file names no ca_file")
	}
	return base
}

func (s *Server) logTail() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// Message is an email in the inbox.
type Message struct {
	ID            string `json:"id"`
	Code          string `json:"code"`
	Link          string `json:"link"`
	AuthRequestID string `json:"auth_request_id"`
}

// mailTo gives the newest email to an address; the server waits for it. With `after`, only a newer one will do.
func mailTo(base, address string, after *Message) (*Message, error) {
	query := url.Values{"to": {address}}
	if after != nil {
		query.Set("since", after.ID)
	}
	response, err := http.Get(base + "/_emulator/v1/messages/latest?" + query.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("no email to %s: %s", address, response.Status)
	}
	message := new(Message)
	return message, json.NewDecoder(response.Body).Decode(message)
}

// advanceClock moves a server's clock on.
func advanceClock(t *testing.T, base string, by time.Duration) {
	t.Helper()
	body := fmt.Sprintf(`{"advance_s": %d}`, int(by.Seconds()))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/_emulator/v1/clock", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the clock did not move: %s", response.Status)
	}
}

// startAgain starts a stopped server on the port and the data folder it had, for the rest of a test.
func startAgain(t *testing.T, stopped *Server) {
	t.Helper()
	_, digits, err := net.SplitHostPort(stopped.Listen)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	server, err := start(stopped.folder, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	if server.EnvironmentURL != stopped.EnvironmentURL || server.ClientSecret != stopped.ClientSecret {
		t.Fatalf("another address or secret after the restart: %s", server.EnvironmentURL)
	}
}
