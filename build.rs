//! Compiles the .proto files. No protoc is needed: protox is written in Rust.

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
    Ok(())
}
