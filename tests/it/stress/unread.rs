//! Clients that ask and do not read, and other ways to make a server hold memory for strangers: it holds no more than is
//! stated, and answers everybody else meanwhile.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{Process, client, token_request};
use crate::support::frames::{
    CONTINUATION, Client, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame, get,
};

/// What docs/SECURITY.md states: how much resident memory grows, whatever clients do, in MiB.
const BOUND_MIB: u64 = 256;

/// An unauthenticated answer of some size, and one that is made anew each time.
const DOCUMENT: &str = "/api/v1/openapi.json";
const SNAPSHOT: &str = "/_emulator/v1/snapshot";

/// A figure of a process in MiB: `VmRSS` now, `VmHWM` at its peak.
fn memory_mib(process: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// A server with some users, of which the snapshot is large.
async fn populated() -> Process {
    let process = Process::running(None, "").await;
    let (client, url) = (client(), format!("{}/_emulator/v1/users", process.url));
    for person in 0..200 {
        let body = json!({ "email": format!("person{person}@example.com"), "name": "x".repeat(200) });
        let made = client.post(&url).json(&body).send().await.unwrap();
        assert!(made.status().is_success(), "{}", made.text().await.unwrap());
    }
    process
}

/// How long the answers to one request for each of [`DOCUMENT`] and [`SNAPSHOT`] are together.
async fn bytes_of_both(process: &Process) -> usize {
    let get = async |path: &str| {
        let response = client().get(format!("{}{path}", process.url)).send().await.unwrap();
        response.bytes().await.unwrap().len()
    };
    get(DOCUMENT).await + get(SNAPSHOT).await
}

/// Does something hostile while honest users ask, all of whom must be answered, and memory is looked at. Gives the
/// growth in MiB.
async fn under_attack<T>(process: &Process, attack: impl Future<Output = T>) -> u64 {
    let idle = memory_mib(process, "VmRSS");
    let mut times = vec![];
    let mut attack = std::pin::pin!(attack);
    let client = client();
    let mut last_look = false;
    let held = loop {
        let begun = Instant::now();
        let (health, token) = tokio::join!(
            client.get(format!("{}/keys", process.url)).send(),
            token_request(&client, &process.url, "/oauth/token", &[("grant_type", "client_credentials")]),
        );
        assert_eq!(health.expect("an answer under attack").status(), 200);
        assert_eq!(token.expect("a token under attack").status, 200);
        times.push(begun.elapsed());
        if last_look {
            break memory_mib(process, "VmRSS");
        }
        last_look = futures_util::FutureExt::now_or_never(attack.as_mut()).is_some();
        // The attack goes on while honest users think.
        if !last_look {
            last_look = tokio::time::timeout(Duration::from_millis(50), attack.as_mut()).await.is_ok();
        }
    };
    times.sort();
    let peak = memory_mib(process, "VmHWM");
    eprintln!(
        "idle {idle} MiB, peak {peak} MiB, after {held} MiB; {} honest rounds, the slowest {:?}",
        times.len(),
        times.last()
    );
    peak.saturating_sub(idle)
}

#[tokio::test]
async fn clients_that_do_not_read_http_2_hold_a_bounded_part_of_memory() {
    let process = populated().await;
    let bytes_of_both = bytes_of_both(&process).await;
    // Twice: what the first wave held is used again.
    for wave in 0..2 {
        let grown = under_attack(&process, async {
            let mut clients = join_all((0..60).map(|_| Client::connect(process.port, 0))).await;
            for request in 0..250 {
                let path = if request % 2 == 0 { SNAPSHOT } else { DOCUMENT };
                for client in &mut clients {
                    client.request(&get(path)).await;
                }
            }
            // What can be answered is: the last wait for room, or their connection ended.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let answered: usize = clients.iter().map(|c| c.answers.load(Ordering::Relaxed)).sum();
            // Of the MiB that a connection may leave waiting, most.
            let waiting = answered * bytes_of_both / 2;
            assert!(waiting > 60 * 768 * 1024, "the attack reached the handlers: {answered}, {waiting}");
        })
        .await;
        assert!(grown <= BOUND_MIB, "wave {wave}: {grown} MiB");
    }
}

#[tokio::test]
async fn clients_that_do_not_read_http_1_hold_a_bounded_part_of_memory() {
    let process = populated().await;
    let grown = under_attack(&process, async {
        let request = format!("GET {SNAPSHOT} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(100);
        let connections = join_all((0..200).map(async |_| {
            let mut tcp = tokio::net::TcpStream::connect(("127.0.0.1", process.port)).await.unwrap();
            let _ = tokio::time::timeout(Duration::from_secs(3), tcp.write_all(request.as_bytes())).await;
            tcp
        }))
        .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(connections);
    })
    .await;
    assert!(grown <= BOUND_MIB, "{grown} MiB");
}

#[tokio::test]
async fn streams_that_are_reset_at_once_cost_their_connection() {
    let process = Process::running(None, "").await;
    let grown = under_attack(&process, async {
        let ended = join_all((0..20).map(async |_| {
            let mut client = Client::connect(process.port, 65_535).await;
            for _ in 0..500 {
                let mut burst = vec![];
                for _ in 0..100 {
                    let stream = client.next_stream();
                    burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(DOCUMENT)));
                    burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                }
                if !client.send(&burst).await {
                    return true;
                }
            }
            false
        }))
        .await;
        assert!(ended.iter().all(|e| *e), "the server goes on with it: {ended:?}");
    })
    .await;
    assert!(grown <= BOUND_MIB, "{grown} MiB");
}

#[tokio::test]
async fn header_blocks_without_an_end_cost_their_connection() {
    let process = Process::running(None, "").await;
    let grown = under_attack(&process, async {
        let ended = join_all((0..20).map(async |_| {
            let mut client = Client::connect(process.port, 65_535).await;
            let stream = client.next_stream();
            client.send(&frame(HEADERS, END_STREAM, stream, &get(DOCUMENT))).await;
            // Literal headers of 8 KiB each, without an index.
            let mut header = vec![0, 1, b'x', 0x7f, 0x81, 0x3f];
            header.extend([b'x'; 8192]);
            for _ in 0..1000 {
                if !client.send(&frame(CONTINUATION, 0, stream, &header)).await {
                    return true;
                }
            }
            false
        }))
        .await;
        assert!(ended.iter().all(|e| *e), "the server goes on reading: {ended:?}");
    })
    .await;
    assert!(grown <= BOUND_MIB, "{grown} MiB");
}

#[tokio::test]
async fn header_blocks_that_unpack_to_a_multiple_are_refused() {
    let process = Process::running(None, "").await;
    let grown = under_attack(&process, async {
        let mut clients = join_all((0..20).map(|_| Client::connect(process.port, 0))).await;
        // 3 KB once into the dynamic table, then the same again ten thousand times by one byte each (index 62).
        let mut first = get(DOCUMENT);
        first.extend([0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
        first.extend([b'x'; 3000]);
        let mut bomb = get(DOCUMENT);
        bomb.extend([0xbe; 10_000]);
        for client in &mut clients {
            client.request(&first).await;
        }
        for _ in 0..100 {
            for client in &mut clients {
                client.request(&bomb).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    assert!(grown <= BOUND_MIB, "{grown} MiB");
}
