//! Faults that testers asked for: which rule fires now?

use super::changes::ControlError;
use super::{Failure, retry_on_conflict};
pub use crate::domain::fault::{BuiltInFault, built_in};
use crate::domain::fault::{FaultEffect, FaultRule, FaultTarget, SignInFault, TokenFault, built_in_for};
use crate::domain::ids::{IdKind, new_id};
use crate::mail::DeliveryError;
use crate::runtime::{Context, EnvironmentRuntime, current_request};
pub use crate::storage::StoredFault;

/// A rule that fired.
#[derive(Debug, Clone)]
pub struct TriggeredFault {
    pub id: String,
    pub rule: FaultRule,
}

/// The first rule that fires on what is about to happen; built-in ones come last. Matches are counted over all servers. When the database does
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
            return Some(triggered(&fault.id, &fault.rule));
        }
    }
    let built_in = built_in_for(happening).filter(|_| live.environment.fault_addresses);
    built_in.map(|fault| triggered(fault.id, &fault.rule))
}

fn triggered(id: &str, rule: &FaultRule) -> TriggeredFault {
    tracing::info!(fault = id, "a fault fires");
    current_request::note(|notes| notes.fault = Some(id.to_owned()));
    TriggeredFault { id: id.to_owned(), rule: rule.clone() }
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

/// Does a sign-in of this address go wrong on purpose before its email is written? What the fault lets wait has waited
/// then.
pub async fn on_send(runtime: &EnvironmentRuntime, to: &str) -> Option<TriggeredFault> {
    let fired = fire(runtime, FaultTarget::Send { to }).await?;
    wait(&fired).await;
    Some(fired)
}

/// Does a sign-in of this address go wrong on purpose although the address is proven?
pub async fn on_proof(runtime: &EnvironmentRuntime, to: &str) -> Option<TriggeredFault> {
    let fired = fire(runtime, FaultTarget::Proof { to }).await?;
    wait(&fired).await;
    Some(fired)
}

impl TriggeredFault {
    /// What it makes of a sign-in; `None`: it only waits.
    pub fn sign_in(&self) -> Option<SignInFault> {
        match self.rule.effect {
            Some(FaultEffect::SignIn { outcome }) => Some(outcome),
            _ => None,
        }
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
