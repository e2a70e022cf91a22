package vestibuletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options says how to start a server. The zero value will do.
type Options struct {
	// Binary is the server's program. Without it, the variable VESTIBULE_BIN counts, then `vestibule` in PATH, then the
	// program that npm's package @vestibule-idp/server or PyPI's vestibule-idp put below this folder or one above it.
	Binary string
	// Args are further arguments, such as "--config", "vestibule.toml".
	Args []string
	// StartTimeout is how long the server may take until it answers: 30 s when zero.
	StartTimeout time.Duration
}

// Server is a Vestibule server.
type Server struct {
	// URL is the environment URL of the default environment, without a slash at the end.
	URL string
	// HTTPSURL is the same with TLS. It is empty after Attach.
	HTTPSURL string
	// CAFile is the certificate authority behind HTTPSURL, as PEM. It is empty after Attach.
	CAFile string
	// ClientID and ClientSecret are those of the default environment's first application.
	ClientID     string
	ClientSecret string

	token   string
	process *process
}

// Start starts a server of its own on a free port of the loopback interface. It keeps nothing. The end of ctx does not
// stop it: call Stop.
//
// The server sees only PATH, HOME and the variables for temporary folders, so that settings of the machine do not
// change tests. It reads a vestibule.toml in the working directory, as always.
//
// Errors: no such binary, a server that ends at once (with its log), or one that does not answer in time.
func Start(ctx context.Context, options Options) (*Server, error) {
	binary, err := findProgram(options.Binary)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "vestibuletest-")
	if err != nil {
		return nil, fmt.Errorf("vestibule: %w", err)
	}
	// Nobody reads the folder once the server answers, and a test process that is killed could not delete it later.
	defer os.RemoveAll(folder)
	readyFile := filepath.Join(folder, "ready.json")
	logFile := filepath.Join(folder, "log")
	// A file, not a pipe: `go test` waits for everyone who holds its output.
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("vestibule: %w", err)
	}
	defer log.Close()

	arguments := append([]string{"--ephemeral", "--listen", "localhost:0", "--ready-file", readyFile}, options.Args...)
	command := exec.Command(binary, arguments...)
	command.Env = serverEnvironment()
	command.Stdout = log
	command.Stderr = log
	endWithParent(command)
	process, err := startProcess(command)
	if err != nil {
		return nil, fmt.Errorf("vestibule: %w", err)
	}
	server, err := process.waitReady(ctx, readyFile, options.StartTimeout)
	if err != nil {
		// The log says more than the exit status.
		process.kill()
		text, _ := os.ReadFile(logFile)
		return nil, fmt.Errorf("vestibule: %s: %w\n%s", binary, err, strings.TrimSpace(string(text)))
	}
	return server, nil
}

// Attach uses a server that runs already, by its URL. The token is the control API's; it may be empty where the server
// wants none, as on loopback.
//
// Errors: a server that does not answer, or [*Error] when it refuses, as with a wrong token.
func Attach(ctx context.Context, url, token string) (*Server, error) {
	server := &Server{URL: strings.TrimRight(url, "/"), token: token}
	var view environmentView
	if err := server.api().call(ctx, "GET", "/environment", nil, &view); err != nil {
		return nil, err
	}
	server.ClientID, server.ClientSecret = view.ClientID, view.ClientSecret
	return server, nil
}

// Stop ends a server that Start started, and waits for its end. After Attach, and the second time, it does nothing.
//
// Errors: a server that did not end well, or that had to be killed because it did not end within 10 s.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	return s.process.stop()
}

// Default is the environment that is there without being made: the one that an application talks to which was given
// the server's own URL and credentials. All tests that use it share it.
func (s *Server) Default() *Environment {
	return &Environment{URL: s.URL, ClientID: s.ClientID, ClientSecret: s.ClientSecret, server: s}
}

func (s *Server) api() api { return api{base: s.URL, token: s.token} }

// serverEnvironment leaves out everything that could configure the server.
func serverEnvironment() []string {
	var variables []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			variables = append(variables, name+"="+value)
		}
	}
	return variables
}

// process is a started server. The channel closes when it has ended; err is to be read after that.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error
	once    sync.Once
	stopErr error
}

// startProcess starts the command on a thread that stays until the command ends: the kernel takes the end of the
// thread that started a child for the end of the parent.
func startProcess(command *exec.Cmd) (*process, error) {
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, <-started
}

func (p *process) waitReady(ctx context.Context, readyFile string, timeout time.Duration) (*Server, error) {
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// The server writes the file in one step, so what is there is whole.
		text, err := os.ReadFile(readyFile)
		if err == nil {
			return p.readReady(text)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("ended before it answered: %s", p.command.ProcessState)
		case <-ctx.Done():
			return nil, fmt.Errorf("did not answer in time: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (p *process) readReady(text []byte) (*Server, error) {
	var ready struct {
		EnvironmentURL string `json:"environment_url"`
		HTTPSURL       string `json:"https_url"`
		CAFile         string `json:"ca_file"`
		ClientID       string `json:"client_id"`
		ClientSecret   string `json:"client_secret"`
	}
	if err := json.Unmarshal(text, &ready); err != nil {
		return nil, fmt.Errorf("ready file: %w", err)
	}
	return &Server{
		URL:          ready.EnvironmentURL,
		HTTPSURL:     ready.HTTPSURL,
		CAFile:       ready.CAFile,
		ClientID:     ready.ClientID,
		ClientSecret: ready.ClientSecret,
		process:      p,
	}, nil
}

func (p *process) stop() error {
	p.once.Do(func() {
		// Where there is no SIGTERM, there is only the hard way.
		if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.kill()
			return
		}
		select {
		case <-p.ended:
			if p.err != nil {
				p.stopErr = fmt.Errorf("vestibule: the server did not end well: %w", p.err)
			}
		case <-time.After(10 * time.Second):
			p.kill()
			p.stopErr = errors.New("vestibule: the server did not end within 10 s and was killed")
		}
	})
	return p.stopErr
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}
