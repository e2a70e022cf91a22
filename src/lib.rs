//! Vestibule: a self-hosted passwordless OpenID Provider that stands in for Scalekit.
//!
//! Tests in Rust use `testing`. Everything else here is for the program, its own tests and its benchmarks, and may change
//! in any version.
//!
//! Modules are layers, and imports point downwards only (`tests/it/architecture.rs`):
//!
//! - `cli`: the command line and what each command does.
//! - `server`: the listener (one port for HTTP, HTTP/2, TLS and gRPC), every route on one screen, start and graceful
//!   stop.
//! - The edges, one for each surface of the product: `oidc` (OAuth 2.0 and OpenID Connect), `pages` (what users see
//!   while they sign in), `api` (Scalekit's API over gRPC and REST), `emulator` (the control API), `dashboard`.
//! - `http`: what the HTTP edges share.
//! - `service`: use cases. Pages and APIs call the same functions.
//! - `runtime`: what a running server shares, an environment at work, a request's view of it.
//! - `config`, `storage`, `mail`, `crypto`, `telemetry`: settings and the outside world. SQL is in `storage`
//!   alone.
//! - `locales`: what users read, in every language.
//! - `domain`: pure rules; time and randomness are arguments.
//!
//! `docs/ARCHITECTURE.md` walks through one sign-in.

#![warn(missing_docs)]

#[doc(hidden)]
pub mod api;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod crypto;
#[doc(hidden)]
pub mod dashboard;
#[doc(hidden)]
pub mod domain;
#[doc(hidden)]
pub mod emulator;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod locales;
#[doc(hidden)]
pub mod mail;
#[doc(hidden)]
pub mod oidc;
#[doc(hidden)]
pub mod pages;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod storage;
#[doc(hidden)]
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
