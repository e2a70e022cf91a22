//! Queries of /oauth/authorize.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties;

fuzz_target!(|query: &[u8]| properties::authorize(query));
