//! Keys, digests and client secrets. aws-lc-rs does the work at request time.

pub mod at_rest;
pub mod client_secrets;
pub mod entropy;
pub mod server_secret;
pub mod signing;
pub mod webhook_signature;
