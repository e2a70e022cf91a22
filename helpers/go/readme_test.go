package vestibuletest_test

import (
	"os"
	"strings"
	"testing"
)

// The first sample of the README is what first_test.go runs.
func TestReadmeSample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("first_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	sample, _, closed := strings.Cut(rest, "```")
	if !closed || len(strings.Split(strings.TrimSpace(sample), "\n")) < 3 {
		t.Fatalf("no sample in the README, but %q", sample)
	}
	if !strings.Contains(string(source), "\n"+sample) {
		t.Errorf("first_test.go does not run the README's sample:\n%s", sample)
	}
}
