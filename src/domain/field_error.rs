//! What is wrong with which field of an input.

use serde::Serialize;
use utoipa::ToSchema;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Dotted name, such as `passwordless.validity_s` or `clients[0].client_id`; empty for the input as a whole.
    pub field: String,
    pub reason: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}
