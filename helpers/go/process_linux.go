package vestibuletest

import (
	"os/exec"
	"syscall"
)

// endWithParent lets the kernel end the server when this process ends, however it ends.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
