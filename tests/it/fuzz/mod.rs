//! Everything that reads what strangers send, tried with input that no person would write. Every target holds a
//! property; not to crash is the least of them.
//!
//! A plain `cargo test` tries each for a moment. `VESTIBULE_FUZZ_S` gives each target that many seconds; see
//! docs/SECURITY.md. What once failed is kept in `tests/proptest-regressions/` by its seed, and tried first. The crate in
//! `fuzz/` holds the same [`properties`] against input that is guided by the code it reaches.

mod parsers;
mod properties;
mod wire;

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Inputs of each target when nobody says how long, and between two looks at the watch.
const BATCH: u32 = 200;

/// Holds a property against random input, and tells how much of it there was.
fn fuzz<S: Strategy>(target: &str, input: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = std::env::var("VESTIBULE_FUZZ_S").map_or(0, |text| text.parse().unwrap());
    let (start, tried) = (Instant::now(), Cell::new(0_u64));
    loop {
        // A runner is done after its cases. The file says below which name failing seeds are kept.
        let config = Config { cases: BATCH, source_file: Some(file!()), ..Config::default() };
        let outcome = TestRunner::new(config).run(input, |value| {
            tried.set(tried.get() + 1);
            property(value)
        });
        if let Err(error) = outcome {
            panic!("{target}, after {} inputs: {error}", tried.get());
        }
        if start.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
    }
    eprintln!("fuzz {target}: {} inputs in {:.1} s", tried.get(), start.elapsed().as_secs_f64());
}

/// The lines of a file of seeds: inputs as strangers send them, good and bad.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/corpus").join(name);
    let text = std::fs::read_to_string(&file).unwrap();
    let seeds: Vec<_> =
        text.lines().filter(|l| !l.starts_with("# ")).map(|l| l.as_bytes().to_vec()).collect();
    assert!(!seeds.is_empty(), "{} has seeds", file.display());
    seeds
}

/// Bytes that mean something to one parser or another.
const SPICE: &[&str] = &[
    "\0",
    "\r\n",
    "\r",
    "\n",
    "\t",
    " ",
    "%",
    "%00",
    "%0d%0a",
    "%ff",
    "%c3%28",
    "+",
    "&",
    "=",
    ";",
    ",",
    ":",
    "::",
    "/",
    "//",
    "\\",
    "?",
    "#",
    "@",
    ".",
    "..",
    "-",
    "_",
    "*",
    "\"",
    "'",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "null",
    "[]",
    "{}",
    "-1",
    "1e999",
    "99999999999999999999",
    "localhost",
    "127.0.0.1",
    "0x7f.1",
    "[::1]",
    "evil.example",
    "http:",
    "https:",
    "javascript:",
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "ﬀ",
    "\u{212a}",
    "İ",
    "。",
    "ａ",
    "xn--",
    "\u{fffd}",
];

/// One change to a text.
#[derive(Debug, Clone)]
enum Change {
    Insert(Index, Vec<u8>),
    /// In front, or behind.
    Wrap(bool, Vec<u8>),
    Replace(Index, Vec<u8>),
    Delete(Index, Index),
    /// Writes a part a second time, elsewhere.
    Repeat(Index, Index, Index),
    FlipBit(Index, u8),
    Cut(Index),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        let piece = || {
            prop_oneof![
                6 => prop::sample::select(SPICE).prop_map(|s| s.as_bytes().to_vec()),
                2 => prop::collection::vec(any::<u8>(), 1..6),
                1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
            ]
        };
        let at = any::<Index>;
        prop_oneof![
            4 => (at(), piece()).prop_map(|(at, piece)| Self::Insert(at, piece)),
            1 => (any::<bool>(), piece()).prop_map(|(in_front, piece)| Self::Wrap(in_front, piece)),
            3 => (at(), piece()).prop_map(|(at, piece)| Self::Replace(at, piece)),
            2 => (at(), at()).prop_map(|(from, to)| Self::Delete(from, to)),
            1 => (at(), at(), at()).prop_map(|(from, to, at)| Self::Repeat(from, to, at)),
            2 => (at(), 0..8_u8).prop_map(|(at, bit)| Self::FlipBit(at, bit)),
            1 => at().prop_map(Self::Cut),
        ]
    }

    fn apply(&self, text: &mut Vec<u8>) {
        let place = |at: &Index, text: &[u8]| at.index(text.len() + 1);
        let span = |a: &Index, b: &Index, text: &[u8]| {
            let (a, b) = (place(a, text), place(b, text));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Insert(at, piece) => {
                let at = place(at, text);
                text.splice(at..at, piece.iter().copied());
            }
            Self::Wrap(true, piece) => drop(text.splice(0..0, piece.iter().copied())),
            Self::Wrap(false, piece) => text.extend_from_slice(piece),
            Self::Replace(at, piece) => {
                let at = place(at, text);
                text.splice(at..(at + piece.len()).min(text.len()), piece.iter().copied());
            }
            Self::Delete(from, to) => {
                text.drain(span(from, to, text));
            }
            Self::Repeat(from, to, at) => {
                let part = text[span(from, to, text)].to_vec();
                let at = place(at, text);
                text.splice(at..at, part);
            }
            Self::FlipBit(at, bit) if !text.is_empty() => {
                let at = at.index(text.len());
                text[at] ^= 1 << bit;
            }
            Self::FlipBit(..) => {}
            Self::Cut(at) => text.truncate(place(at, text)),
        }
    }
}

/// One of the seeds with up to eight changes; with none it is tried as it is.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec(Change::any(), 0..8);
    (prop::sample::select(seeds), changes).prop_map(|(mut text, changes)| {
        for change in &changes {
            change.apply(&mut text);
        }
        text
    })
}

/// The same as text; bytes that are none are replaced.
fn mutated_text(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = String> {
    mutated(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
