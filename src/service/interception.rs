//! Asking interceptors at their triggers. Nothing is held meanwhile, no transaction, no lock and no row: whoever asks reads
//! the state again afterwards, or writes over what was read.

use std::sync::{Mutex, PoisonError};

use super::interceptor_http::{Exchange, call};
use super::sessions::Browser;
use super::user_agent::UserAgent;
use super::{Failure, flows};
use crate::domain::flow::About;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::interceptor::{
    Additions, CallResult, Decision, FailurePolicy, Interceptor, InterceptorCall, TriggerPoint, policy_text,
};
use crate::domain::interceptor_request::{Caller, InterceptedAction, body};
use crate::domain::session::MAX_USER_AGENT;
use crate::domain::sign_in_event::SignInEvent;
use crate::domain::webhook::DeliveryAttempt;
use crate::runtime::Context;
use crate::storage::InterceptorRecord;

/// What the interceptors of a trigger come to.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Allow {
        additions: Additions,
        /// What holds where the membership that is asked for cannot be.
        failure_policy: FailurePolicy,
    },
    /// With what whoever is denied is told.
    Deny(String),
}

/// A question that was answered: a user or address, and an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    trigger_point: TriggerPoint,
    user_id: Option<String>,
    organization_id: Option<String>,
}

/// The answers of one request, so that a write that is tried again asks nothing twice.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Vec<(Question, Verdict)>>);

fn asked(context: &Context, trigger_point: TriggerPoint) -> impl Iterator<Item = &InterceptorRecord> {
    let interceptors = context.live.interceptors.iter();
    interceptors.filter(move |record| {
        record.interceptor.is_enabled && record.interceptor.trigger_point == trigger_point
    })
}

/// Is anybody asked at this trigger?
pub(super) fn is_asked(context: &Context, trigger_point: TriggerPoint) -> bool {
    asked(context, trigger_point).next().is_some()
}

/// What a browser says of itself.
pub(super) fn caller(browser: &Browser) -> Caller {
    caller_of(browser.user_agent.as_deref(), browser.ip_address)
}

/// The same of any request.
pub fn caller_of(user_agent: Option<&str>, ip_address: Option<std::net::IpAddr>) -> Caller {
    let user_agent = user_agent.map(|text| &text[..text.floor_char_boundary(MAX_USER_AGENT)]);
    let device_type = user_agent.and_then(|text| match UserAgent::parse(text).device_type {
        "desktop" => Some("Desktop"),
        "mobile" => Some("Mobile"),
        "tablet" => Some("Tablet"),
        _ => None,
    });
    Caller { user_agent: user_agent.map(str::to_owned), ip_address, device_type }
}

/// What the application is told of a denial: RFC 6749 §4.1.2.1 has printable ASCII without quotes and backslashes.
pub(super) fn error_description(message: &str) -> String {
    let allowed = |c: char| match c {
        '"' => '\'',
        ' '..='~' if c != '\\' => c,
        _ => '?',
    };
    message.chars().map(allowed).collect()
}

/// What whoever is denied is told where nobody says more.
pub(super) fn general_text(context: &Context) -> String {
    policy_text(context.environment.branding.support_email.as_deref())
}

impl Answers {
    /// Asks the interceptors of a trigger, one after the other. The first that denies ends it.
    pub(super) async fn ask(
        &self,
        context: &Context,
        trigger_point: TriggerPoint,
        flow_id: Option<&str>,
        action: &InterceptedAction<'_>,
    ) -> Result<Verdict, Failure> {
        let question = Question {
            trigger_point,
            user_id: action.user.map(|user| user.id.clone()),
            organization_id: action.organization_id.map(str::to_owned),
        };
        if let Some(verdict) = self.known(&question) {
            return Ok(verdict);
        }
        let mut additions = Additions::default();
        let mut failure_policy = FailurePolicy::FailOpen;
        for record in asked(context, trigger_point) {
            let interceptor = &record.interceptor;
            match ask_one(context, record, flow_id, action).await? {
                Ok(Decision::Allow(more)) => {
                    if more.membership.is_some() {
                        failure_policy = interceptor.failure_policy;
                    }
                    additions.extend(more);
                }
                Ok(Decision::Deny(message)) => {
                    let text = message.unwrap_or_else(|| general_text(context));
                    return Ok(self.remember(question, Verdict::Deny(text)));
                }
                Err(reason) => {
                    tracing::warn!(interceptor = interceptor.id, reason, "an interceptor gave no decision");
                    if interceptor.failure_policy == FailurePolicy::FailClosed {
                        return Ok(self.remember(question, Verdict::Deny(general_text(context))));
                    }
                }
            }
        }
        Ok(self.remember(question, Verdict::Allow { additions, failure_policy }))
    }

