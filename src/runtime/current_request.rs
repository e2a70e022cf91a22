//! What is learned about the request that is being answered, for the journal of its environment. As with the request's
//! span, whoever learns something notes it where it is learned; where no journal is kept, a note goes nowhere.

use std::cell::RefCell;
use std::sync::Arc;

use super::EnvironmentRuntime;
use crate::domain::request_journal::{RecordedParameters, shortened};

tokio::task_local! {
    static NOTES: RefCell<RequestNotes>;
}

/// What was learned about a request.
#[derive(Default)]
pub struct RequestNotes {
    /// The environment that it was answered in.
    pub environment: Option<Arc<EnvironmentRuntime>>,
    /// The template of its path.
    pub route: Option<String>,
    /// The path as far as it may be kept, where that is more than the route.
    pub path: Option<String>,
    pub client_id: Option<String>,
    pub parameters: RecordedParameters,
    pub error: Option<&'static str>,
    pub fault: Option<String>,
    pub not_emulated: Option<String>,
}

/// Answers a request, and gives what was noted meanwhile.
pub async fn with_notes<F: Future>(answer: F) -> (F::Output, RequestNotes) {
    let noted = async {
        let output = answer.await;
        (output, NOTES.with(RefCell::take))
    };
    NOTES.scope(RefCell::default(), noted).await
}

/// Notes something. Nothing is done where no journal is kept.
pub fn note(change: impl FnOnce(&mut RequestNotes)) {
    let _ = NOTES.try_with(|notes| change(&mut notes.borrow_mut()));
}

/// The client that the request is of. The last word counts: what was proved comes after what was claimed.
pub fn note_client(client_id: &str) {
    note(|notes| notes.client_id = Some(shortened(client_id)));
}

/// The error that the caller is told.
pub fn note_error(code: &'static str) {
    note(|notes| notes.error = Some(code));
}

/// Parameters of a query or a form.
pub fn note_parameters<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) {
    note(|notes| {
        for (name, value) in pairs {
            notes.parameters.add(name, value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_belong_to_the_request_that_they_were_made_in() {
        note_client("nobody");
        let one = with_notes(async {
            note_client("skc_1");
            tokio::task::yield_now().await;
            note_error("invalid_grant");
        });
        let other = with_notes(async {
            note_client("skc_2");
            tokio::task::yield_now().await;
            note_parameters([("grant_type", "refresh_token"), ("refresh_token", "secret")]);
        });
        let (((), one), ((), other)) = tokio::join!(one, other);
        assert_eq!((one.client_id.as_deref(), one.error), (Some("skc_1"), Some("invalid_grant")));
        assert_eq!((other.client_id.as_deref(), other.error), (Some("skc_2"), None));
        assert_eq!(other.parameters.value("grant_type"), Some("refresh_token"));
    }
}
