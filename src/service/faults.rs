//! Faults that testers asked for: which rule fires now?

use super::changes::ControlError;
use super::{Failure, retry_on_conflict};
use crate::domain::fault::{FaultEffect, FaultRule, FaultTarget, TokenFault};
use crate::domain::ids::{IdKind, new_id};
use crate::mail::DeliveryError;
use crate::runtime::{Context, EnvironmentRuntime};
pub use crate::storage::StoredFault;

/// A rule that fired.
#[derive(Debug, Clone)]
pub struct TriggeredFault {
    pub id: String,
    pub rule: FaultRule,
}

/// The first rule that fires on what is about to happen. Matches are counted over all servers. When the database does
/// not answer, nothing goes wrong on purpose.
pub async fn fire(runtime: &EnvironmentRuntime, happening: FaultTarget<'_>) -> Option<TriggeredFault> {
    let live = runtime.live();
    for fault in live.faults.iter().filter(|f| f.rule.matches(happening)) {
        let matched = runtime.store().match_fault(&runtime.id, &fault.id).await.ok().flatten();
        let Some(matched) = matched else { continue };
        let mut bytes = [0; 4];
        runtime.server.entropy.fill(&mut bytes);
        let draw = f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0);
        if !fault.rule.is_due(u64::try_from(matched).unwrap_or_default(), draw) {
            continue;
        }
        let at_most = fault.rule.count.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
        if runtime.store().fire_fault(&runtime.id, &fault.id, at_most).await.unwrap_or(false) {
            tracing::info!(fault = fault.id, "a fault fires");
            return Some(TriggeredFault { id: fault.id.clone(), rule: fault.rule.clone() });
        }
    }
    None
}

/// Does the SMTP server refuse an email to this address on purpose?
pub async fn on_mail(runtime: &EnvironmentRuntime, to: &str) -> Option<DeliveryError> {
    let fired = fire(runtime, FaultTarget::Mail { to }).await?;
    wait(&fired).await;
    let reason = format!("refused by fault {}", fired.id);
    match fired.rule.effect {
        Some(FaultEffect::Smtp { permanent: true }) => Some(DeliveryError::Permanent(reason)),
        Some(FaultEffect::Smtp { permanent: false }) => Some(DeliveryError::Temporary(reason)),
        _ => None,
    }
}

/// Are the tokens that this endpoint is about to give spoilt on purpose?
pub async fn on_tokens(runtime: &EnvironmentRuntime, path: &str) -> Option<TokenFault> {
    if runtime.live().faults.is_empty() {
        return None;
    }
    let fired = fire(runtime, FaultTarget::Tokens { path }).await?;
    wait(&fired).await;
    match fired.rule.effect {
        Some(FaultEffect::Token { fault }) => Some(fault),
        _ => None,
    }
}

/// Waits as the rule says.
pub async fn wait(fired: &TriggeredFault) {
    if let Some(ms) = fired.rule.latency_ms {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }
}

/// The rules with their counts.
pub async fn list(context: &Context) -> Result<Vec<StoredFault>, Failure> {
    Ok(context.store().faults(context.environment_id()).await?)
}

/// Adds a rule.
pub async fn create(context: &Context, rule: FaultRule) -> Result<StoredFault, ControlError> {
    rule.check().map_err(|(field, reason)| ControlError::field(field, reason))?;
    let fault = fault_of(context, rule);
    create_all(context, std::slice::from_ref(&fault)).await?;
    Ok(fault)
}

/// Adds rules that were checked, all at once.
pub async fn create_checked(context: &Context, rules: Vec<FaultRule>) -> Result<(), ControlError> {
    let faults: Vec<_> = rules.into_iter().map(|rule| fault_of(context, rule)).collect();
    if faults.is_empty() { Ok(()) } else { create_all(context, &faults).await }
}

fn fault_of(context: &Context, rule: FaultRule) -> StoredFault {
    let now_ms = context.runtime.clock.machine_ms();
    let id = new_id(IdKind::Fault, now_ms, &*context.runtime.server.entropy);
    StoredFault { id, rule, matched: 0, fired: 0, created_at_ms: now_ms }
}

async fn create_all(context: &Context, faults: &[StoredFault]) -> Result<(), ControlError> {
    retry_on_conflict(|| async {
        let record = context.runtime.record().await?;
        let now_ms = context.runtime.clock.machine_ms();
        let is_done = context.store().insert_faults(&record, faults, now_ms).await?;
        Ok::<_, ControlError>(is_done.then_some(()))
    })
    .await?;
    super::changes::publish_change(context).await
}

/// Deletes one rule, or all; tells how many went.
pub async fn delete(context: &Context, id: Option<&str>) -> Result<u64, ControlError> {
    let deleted = retry_on_conflict(|| async {
        let record = context.runtime.record().await?;
        let now_ms = context.runtime.clock.machine_ms();
        Ok::<_, ControlError>(context.store().delete_faults(&record, id, now_ms).await?)
    })
    .await?;
    super::changes::publish_change(context).await?;
    match id {
        Some(id) if deleted == 0 => Err(ControlError::NotFound(format!("there is no fault {id}"))),
        _ => Ok(deleted),
    }
}
