//! Vestibule: a self-hosted passwordless OpenID Provider that stands in for Scalekit.
//!
//! The house, from the door inwards; imports point downwards only:
//!
//! - [`cli`], [`config`]: what was asked for, and every setting checked.
//! - [`server`], [`telemetry`]: the listener (one port for HTTP, HTTP/2, TLS and gRPC), the start and the graceful
//!   stop, logs.
//! - [`http`]: the edge. Every route on one screen; pages, OAuth and OpenID Connect endpoints, REST, control API.
//! - [`grpc`]: the other edge, for the official SDKs.
//! - [`service`]: use cases. Pages and APIs call the same functions.
//! - [`app`]: the parts of a running provider, put together.
//! - [`storage`], [`mail`], [`crypto`]: the outside world. SQL lives in `storage` alone.
//! - [`domain`]: pure rules; time and randomness are arguments.
//!
//! `docs/ARCHITECTURE.md` walks through one sign-in.

pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod grpc;
pub mod http;
pub mod mail;
pub mod server;
pub mod service;
pub mod storage;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
