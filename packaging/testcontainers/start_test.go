package start

import (
	"crypto/rand"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

func TestStart(t *testing.T) {
	ctx := t.Context()
	token := rand.Text()
	container, err := testcontainers.Run(ctx, "ghcr.io/vestibule-idp/vestibule:0.1",
		testcontainers.WithEnv(map[string]string{"VESTIBULE_EPHEMERAL": "true", "VESTIBULE_CONTROL__TOKEN": token}),
		testcontainers.WithExposedPorts("6870/tcp"),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/ready").WithPort("6870/tcp")),
	)
	testcontainers.CleanupContainer(t, container)
	if err != nil {
		t.Fatal(err)
	}
	url, err := container.PortEndpoint(ctx, "6870/tcp", "http")
	if err != nil {
		t.Fatal(err)
	}
	server, err := vestibuletest.Attach(ctx, url, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.NewEnvironment(ctx, vestibuletest.EnvironmentOptions{}); err != nil {
		t.Fatal(err)
	}
}
