//! What ends the server: signals, or the command that runs it.

use std::io;

use tokio::sync::mpsc;

#[cfg(unix)]
use unix::Signals;
#[cfg(windows)]
use windows::Signals;

/// Requests to stop.
pub struct StopRequests(Origin);

enum Origin {
    Signals(Signals),
    /// Another part of this process.
    Owner(mpsc::Receiver<()>),
}

impl StopRequests {
    /// The signals that service managers and terminals send. From the moment this is made none is missed.
    pub fn signals() -> io::Result<Self> {
        Ok(Self(Origin::Signals(Signals::listen()?)))
    }

    /// Whoever has the sender. Dropping it is a request, too.
    pub fn by_owner() -> (mpsc::Sender<()>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(Origin::Owner(receiver)))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Origin::Signals(signals) => signals.next().await,
            Origin::Owner(receiver) => {
                receiver.recv().await;
            }
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// SIGTERM, as service managers send it, and SIGINT, which is Ctrl-C. From the moment this is made none is missed.
    pub(in crate::server) struct Signals {
        terminate: Signal,
        interrupt: Signal,
    }

    impl Signals {
        pub(in crate::server) fn listen() -> io::Result<Self> {
            let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            Ok(Self { terminate, interrupt })
        }

        /// Waits for the next one.
        pub(in crate::server) async fn next(&mut self) {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
        }
    }
}

#[cfg(windows)]
mod windows {
    use std::io;

    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, CtrlShutdown};
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    /// Ctrl-C and Ctrl-Break, a console that is closed, and the end of the system.
    pub(in crate::server) struct Signals {
        interrupt: CtrlC,
        stop: CtrlBreak,
        close: CtrlClose,
        shutdown: CtrlShutdown,
    }

    impl Signals {
        pub(in crate::server) fn listen() -> io::Result<Self> {
            Ok(Self {
                interrupt: ctrl_c()?,
                stop: ctrl_break()?,
                close: ctrl_close()?,
                shutdown: ctrl_shutdown()?,
            })
        }

        /// Waits for the next one.
        pub(in crate::server) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.stop.recv() => {}
                _ = self.close.recv() => {}
                _ = self.shutdown.recv() => {}
            }
        }
    }
}
