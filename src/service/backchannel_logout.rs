//! Telling applications that a session has ended (OpenID Connect Back-Channel Logout 1.0). The end of the session
//! writes down who has to be told, so that no crash and no dead application loses it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::Failure;
use super::delivery::{self, LEASE_MS, Queue};
use super::delivery_http::{LazyClient, why_no_answer};
use crate::domain::clock::{Clock as _, rfc3339};
use crate::domain::ids::{IdKind, new_id};
use crate::domain::logout_token::{LOGOUT_TOKEN_TYPE, LogoutDelivery, LogoutTokenClaims};
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::mail::retry_delay_ms;
use crate::runtime::{Context, EnvironmentRegistry, EnvironmentRuntime, ServerState};
use crate::storage::{DueReceiver, LogoutNotice};
use crate::telemetry::metrics::Delivery;

/// How long an application may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Attempts before a notice is given up: about four minutes.
const MAX_ATTEMPTS: i64 = 9;

/// A notice as the control API shows it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct LogoutNoticeView {
    pub session_id: String,
    pub client_id: String,
    /// `sub` of the logout token.
    pub sub: String,
    /// `waiting`, `delivered`, `refused` (the application answered 400) or `given_up`.
    pub status: String,
    pub attempts: i64,
    /// What the application said last: a status, or why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer: Option<String>,
    /// By the environment's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
}

/// Who was told of the ends of sessions, or has to be.
pub async fn notices(context: &Context, limit: i64) -> Result<Vec<LogoutNoticeView>, Failure> {
    let found = context.store().logout_notices(context.environment_id(), limit).await?;
    let views = found.into_iter().map(|notice| LogoutNoticeView {
        session_id: notice.session_id,
        client_id: notice.client_id,
        sub: notice.subject,
        status: notice.outcome.unwrap_or_else(|| "waiting".to_owned()),
        attempts: notice.attempts,
        last_answer: notice.last_answer,
        next_attempt_at: notice.notify_at_ms.filter(|ms| *ms > 0).map(rfc3339),
    });
    Ok(views.collect())
}

/// Tells applications until the task is dropped.
pub async fn run(registry: EnvironmentRegistry) {
    let Some(server) = registry.get().map(|runtime| runtime.server.clone()) else { return };
    delivery::run(LogoutNotices { registry, server, client: LazyClient::default() }).await;
}

struct LogoutNotices {
    registry: EnvironmentRegistry,
    server: Arc<ServerState>,
    client: LazyClient,
}

impl Queue for LogoutNotices {
    type Receiver = DueReceiver;
    type Item = LogoutNotice;

    const NAME: &'static str = "back-channel logout";

    async fn receivers(&self) -> Result<Vec<DueReceiver>, Failure> {
        Ok(self.server.store.clients_with_logout_notices().await?)
    }

    fn key(client: &DueReceiver) -> (String, String) {
        (client.environment_id.clone(), client.id.clone())
    }

    async fn take(&self, client: &DueReceiver, limit: i64) -> Result<Vec<LogoutNotice>, Failure> {
        let (store, machine_ms) = (&self.server.store, self.server.machine_clock.now_ms());
        let now_ms = client.clock.now_ms(machine_ms);
        let due = store.due_logout_notices(client, now_ms, machine_ms, limit).await?;
        let leasing = due.iter().map(|notice| store.lease_logout_notice(notice, machine_ms + LEASE_MS));
        let leases = join_all(leasing).await;
        let mut taken = vec![];
        for (notice, is_ours) in due.into_iter().zip(leases) {
            if is_ours? {
                taken.push(notice);
            }
        }
        Ok(taken)
    }

