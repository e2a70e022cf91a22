//! JSON for programs: Scalekit's REST API, the control API, health.

pub mod clock;
pub mod connections;
pub mod health;
pub mod inbox;
pub mod passwordless;
pub mod rest;
