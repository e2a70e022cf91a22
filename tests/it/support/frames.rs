//! An HTTP/2 client that knows no manners: frames as bytes (RFC 9113), and header blocks that no library would make.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The header block of a GET, without Huffman codes or an index of its own (RFC 7541 §6.2.2).
pub fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (index, text) in [(4, path), (1, "localhost")] {
        block.extend([index, u8::try_from(text.len()).unwrap()]);
        block.extend(text.as_bytes());
    }
    block
}

/// A connection that answers pings and takes no byte of any answer, unless it is told to.
pub struct Client {
    writer: Arc<Mutex<OwnedWriteHalf>>,
    next_stream: u32,
    /// Answers whose headers came.
    pub answers: Arc<AtomicUsize>,
    /// Ends when the server hangs up.
    pub reader: tokio::task::JoinHandle<()>,
}

impl Client {
    /// With the window that streams begin with.
    pub async fn connect(port: u16, window: u32) -> Self {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (mut read, mut write) = tcp.into_split();
        let mut setting = vec![0, 4];
        setting.extend(window.to_be_bytes());
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &setting));
        write.write_all(&hello).await.unwrap();
        let (writer, answers) = (Arc::new(Mutex::new(write)), Arc::new(AtomicUsize::new(0)));
        let (its_writer, its_answers) = (writer.clone(), answers.clone());
        let reader = tokio::spawn(async move {
            let mut head = [0; 9];
            while read.read_exact(&mut head).await.is_ok() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                if read.read_exact(&mut payload).await.is_err() {
                    return;
                }
                let reply = match (head[3], head[4] & ACK) {
                    (SETTINGS, 0) => frame(SETTINGS, ACK, 0, &[]),
                    (PING, 0) => frame(PING, ACK, 0, &payload),
                    (HEADERS, _) => {
                        its_answers.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    _ => continue,
                };
                if its_writer.lock().await.write_all(&reply).await.is_err() {
                    return;
                }
            }
        });
        Self { writer, next_stream: 1, answers, reader }
    }

    /// The server may have hung up: `false`.
    pub async fn send(&self, bytes: &[u8]) -> bool {
        self.writer.lock().await.write_all(bytes).await.is_ok()
    }

    pub fn next_stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        stream
    }

    /// A whole request with this header block.
    pub async fn request(&mut self, block: &[u8]) -> bool {
        let stream = self.next_stream();
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, block)).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