    async fn deliver(&self, notice: LogoutNotice) -> Result<(), Failure> {
        let runtime = match self.registry.by_id(&notice.environment_id).await {
            Ok(Some(runtime)) => runtime,
            // Its environment is gone, and the notice with it.
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, "the environment of a back-channel logout cannot be read");
                return Ok(());
            }
        };
        let live = runtime.live();
        let told = live.environment.client(&notice.client_id);
        let told = told.filter(|told| told.backchannel_logout_uris().next().is_some());
        let (outcome, answer) = match told {
            // The application was deleted, or wants to hear no more.
            None => (LogoutDelivery::Refused, "no backchannel_logout_uri is registered any more".to_owned()),
            Some(told) => {
                match logout_token(&self.server, &runtime, &notice, told.id_token_signed_response_alg).await {
                    Ok(token) => {
                        let posts = told.backchannel_logout_uris().map(|uri| self.post(uri, &token));
                        worst(join_all(posts).await)
                    }
                    Err(failure) => (LogoutDelivery::Failed, failure.to_string()),
                }
            }
        };
        self.registry.metrics().logout_notice(conclude(&runtime, &notice, outcome, &answer).await?);
        Ok(())
    }

    async fn wait(&self) {
        self.server.sessions_ended.notified().await;
    }
}

impl LogoutNotices {
    async fn post(&self, uri: &str, token: &str) -> (LogoutDelivery, String) {
        let client = match self.client.get(&self.server.logout_roots, ANSWER_WITHIN, None) {
            Ok(client) => client,
            Err(error) => return (LogoutDelivery::Failed, format!("no HTTP client can be made: {error}")),
        };
        match client.post(uri).form(&[("logout_token", token)]).send().await {
            Ok(response) => {
                let status = response.status();
                (LogoutDelivery::of_status(status.as_u16()), format!("HTTP {}", status.as_u16()))
            }
            Err(error) => {
                let why = why_no_answer(&error, uri, ANSWER_WITHIN);
                tracing::debug!(error = ?error.without_url(), "back-channel logout: {why}");
                (LogoutDelivery::Failed, why)
            }
        }
    }
}

async fn logout_token(
    server: &ServerState,
    runtime: &EnvironmentRuntime,
    notice: &LogoutNotice,
    algorithm: SigningAlgorithm,
) -> Result<String, Failure> {
    let claims = LogoutTokenClaims::new(
        &notice.issuer,
        &notice.subject,
        &notice.client_id,
        &notice.session_id,
        new_id(IdKind::Token, server.machine_clock.now_ms(), &*server.entropy),
        runtime.clock.token_date_ms(),
    );
    let key = runtime.signing_key(algorithm).await?;
    Ok(key.sign_typed(LOGOUT_TOKEN_TYPE, &claims)?)
}

/// What counts of the answers of an application's addresses: all hear again where one did not.
fn worst(answers: Vec<(LogoutDelivery, String)>) -> (LogoutDelivery, String) {
    let order = [LogoutDelivery::Failed, LogoutDelivery::Refused, LogoutDelivery::Delivered];
    let found = answers.into_iter().min_by_key(|(outcome, _)| order.iter().position(|o| o == outcome));
    found.unwrap_or((LogoutDelivery::Refused, String::new()))
}

async fn conclude(
    runtime: &EnvironmentRuntime,
    notice: &LogoutNotice,
    outcome: LogoutDelivery,
    answer: &str,
) -> Result<Delivery, Failure> {
    let attempt = notice.attempts + 1;
    let (client_id, session_id) = (&notice.client_id, &notice.session_id);
    let (again_at_ms, ended_as, delivery) = match outcome {
        LogoutDelivery::Delivered => {
            tracing::debug!(client_id, session_id, attempt, "back-channel logout delivered");
            (None, Some("delivered"), Delivery::Delivered)
        }
        LogoutDelivery::Refused => {
            tracing::warn!(client_id, session_id, attempt, answer, "back-channel logout refused");
            (None, Some("refused"), Delivery::Refused)
        }
        LogoutDelivery::Failed if attempt < MAX_ATTEMPTS => {
            let percent = runtime.live().environment.delivery_retry_percent;
            let retry_in_ms = retry_delay_ms(u32::try_from(attempt).unwrap_or(u32::MAX)) * percent / 100;
            tracing::warn!(client_id, session_id, attempt, retry_in_ms, answer, "back-channel logout failed");
            (Some(runtime.clock.now_ms() + retry_in_ms), None, Delivery::Postponed)
        }
        LogoutDelivery::Failed => {
            tracing::error!(client_id, session_id, attempt, answer, "back-channel logout given up");
            (None, Some("given_up"), Delivery::GivenUp)
        }
    };
    runtime.store().note_logout_attempt(notice, again_at_ms, ended_as, answer).await?;
    Ok(delivery)
}
