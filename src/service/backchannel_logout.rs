//! Telling applications that a session has ended (OpenID Connect Back-Channel Logout 1.0). The end of the session
//! writes down who has to be told, so that no crash and no dead application loses it.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::Failure;
use super::delivery_http::{http_client, why_no_answer};
use crate::domain::clock::rfc3339;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::logout_token::{LOGOUT_TOKEN_TYPE, LogoutDelivery, LogoutTokenClaims};
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::mail::retry_delay_ms;
use crate::runtime::{Context, EnvironmentRegistry, EnvironmentRuntime, ServerState};
use crate::storage::LogoutNotice;
use crate::telemetry::metrics::Delivery;

/// Notices taken at a time, and sent at the same time.
const BATCH: i64 = 16;

/// How often the notices are looked at without being told: retries fall due, other replicas stop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an application may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a claimed notice is left to the process that claimed it, in milliseconds; longer than any attempt.
const CLAIM_MS: i64 = 30_000;

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
    /// By the machine's clock.
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
    let mut client = None;
    loop {
        match tell_due(&registry, &server, &mut client).await {
            Ok(0) => {
                let _ = tokio::time::timeout(LOOK_EVERY, server.sessions_ended.notified()).await;
            }
            Ok(_) => {}
            Err(failure) => {
                tracing::error!(error = %failure, "back-channel logout: the database does not answer; notices wait");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// Tries every notice whose time has come, by the machine's clock; returns how many were tried.
async fn tell_due(
    registry: &EnvironmentRegistry,
    server: &ServerState,
    client: &mut Option<reqwest::Client>,
) -> Result<usize, Failure> {
    let now_ms = server.machine_clock.now_ms();
    let due = server.store.due_logout_notices(now_ms, BATCH).await?;
    if due.is_empty() {
        return Ok(0);
    }
    // Made when it is needed: reading the machine's certificates takes longer than a start should.
    let client = match client {
        Some(client) => client,
        None => match http_client(&server.logout_roots, ANSWER_WITHIN, None) {
            Ok(made) => client.insert(made),
            Err(error) => {
                tracing::error!(%error, "back-channel logout: no HTTP client can be made; notices wait");
                return Ok(0);
            }
        },
    };
    let outcomes = join_all(due.iter().map(|notice| claim_and_tell(registry, server, client, notice))).await;
    let mut tried = 0;
    for outcome in outcomes {
        tried += usize::from(outcome?);
    }
    Ok(tried)
}

/// `false` when another replica has the notice.
async fn claim_and_tell(
    registry: &EnvironmentRegistry,
    server: &ServerState,
    client: &reqwest::Client,
    notice: &LogoutNotice,
) -> Result<bool, Failure> {
    if !server.store.claim_logout_notice(notice, server.machine_clock.now_ms() + CLAIM_MS).await? {
        return Ok(false);
    }
    let runtime = match registry.by_id(&notice.environment_id).await {
        Ok(Some(runtime)) => runtime,
        // Its environment is gone, and the notice with it.
        Ok(None) => return Ok(true),
        Err(error) => {
            tracing::error!(%error, "the environment of a back-channel logout cannot be read");
            return Ok(true);
        }
    };
    let live = runtime.live();
    let told = live.environment.client(&notice.client_id);
    let (outcome, answer) = match told.filter(|told| told.backchannel_logout_uris().next().is_some()) {
        // The application was deleted, or wants to hear no more.
        None => (LogoutDelivery::Refused, "no backchannel_logout_uri is registered any more".to_owned()),
        Some(told) => match logout_token(server, &runtime, notice, told.id_token_signed_response_alg).await {
            Ok(token) => {
                let posts = told.backchannel_logout_uris().map(|uri| post(client, uri, &token));
                worst(join_all(posts).await)
            }
            Err(failure) => (LogoutDelivery::Failed, failure.to_string()),
        },
    };
    registry.metrics().logout_notice(conclude(server, notice, outcome, &answer).await?);
    Ok(true)
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

async fn post(client: &reqwest::Client, uri: &str, token: &str) -> (LogoutDelivery, String) {
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

/// What counts of the answers of an application's addresses: all hear again where one did not.
fn worst(answers: Vec<(LogoutDelivery, String)>) -> (LogoutDelivery, String) {
    let order = [LogoutDelivery::Failed, LogoutDelivery::Refused, LogoutDelivery::Delivered];
    let found = answers.into_iter().min_by_key(|(outcome, _)| order.iter().position(|o| o == outcome));
    found.unwrap_or((LogoutDelivery::Refused, String::new()))
}

async fn conclude(
    server: &ServerState,
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
            let retry_in_ms = retry_delay_ms(u32::try_from(attempt).unwrap_or(u32::MAX));
            tracing::warn!(client_id, session_id, attempt, retry_in_ms, answer, "back-channel logout failed");
            (Some(server.machine_clock.now_ms() + retry_in_ms), None, Delivery::Postponed)
        }
        LogoutDelivery::Failed => {
            tracing::error!(client_id, session_id, attempt, answer, "back-channel logout given up");
            (None, Some("given_up"), Delivery::GivenUp)
        }
    };
    server.store.note_logout_attempt(notice, again_at_ms, ended_as, answer).await?;
    Ok(delivery)
}
