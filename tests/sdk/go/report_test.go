package sdktest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"testing"

	scalekit "github.com/scalekit-inc/scalekit-sdk-go/v2"
)

// Report is what the table of tested SDKs is made from.
type Report struct {
	SDK       string            `json:"sdk"`
	Version   string            `json:"version"`
	Transport string            `json:"transport"`
	Results   map[string]string `json:"results"`
}

// sdkVersion is the version that was compiled in, as its source files' path has it: what go.mod of this build asked
// for, and not what the SDK says about itself.
func sdkVersion(t *testing.T) string {
	t.Helper()
	entry := reflect.ValueOf(scalekit.NewScalekitClient).Pointer()
	file, _ := runtime.FuncForPC(entry).FileLine(entry)
	version := regexp.MustCompile(`/v2@v([^/]+)/`).FindStringSubmatch(filepath.ToSlash(file))
	if version == nil {
		t.Fatalf("no version in %q", file)
	}
	return version[1]
}

// note keeps the outcome of a scenario when it ends. The file is written anew each time, so that a run that breaks off
// leaves what it knows, and never an earlier run's results.
func (r *Report) note(t *testing.T, scenario string) {
	t.Cleanup(func() {
		switch {
		case t.Failed():
			r.Results[scenario] = "fail"
		case t.Skipped():
			r.Results[scenario] = "n/a"
		default:
			r.Results[scenario] = "pass"
		}
		r.write(t)
	})
}

func (r *Report) write(t *testing.T) {
	t.Helper()
	folder := os.Getenv("VESTIBULE_SDK_REPORT")
	if folder == "" {
		return
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "go-"+r.Version+"-"+r.Transport+".json"), append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}
