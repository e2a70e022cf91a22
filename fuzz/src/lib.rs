//! What the targets of cargo-fuzz share. The properties are those that `tests/it/fuzz` holds against changed seeds;
//! here the input is made by libFuzzer, which keeps what reached new code and changes it further.

pub mod registry;

#[path = "../../tests/it/fuzz/properties.rs"]
pub mod properties;
