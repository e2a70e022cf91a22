//! Tokens: as a whole, and one of ours of which up to three lines of the input take the place of header, claims and
//! signature. With its signature kept, a change of one byte is a forgery.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties::Signed;

static SIGNED: LazyLock<Signed> = LazyLock::new(Signed::one);

// Keys are made before the time counts.
fuzz_target!(init: { LazyLock::force(&SIGNED); }, |bytes: &[u8]| {
    SIGNED.is_the_only_one_believed(&String::from_utf8_lossy(bytes));
    let mut lines = bytes.split(|b| *b == b'\n');
    let mut part = || lines.next().filter(|line| !line.is_empty());
    let (header, claims, signature) = (part(), part(), part().map(String::from_utf8_lossy));
    SIGNED.is_the_only_one_believed(&SIGNED.with(header, claims, signature.as_deref()));
});