    fn known(&self, question: &Question) -> Option<Verdict> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().find(|(asked, _)| asked == question).map(|(_, verdict)| verdict.clone())
    }

    fn remember(&self, question: Question, verdict: Verdict) -> Verdict {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((question, verdict.clone()));
        verdict
    }
}

/// Asks one interceptor, and notes it in its log and in the timeline of the sign-in. The inner error says why there is no
/// decision.
async fn ask_one(
    context: &Context,
    record: &InterceptorRecord,
    flow_id: Option<&str>,
    action: &InterceptedAction<'_>,
) -> Result<Result<Decision, String>, Failure> {
    let server = &context.runtime.server;
    let interceptor = &record.interceptor;
    let secrets = server.webhooks().open(&record.sealed_secrets)?;
    let id = new_call_id(context);
    let body = body(interceptor, action).to_string();
    let Exchange { attempt, decision } = call(server, interceptor, &secrets, &id, &body).await;
    note(context, interceptor, flow_id, &id, &attempt, &decision);
    log(context, interceptor, flow_id, id, body, attempt, &decision).await;
    Ok(decision)
}

/// An id for a call: later ones are greater, whatever became of the environment's clock.
pub(super) fn new_call_id(context: &Context) -> String {
    let entropy = &*context.runtime.server.entropy;
    new_id(IdKind::InterceptorCall, context.runtime.clock.machine_ms(), entropy)
}

/// What a decision counts as.
pub(super) fn result_of(decision: &Result<Decision, String>) -> CallResult {
    match decision {
        Ok(Decision::Allow(_)) => CallResult::Allow,
        Ok(Decision::Deny(_)) => CallResult::Deny,
        Err(_) => CallResult::Failed,
    }
}

fn note(
    context: &Context,
    interceptor: &Interceptor,
    flow_id: Option<&str>,
    call_id: &str,
    attempt: &DeliveryAttempt,
    decision: &Result<Decision, String>,
) {
    let Some(flow_id) = flow_id else { return };
    let message = match decision {
        Ok(Decision::Allow(_)) => None,
        Ok(Decision::Deny(message)) => message.clone(),
        Err(reason) => Some(reason.clone()),
    };
    let event = SignInEvent::InterceptorAnswered {
        interceptor_id: interceptor.id.clone(),
        call_id: call_id.to_owned(),
        display_name: interceptor.display_name.clone(),
        trigger_point: interceptor.trigger_point,
        result: result_of(decision),
        latency_ms: attempt.latency_ms,
        failure_policy: interceptor.failure_policy,
        message,
    };
    flows::note(context, flow_id, About::default(), event);
}

/// The log is kept as long as that of sign-ins. A call that cannot be noted is made all the same.
async fn log(
    context: &Context,
    interceptor: &Interceptor,
    flow_id: Option<&str>,
    id: String,
    body: String,
    attempt: DeliveryAttempt,
    decision: &Result<Decision, String>,
) {
    if context.environment.flows_keep_s == 0 {
        return;
    }
    let call = InterceptorCall {
        id,
        interceptor_id: interceptor.id.clone(),
        display_name: interceptor.display_name.clone(),
        trigger_point: interceptor.trigger_point,
        flow_id: flow_id.map(str::to_owned),
        body,
        result: result_of(decision),
        attempt,
        created_at_ms: context.now_ms(),
    };
    let logged_at_ms = context.runtime.clock.machine_ms();
    let noted = context.store().log_interceptor_call(context.environment_id(), &call, logged_at_ms).await;
    if let Err(error) = noted {
        tracing::warn!(%error, call = call.id, "a call of an interceptor could not be noted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_told_in_characters_that_oauth_has() {
        assert_eq!(error_description("Only \"acme\" \\ Größe\n"), "Only 'acme' ? Gr??e?");
    }

    #[test]
    fn devices_are_named_as_scalekit_names_them() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
        assert_eq!(caller_of(Some(firefox), None).device_type, Some("Desktop"));
        assert_eq!(caller_of(Some("curl/8.5.0"), None).device_type, None);
        assert_eq!(caller_of(None, None), Caller::default());
        let long = caller_of(Some(&"é".repeat(MAX_USER_AGENT)), None);
        assert!(long.user_agent.unwrap().len() <= MAX_USER_AGENT);
    }
}
