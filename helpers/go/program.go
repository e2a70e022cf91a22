package vestibuletest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

const noProgram = "No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or " +
	"`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one."

// findProgram is the program that is named, or else the first that is found.
func findProgram(named string) (string, error) {
	if named == "" {
		named = os.Getenv("VESTIBULE_BIN")
	}
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("vestibule: %w", err)
		}
		return path, nil
	}
	path, err := exec.LookPath("vestibule")
	if err == nil {
		return path, nil
	}
	folder, wrong := os.Getwd()
	if wrong != nil {
		return "", fmt.Errorf("vestibule: %w", wrong)
	}
	if path := installedProgram(folder); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("vestibule: %s (%w)", noProgram, err)
}

// installedProgram is the program of a package in this folder or one above it, or empty.
func installedProgram(folder string) string {
	for {
		for _, place := range packagePlaces() {
			path := filepath.Join(folder, place)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path
			}
		}
		above := filepath.Dir(folder)
		if above == folder {
			return ""
		}
		folder = above
	}
}

// packagePlaces is where npm, pnpm and a virtual environment of Python put the program.
func packagePlaces() []string {
	systems := map[string]string{"darwin": "macos", "linux": "linux", "windows": "windows"}
	processors := map[string]string{"amd64": "x64", "arm64": "arm64"}
	npm := "@vestibule-idp/server-" + systems[runtime.GOOS] + "-" + processors[runtime.GOARCH]
	program, venv := "vestibule", "bin"
	if runtime.GOOS == "windows" {
		program, venv = "vestibule.exe", "Scripts"
	}
	var places []string
	for _, modules := range []string{"node_modules", "node_modules/.pnpm/node_modules"} {
		for _, name := range []string{npm, npm + "-musl"} {
			places = append(places, filepath.Join(modules, name, "bin", program))
		}
	}
	return append(places, filepath.Join(".venv", venv, program))
}
