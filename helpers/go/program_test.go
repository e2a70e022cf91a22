package vestibuletest_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

// Packages are found from the folder of the test. The tests here change folder and variables, so they are not parallel.
func TestProgramOfAPackageIsFound(t *testing.T) {
	program, err := filepath.Abs(os.Getenv("VESTIBULE_BIN"))
	if err != nil {
		t.Fatal(err)
	}
	processor := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	for name, place := range map[string]string{
		"npm":    "node_modules/@vestibule-idp/server-linux-" + processor + "/bin/vestibule",
		"pnpm":   "node_modules/.pnpm/node_modules/@vestibule-idp/server-linux-" + processor + "/bin/vestibule",
		"musl":   "node_modules/@vestibule-idp/server-linux-" + processor + "-musl/bin/vestibule",
		"Python": ".venv/bin/vestibule",
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("the places are those of Linux")
			}
			project := t.TempDir()
			installed := filepath.Join(project, place)
			if err := os.MkdirAll(filepath.Dir(installed), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(program, installed); err != nil {
				t.Fatal(err)
			}
			below := filepath.Join(project, "internal", "login")
			if err := os.MkdirAll(below, 0o755); err != nil {
				t.Fatal(err)
			}
			withoutProgram(t, below)
			start(t)
		})
	}
}

func TestWithoutAProgramTheErrorSaysHowToGetOne(t *testing.T) {
	withoutProgram(t, t.TempDir())
	_, err := vestibuletest.Start(ctx, vestibuletest.Options{})
	sentence := "No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or " +
		"`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one."
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Error(err)
	}
}

// withoutProgram makes this the folder of the test, with no program in variables or PATH.
func withoutProgram(t *testing.T, folder string) {
	t.Helper()
	t.Setenv("VESTIBULE_BIN", "")
	t.Setenv("PATH", t.TempDir())
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chdir(before); err != nil {
			t.Error(err)
		}
	})
}
