//! Faults that testers asked for: which rule fires now?

use super::changes::Refused;
use super::{Failure, retry_on_conflict};
use crate::domain::fault::{FaultEffect, FaultRule, Happening, TokenFault};
use crate::domain::ids::{IdKind, new_id};
use crate::mail::DeliveryError;
use crate::runtime::{App, Context};
pub use crate::storage::StoredFault;

/// A rule that fired.
#[derive(Debug, Clone)]
pub struct Fired {
    pub id: String,
    pub rule: FaultRule,
}

/// The first rule that fires on what is about to happen. Matches are counted over all servers. When the database does
/// not answer, nothing goes wrong on purpose.
pub async fn fire(app: &App, happening: Happening<'_>) -> Option<Fired> {
    let live = app.live();
    for fault in live.faults.iter().filter(|f| f.rule.matches(happening)) {
        let matched = app.store().match_fault(&app.id, &fault.id).await.ok().flatten();
        let Some(matched) = matched else { continue };
        let mut bytes = [0; 4];
        app.site.entropy.fill(&mut bytes);
        let draw = f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0);
        if !fault.rule.is_due(u64::try_from(matched).unwrap_or_default(), draw) {
            continue;
        }
        let at_most = fault.rule.count.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
        if app.store().fire_fault(&app.id, &fault.id, at_most).await.unwrap_or(false) {
            tracing::info!(fault = fault.id, "a fault fires");
            return Some(Fired { id: fault.id.clone(), rule: fault.rule.clone() });
        }
    }
    None
}

/// Does the SMTP server refuse a mail to this address on purpose?
pub async fn on_mail(app: &App, to: &str) -> Option<DeliveryError> {
    let fired = fire(app, Happening::Mail { to }).await?;
    wait(&fired).await;
    let reason = format!("refused by fault {}", fired.id);
    match fired.rule.effect {
        Some(FaultEffect::Smtp { permanent: true }) => Some(DeliveryError::Permanent(reason)),
        Some(FaultEffect::Smtp { permanent: false }) => Some(DeliveryError::Temporary(reason)),
        _ => None,
    }
}

/// Are the tokens that this endpoint is about to give spoilt on purpose?
pub async fn on_tokens(app: &App, path: &str) -> Option<TokenFault> {
    if app.live().faults.is_empty() {
        return None;
    }
    let fired = fire(app, Happening::Tokens { path }).await?;
    wait(&fired).await;
    match fired.rule.effect {
        Some(FaultEffect::Token { fault }) => Some(fault),
        _ => None,
    }
}

/// Waits as the rule says.
pub async fn wait(fired: &Fired) {
    if let Some(ms) = fired.rule.latency_ms {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }
}

/// The rules with their counts.
pub async fn list(context: &Context) -> Result<Vec<StoredFault>, Failure> {
    Ok(context.store().faults(context.environment_id()).await?)
}

/// Adds a rule.
pub async fn create(context: &Context, rule: FaultRule) -> Result<StoredFault, Refused> {
    rule.check().map_err(|(field, reason)| Refused::field(field, reason))?;
    let fault = fault_of(context, rule);
    create_all(context, std::slice::from_ref(&fault)).await?;
    Ok(fault)
}

/// Adds rules that were checked, all at once.
pub async fn create_checked(context: &Context, rules: Vec<FaultRule>) -> Result<(), Refused> {
    let faults: Vec<_> = rules.into_iter().map(|rule| fault_of(context, rule)).collect();
    if faults.is_empty() { Ok(()) } else { create_all(context, &faults).await }
}

fn fault_of(context: &Context, rule: FaultRule) -> StoredFault {
    let now_ms = context.app.clock.machine_ms();
    let id = new_id(IdKind::Fault, now_ms, &*context.app.site.entropy);
    StoredFault { id, rule, matched: 0, fired: 0, created_at_ms: now_ms }
}

async fn create_all(context: &Context, faults: &[StoredFault]) -> Result<(), Refused> {
    retry_on_conflict(|| async {
        let record = context.app.record().await?;
        let now_ms = context.app.clock.machine_ms();
        let is_done = context.store().insert_faults(&record, faults, now_ms).await?;
        Ok::<_, Refused>(is_done.then_some(()))
    })
    .await?;
    super::changes::settle(context).await
}

/// Deletes one rule, or all; tells how many went.
pub async fn delete(context: &Context, id: Option<&str>) -> Result<u64, Refused> {
    let deleted = retry_on_conflict(|| async {
        let record = context.app.record().await?;
        let now_ms = context.app.clock.machine_ms();
        Ok::<_, Refused>(context.store().delete_faults(&record, id, now_ms).await?)
    })
    .await?;
    super::changes::settle(context).await?;
    match id {
        Some(id) if deleted == 0 => Err(Refused::NotFound(format!("there is no fault {id}"))),
        _ => Ok(deleted),
    }
}
