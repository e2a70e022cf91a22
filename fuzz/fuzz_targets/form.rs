//! Bodies of forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties;

fuzz_target!(|body: &[u8]| properties::form(body));
