package vestibuletest_test

import (
	"context"
	"fmt"
	"log"

	vestibuletest "github.com/vestibule-idp/vestibule/helpers/go"
)

// A server and an environment without a test around them.
func Example() {
	ctx := context.Background()
	server, err := vestibuletest.Start(ctx, vestibuletest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()

	env, err := server.NewEnvironment(ctx, vestibuletest.EnvironmentOptions{Name: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	result, err := env.SignIn(ctx, "ada@example.com", authorizationURL(env, ""))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(env.Name, result.State)
	// Output: demo a-state
}
