// Package sdktest runs Scalekit's Go SDK, unmodified, against a Vestibule of its own, once over http:// and once over
// https://. VESTIBULE_BIN names the server; with VESTIBULE_SDK_REPORT set, the outcome is written there as JSON.
package sdktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// folderVariable tells the second process where the servers live.
const folderVariable = "VESTIBULE_SDK_GO_FOLDER"

// folder is where the servers of this run keep everything.
var folder string

// TestMain runs the tests in a second process. Go reads SSL_CERT_FILE once per process, so the certificate authorities
// must exist before the process that trusts them; an application is started with that variable, too.
func TestMain(m *testing.M) {
	if folder = os.Getenv(folderVariable); folder != "" {
		os.Exit(m.Run())
	}
	code, err := runAgain()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAgain() (int, error) {
	folder, err := os.MkdirTemp("", "vestibule-sdk-go-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	bundle, err := makeAuthorities(folder)
	if err != nil {
		return 0, err
	}
	return runTests(append(os.Environ(), folderVariable+"="+folder, "SSL_CERT_FILE="+bundle))
}

// makeAuthorities lets each server that will speak TLS make its data folder, and with it its authority, and puts the
// authorities into one file.
func makeAuthorities(folder string) (string, error) {
	pems := make([][]byte, len(roles))
	problems := make([]error, len(roles))
	var wait sync.WaitGroup
	for i, role := range roles {
		wait.Go(func() { pems[i], problems[i] = makeAuthority(folderOf(folder, "https", role)) })
	}
	wait.Wait()
	if err := errors.Join(problems...); err != nil {
		return "", err
	}
	bundle := filepath.Join(folder, "authorities.pem")
	var all []byte
	for _, pem := range pems {
		all = append(append(all, pem...), '\n')
	}
	return bundle, os.WriteFile(bundle, all, 0o600)
}

func makeAuthority(folder string) ([]byte, error) {
	server, err := start(folder, 0)
	if err != nil {
		return nil, err
	}
	// Without TLS there is no authority; the tests over https:// will say so, and those over http:// can still run.
	var pem []byte
	if server.CAFile != "" {
		if pem, err = os.ReadFile(server.CAFile); err != nil {
			return nil, errors.Join(err, server.stop())
		}
	}
	return pem, server.stop()
}

// runTests runs this program again as the leader of a process group, which takes along every server it started,
// however it ends.
func runTests(environment []string) (int, error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	tests := exec.Command(program, withoutTestLog(os.Args[1:])...)
	tests.Env = environment
	tests.Stdin, tests.Stdout, tests.Stderr = os.Stdin, os.Stdout, os.Stderr
	tests.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	if err := tests.Start(); err != nil {
		return 0, err
	}
	group := -tests.Process.Pid
	go func() {
		for got := range signals {
			_ = syscall.Kill(group, got.(syscall.Signal))
		}
	}()
	err = tests.Wait()
	_ = syscall.Kill(group, syscall.SIGKILL)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if code := tests.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 0, fmt.Errorf("the tests ended with %s", tests.ProcessState)
}

// withoutTestLog leaves out the log from which `go test` decides that an earlier result still stands: it would not
// notice a new server.
func withoutTestLog(arguments []string) []string {
	var kept []string
	for _, argument := range arguments {
		if !strings.HasPrefix(argument, "-test.testlogfile=") {
			kept = append(kept, argument)
		}
	}
	return kept
}
