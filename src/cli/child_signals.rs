//! Signals for a command that runs on behalf of this program: they are for the command.

pub(super) use system::{ChildSignals, pass_on, terminate};

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;

    use rustix::process::{Pid, Signal, getpgrp, kill_process};
    use rustix::termios::tcgetpgrp;
    use tokio::process::Child;
    use tokio::signal::unix::{self, SignalKind, signal};

    /// The signals that end programs. From the moment this is made they end this one no more.
    pub(in crate::cli) struct ChildSignals {
        terminate: unix::Signal,
        interrupt: unix::Signal,
        hangup: unix::Signal,
        quit: unix::Signal,
    }

    impl ChildSignals {
        pub(in crate::cli) fn listen() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
                quit: signal(SignalKind::quit())?,
            })
        }

        /// Waits for the next one.
        pub(in crate::cli) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.terminate.recv() => Signal::TERM,
                _ = self.interrupt.recv() => Signal::INT,
                _ = self.hangup.recv() => Signal::HUP,
                _ = self.quit.recv() => Signal::QUIT,
            }
        }
    }

    /// Gives the command a signal, unless it has it already: the keys of a terminal reach all programs in front of it, and
    /// many take a second Ctrl-C for an order to stop at once.
    pub(in crate::cli) fn pass_on(signal: Signal, child: &Child) {
        let is_key = signal == Signal::INT || signal == Signal::QUIT;
        if !(is_key && is_in_front()) {
            send(signal, child);
        }
    }

    /// Asks the command to end.
    pub(in crate::cli) fn terminate(child: &mut Child) {
        send(Signal::TERM, child);
    }

    fn send(signal: Signal, child: &Child) {
        // One that has ended has no id any more.
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(%error, "the command does not get the signal");
        }
    }

    /// Is this the job in front of its terminal?
    fn is_in_front() -> bool {
        let terminal = File::open("/dev/tty");
        terminal.is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|front| front == getpgrp()))
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use tokio::process::Child;

    /// Ctrl-C, which all programs of a console get.
    pub(in crate::cli) struct ChildSignals;

    impl ChildSignals {
        pub(in crate::cli) fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::cli) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The command has it already.
    pub(in crate::cli) fn pass_on((): (), _: &Child) {}

    /// Ends the command.
    pub(in crate::cli) fn terminate(child: &mut Child) {
        let _ = child.start_kill();
    }
}
