//! Processes under load: started, waited for, weighed and ended.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What Linux counts the time of processes in.
const TICKS_PER_S: f64 = 100.0;

/// How long a server may take to its first answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server with its children, killed when dropped.
pub struct Process {
    child: Child,
    /// Host and port.
    pub authority: String,
    /// From the start of the process to its first good answer.
    pub first_answer: Duration,
}

impl Process {
    /// Starts a server that will listen on this port, and waits until it answers well at `path`.
    pub fn start(command: &mut Command, port: u16, path: &str) -> Result<Self, String> {
        let authority = format!("127.0.0.1:{port}");
        let begun = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let mut process = Self { child, authority, first_answer: Duration::ZERO };
        while !answers(&process.authority, path) {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(format!("ended with {status} before it answered"));
            }
            if begun.elapsed() > PATIENCE {
                return Err("did not answer".to_owned());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        process.first_answer = begun.elapsed();
        Ok(process)
    }

    /// Memory of the process and of those it started, in MiB.
    pub fn resident_mib(&self) -> f64 {
        self.family().into_iter().map(resident_kib).sum::<f64>() / 1024.0
    }

    /// How long the process and those it started have kept a processor busy, in seconds.
    pub fn busy_s(&self) -> f64 {
        self.family().into_iter().map(busy_ticks).sum::<f64>() / TICKS_PER_S
    }

    fn family(&self) -> Vec<u32> {
        let mut parents = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            parents.insert(id, stat(id).get(1).and_then(|parent| parent.parse().ok()).unwrap_or(0));
        }
        let is_ours = |mut id: u32| {
            while id != 0 && id != self.child.id() {
                id = parents.get(&id).copied().unwrap_or(0);
            }
            id != 0
        };
        parents.keys().copied().filter(|id| is_ours(*id)).collect()
    }
}

/// What Linux tells about a process, from its state on.
fn stat(id: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // A name may have spaces and brackets in it.
    let fields = text.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}

/// How long somebody else on the same hardware has kept our processors from us, in seconds: what virtual machines call
/// steal time.
pub fn stolen_s() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "));
    all.and_then(|all| all.split_whitespace().nth(7)?.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_S
}

/// In the program and for it in the kernel.
fn busy_ticks(id: u32) -> f64 {
    stat(id).iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum()
}

fn resident_kib(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Politely first: some start others, and end them themselves.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn answers(authority: &str, path: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(authority)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    };
    ask().is_ok_and(|head| head.ends_with(" 200"))
}
