//! Compiles the .proto files, and tells the linker which functions to put beside each other. No protoc is needed: protox is
//! written in Rust.

use std::env;
use std::path::PathBuf;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    let files = [
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
        "scalekit/v1/auditlogs/auditlogs.proto",
        "scalekit/v1/auth/auth.proto",
        "scalekit/v1/auth/passwordless.proto",
        "scalekit/v1/connections/connections.proto",
        "scalekit/v1/errdetails/errdetails.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    // The clients that tests need are the official SDKs.
    tonic_prost_build::configure().build_client(false).build_transport(false).compile_fds(descriptors)?;
    order_functions()
}

/// Lets what an idle server runs lie on few pages (`scripts/link-order`). Only in programs for use, and only where the
/// linker is the one that comes with Rust, which knows scripts: whoever chose another one is left alone.
fn order_functions() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=link-order.ld");
    let is_for_use = env::var("PROFILE")? == "release";
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_own_linker = env::var_os("RUSTC_LINKER").is_none() && !flags.contains("link");
    if is_for_use && is_own_linker && env::var("TARGET")? == "x86_64-unknown-linux-gnu" {
        let script = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("link-order.ld");
        for argument in ["-Xlinker", "-T", "-Xlinker"] {
            println!("cargo:rustc-link-arg-bin=vestibule={argument}");
        }
        println!("cargo:rustc-link-arg-bin=vestibule={}", script.display());
    }
    Ok(())
}
