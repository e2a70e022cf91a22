//! JSON for programs: Scalekit's REST API, health.

pub mod audit_logs;
pub mod connections;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod passwordless;
pub mod rest;
