//! Compiles the .proto files. No protoc is needed: protox is written in Rust.

#[path = "build/api.rs"]
mod api;
#[path = "build/rules.rs"]
mod rules;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    api::compile(&[
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
        "scalekit/v1/auditlogs/auditlogs.proto",
        "scalekit/v1/auth/auth.proto",
        "scalekit/v1/auth/passwordless.proto",
        "scalekit/v1/clients/clients.proto",
        "scalekit/v1/connections/connections.proto",
        "scalekit/v1/domains/domains.proto",
        "scalekit/v1/errdetails/errdetails.proto",
        "scalekit/v1/organizations/organizations.proto",
        "scalekit/v1/roles/roles.proto",
        "scalekit/v1/sessions/sessions.proto",
        "scalekit/v1/tokens/tokens.proto",
        "scalekit/v1/users/users.proto",
    ])
}
