//! Redirect URIs as requests bring them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties;

fuzz_target!(|bytes: &[u8]| properties::redirect_uri(&String::from_utf8_lossy(bytes)));
