//go:build !linux

package vestibuletest

import "os/exec"

// endWithParent does nothing: only Linux ends a child with its parent. [Main] and [Server.Stop] end the server here.
func endWithParent(*exec.Cmd) {}
