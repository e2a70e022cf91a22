//! A client's credentials: as they stand in a Basic header before it is encoded, and as the whole header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::properties;

fuzz_target!(|bytes: &[u8]| {
    properties::basic_raw(bytes);
    properties::basic_header(bytes);
    if let Some((id, secret)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(':')) {
        properties::basic_encoded(id, secret);
    }
});
