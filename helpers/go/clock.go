package vestibuletest

import (
	"context"
	"fmt"
	"time"
)

// Clock is an environment's time. Codes, sessions and tokens age by it.
type Clock struct{ environment *Environment }

// Clock gives the environment's clock.
func (e *Environment) Clock() *Clock { return &Clock{environment: e} }

// Now reads the clock.
func (c *Clock) Now(ctx context.Context) (time.Time, error) {
	var view struct{ Now time.Time }
	err := c.environment.api().call(ctx, "GET", "/clock", nil, &view)
	return view.Now, err
}

// Advance moves the clock on, or back when the duration is negative.
//
// Errors: a duration that is not whole seconds; [*Error] with status 400 for more than ten years.
func (c *Clock) Advance(ctx context.Context, by time.Duration) error {
	// Rounding would leave a clock that stands just before the moment that a test means.
	if by%time.Second != 0 {
		return fmt.Errorf("vestibule: the clock moves by whole seconds, not by %s", by)
	}
	return c.change(ctx, map[string]any{"advance_s": int64(by / time.Second)})
}

// Set lets it be this time now.
func (c *Clock) Set(ctx context.Context, now time.Time) error {
	return c.change(ctx, map[string]any{"now": now.Format(time.RFC3339Nano)})
}

// Freeze lets the clock stand still.
func (c *Clock) Freeze(ctx context.Context) error {
	return c.change(ctx, map[string]any{"frozen": true})
}

// Resume lets a frozen clock run on from where it stood.
func (c *Clock) Resume(ctx context.Context) error {
	return c.change(ctx, map[string]any{"frozen": false})
}

// Reset goes back to real time.
func (c *Clock) Reset(ctx context.Context) error {
	return c.environment.api().call(ctx, "DELETE", "/clock", nil, nil)
}

func (c *Clock) change(ctx context.Context, input map[string]any) error {
	return c.environment.api().call(ctx, "PUT", "/clock", input, nil)
}
