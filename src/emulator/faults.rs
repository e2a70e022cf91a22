//! Faults on purpose.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Body, Control, Deleted, ProblemDocument, created, json, no_content, refuse};
use crate::domain::clock::rfc3339;
use crate::domain::fault::FaultRule;
use crate::service::faults;
use crate::service::faults::{BuiltInFault, StoredFault};

/// A rule with its counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct FaultView {
    pub id: String,
    #[serde(flatten)]
    pub rule: FaultRule,
    /// Requests that matched so far.
    pub matched: i64,
    /// Requests that went wrong so far.
    pub fired: i64,
    /// RFC 3339.
    pub created_at: String,
}

impl From<StoredFault> for FaultView {
    fn from(fault: StoredFault) -> Self {
        Self {
            id: fault.id,
            rule: fault.rule,
            matched: fault.matched,
            fired: fault.fired,
            created_at: rfc3339(fault.created_at_ms),
        }
    }
}

/// A rule that is there without being made: an address that causes an outcome.
#[derive(Debug, Serialize, ToSchema)]
pub struct BuiltInFaultView {
    pub id: String,
    #[serde(flatten)]
    pub rule: FaultRule,
    /// What it does.
    pub about: String,
    /// Is it applied? `faults.addresses` says so for all of them.
    pub enabled: bool,
}

impl BuiltInFaultView {
    fn new(fault: &BuiltInFault, enabled: bool) -> Self {
        Self { id: fault.id.to_owned(), rule: fault.rule.clone(), about: fault.about.to_owned(), enabled }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FaultList {
    pub faults: Vec<FaultView>,
    /// Addresses that cause outcomes. They come after the rules, and are not counted.
    pub built_in: Vec<BuiltInFaultView>,
}

/// Lists the rules with their counts, and the built-in ones.
#[utoipa::path(get, path = "/_emulator/v1/faults", tag = "faults", responses((status = 200, body = FaultList)))]
pub async fn list(Control(context): Control) -> Answer {
    let found = faults::list(&context).await.map_err(|failure| refuse(failure.into()))?;
    let enabled = context.environment.fault_addresses;
    Ok(json(&FaultList {
        faults: found.into_iter().map(FaultView::from).collect(),
        built_in: faults::built_in().iter().map(|fault| BuiltInFaultView::new(fault, enabled)).collect(),
    }))
}

/// Creates a rule. Responses that it affects have its ID in `x-vestibule-fault`.
#[utoipa::path(post, path = "/_emulator/v1/faults", tag = "faults", request_body = FaultRule,
    responses((status = 201, body = FaultView), (status = 400, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(rule): Body<FaultRule>) -> Answer {
    Ok(created(&FaultView::from(faults::create(&context, rule).await.map_err(refuse)?)))
}

/// Deletes a rule.
#[utoipa::path(delete, path = "/_emulator/v1/faults/{id}", tag = "faults", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete(Control(context): Control, id: web::Path<String>) -> Answer {
    faults::delete(&context, Some(&id)).await.map_err(refuse)?;
    Ok(no_content())
}

/// Deletes all rules.
#[utoipa::path(delete, path = "/_emulator/v1/faults", tag = "faults", responses((status = 200, body = Deleted)))]
pub async fn delete_all(Control(context): Control) -> Answer {
    Ok(json(&Deleted { deleted: faults::delete(&context, None).await.map_err(refuse)? }))
}
