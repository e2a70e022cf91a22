//! gRPC: the frames and messages of our methods, as our services read them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::registry::Answering;

static ANSWERING: LazyLock<Answering> = LazyLock::new(Answering::start);

// Its registry is made before the time counts.
fuzz_target!(init: { LazyLock::force(&ANSWERING); }, |input: &[u8]| ANSWERING.call(input));
