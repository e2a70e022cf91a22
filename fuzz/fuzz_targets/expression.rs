//! Expressions of token templates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties;

fuzz_target!(|bytes: &[u8]| properties::expression(&String::from_utf8_lossy(bytes)));
