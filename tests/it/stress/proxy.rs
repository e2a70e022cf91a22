//! A small proxy before PostgreSQL, which can be slow, stand still, or hang up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What the way to the database is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Every piece takes this long.
    Slow(Duration),
    /// Nothing gets through; what was sent gets there once the way is open again.
    Still,
    /// Connections break, new ones too.
    Broken,
}

/// The way, and how many connections, counted from the first, will never hear anything again.
#[derive(Debug, Clone, Copy)]
struct State {
    way: Way,
    accepted: u64,
    stranded: u64,
}

impl State {
    /// Does anything get through on this connection?
    fn moves(self, number: u64) -> bool {
        self.way != Way::Still && number >= self.stranded
    }
}

pub struct Proxy {
    pub port: u16,
    state: watch::Sender<State>,
}

impl Proxy {
    pub async fn before(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, told) = watch::channel(State { way: Way::Open, accepted: 0, stranded: 0 });
        let (socket, counter) = (socket.to_owned(), state.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else { return };
                counter.send_modify(|state| state.accepted = number + 1);
                tokio::spawn(connection(client, socket.clone(), number, told.clone()));
            }
        });
        Self { port, state }
    }

    /// URL of the database behind it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub fn set(&self, way: Way) {
        self.state.send_modify(|state| state.way = way);
    }

    /// The connections there are go silent for good, as when a machine vanishes; new ones work.
    pub fn strand(&self) {
        self.state.send_modify(|state| state.stranded = state.accepted);
    }
}

async fn connection(client: TcpStream, socket: PathBuf, number: u64, state: watch::Receiver<State>) {
    let mut breaking = state.clone();
    let relayed = async {
        let server = UnixStream::connect(socket).await?;
        client.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::try_join!(
            relay(from_client, to_server, number, state.clone()),
            relay(from_server, to_client, number, state)
        )
    };
    tokio::select! {
        _ = relayed => {}
        _ = breaking.wait_for(|state| state.way == Way::Broken) => {}
    }
}

async fn relay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: u64,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            // One side hung up: so does the other.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let way = state.borrow().way;
        if let Way::Slow(time) = way {
            tokio::time::sleep(time).await;
        }
        state.wait_for(|state| state.moves(number)).await.map_err(std::io::Error::other)?;
        to.write_all(&piece[..length]).await?;
    }
}
