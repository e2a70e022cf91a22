//! The log of sign-ins: every check and decision, to answer "why did it fail?".

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::clock::UnixMs;
use super::sign_in_event::SignInEvent;

/// Where a sign-in stands, in the words of Scalekit's authentication log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum FlowStatus {
    /// It began; nothing was sent yet.
    Initiated,
    /// An email is out.
    Pending,
    Success,
    Failed,
}

impl FlowStatus {
    pub const ALL: [Self; 4] = [Self::Initiated, Self::Pending, Self::Success, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "INITIATED",
            Self::Pending => "PENDING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }

    /// Nothing that comes later changes it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }

    /// Case does not count; Scalekit's documentation also says "Failure".
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let text = if text == "FAILURE" { "FAILED" } else { &text };
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// What an event tells of the sign-in as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    pub email: Option<String>,
    pub client_id: Option<String>,
    pub user_id: Option<String>,
    pub status: Option<FlowStatus>,
}

impl About {
    pub fn status(status: FlowStatus) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    pub fn email(self, email: impl Into<String>) -> Self {
        Self { email: Some(email.into()), ..self }
    }

    pub fn client(self, client_id: impl Into<String>) -> Self {
        Self { client_id: Some(client_id.into()), ..self }
    }

    pub fn user(self, user_id: impl Into<String>) -> Self {
        Self { user_id: Some(user_id.into()), ..self }
    }
}

/// A step of one sign-in, on its way to the database.
#[derive(Debug, Clone)]
pub struct FlowEvent {
    pub environment_id: String,
    /// Sorts by time.
    pub id: String,
    /// The authentication request; a grant, for what happens to its tokens.
    pub flow_id: String,
    pub about: About,
    pub event: SignInEvent,
    /// By the environment's clock.
    pub at_ms: UnixMs,
    /// By the machine's.
    pub logged_at_ms: UnixMs,
}

/// Where steps of one sign-in, in their order, leave it, and the step that decided that. `None`: they do not say where it
/// stands. What finished or refused a sign-in decides: a used link that is clicked again, a code that comes too late or
/// another refusal changes neither outcome nor reason. Until then the last step is the one to know.
pub fn decisive<'a>(steps: &[&'a FlowEvent]) -> Option<(Option<FlowStatus>, &'a FlowEvent)> {
    steps.iter().fold(None, |before, step| match before {
        Some((Some(status), _)) if status.is_final() => before,
        _ => Some((step.about.status.or(before.and_then(|(status, _)| status)), *step)),
    })
}

/// Most steps kept while the database does not take them.
const MAX_WAITING: usize = 10_000;

/// Steps that wait to be written, many at once: a sign-in shall not wait for its log.
#[derive(Debug, Default)]
pub struct FlowLog {
    waiting: Mutex<Vec<FlowEvent>>,
    count: AtomicU64,
    lost: AtomicU64,
}

impl FlowLog {
    /// The number of the next step of this process.
    pub fn next_number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    pub fn push(&self, event: FlowEvent) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING {
            waiting.push(event);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many steps there was no room for.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What waits; it waits no longer.
    pub fn take(&self) -> Vec<FlowEvent> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(status: Option<FlowStatus>, event: SignInEvent) -> FlowEvent {
        let about = About { status, ..About::default() };
        let (environment_id, id, flow_id) = Default::default();
        FlowEvent { environment_id, id, flow_id, about, event, at_ms: 0, logged_at_ms: 0 }
    }

    fn decided_by<'a>(steps: &[&'a FlowEvent]) -> Option<(Option<FlowStatus>, &'a SignInEvent)> {
        decisive(steps).map(|(status, step)| (status, &step.event))
    }

    #[test]
    fn what_finished_or_refused_a_sign_in_stays_its_outcome_whatever_comes_later() {
        let late = [
            step(None, SignInEvent::PageRefused {}),
            step(Some(FlowStatus::Pending), SignInEvent::CodeExpired { closed: false }),
            step(Some(FlowStatus::Success), SignInEvent::InstantSignIn {}),
            step(Some(FlowStatus::Failed), SignInEvent::CodeNotOffered { closed: true }),
        ];
        for outcome in [FlowStatus::Success, FlowStatus::Failed] {
            let decided = step(Some(outcome), SignInEvent::AddressProven {});
            let steps: Vec<&FlowEvent> = [&decided].into_iter().chain(&late).collect();
            assert_eq!(decided_by(&steps), Some((Some(outcome), &SignInEvent::AddressProven {})));
        }
    }

    #[test]
    fn the_last_step_of_an_open_sign_in_is_the_one_to_know() {
        let sent = step(Some(FlowStatus::Pending), SignInEvent::CodeAccepted {});
        let refused = step(None, SignInEvent::PageRefused {});
        assert_eq!(
            decided_by(&[&sent, &refused]),
            Some((Some(FlowStatus::Pending), &SignInEvent::PageRefused {}))
        );
        assert_eq!(decided_by(&[&refused]), Some((None, &SignInEvent::PageRefused {})));
        assert_eq!(decided_by(&[]), None);
    }

    #[test]
    fn a_status_is_read_in_any_case_and_by_both_names() {
        assert_eq!(FlowStatus::parse("failure"), Some(FlowStatus::Failed));
        assert_eq!(FlowStatus::parse("Success"), Some(FlowStatus::Success));
        assert_eq!(FlowStatus::parse("done"), None);
    }
}
