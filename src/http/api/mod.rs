//! JSON for programs: the inbox of the control API, health.

pub mod health;
pub mod inbox;
