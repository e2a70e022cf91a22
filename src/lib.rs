//! Vestibule: a self-hosted passwordless OpenID Provider that stands in for Scalekit.
//!
//! Modules are layers, and imports point downwards only (`tests/it/architecture.rs`):
//!
//! - [`cli`]: the command line and what each command does.
//! - [`server`]: the listener (one port for HTTP, HTTP/2, TLS and gRPC), every route on one screen, start and graceful
//!   stop.
//! - The edges, one for each surface of the product: [`oidc`] (OAuth 2.0 and OpenID Connect), [`pages`] (what users see
//!   while they sign in), [`api`] (Scalekit's API over gRPC and REST), [`emulator`] (the control API), [`dashboard`].
//! - [`http`]: what the HTTP edges share.
//! - [`service`]: use cases. Pages and APIs call the same functions.
//! - [`runtime`]: what a running server shares, an environment at work, a request's view of it.
//! - [`config`], [`storage`], [`mail`], [`crypto`], [`telemetry`]: settings and the outside world. SQL is in `storage`
//!   alone.
//! - [`domain`]: pure rules; time and randomness are arguments.
//!
//! `docs/ARCHITECTURE.md` walks through one sign-in.

pub mod api;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod dashboard;
pub mod domain;
pub mod emulator;
pub mod http;
pub mod mail;
pub mod oidc;
pub mod pages;
pub mod runtime;
pub mod server;
pub mod service;
pub mod storage;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
