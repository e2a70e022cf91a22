//! Email addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties;

fuzz_target!(|bytes: &[u8]| properties::email(&String::from_utf8_lossy(bytes)));
