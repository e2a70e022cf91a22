//! The log of sign-ins: why did it fail?

use actix_web::{HttpRequest, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Answer, Control, ProblemDocument, Query, json, refuse};
use crate::domain::clock::rfc3339;
use crate::domain::flow::FlowStatus;
use crate::domain::sign_in_event::Verdict;
use crate::http::event_text::text_of;
use crate::http::params::with_lost_plus;
use crate::service::changes::ControlError;
use crate::service::flows;
use crate::service::flows::{FlowFilter, FlowRow, LoggedStep};

/// A sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowView {
    /// The `auth_request_id`; an id of the log alone for what never became one.
    pub id: String,
    pub email: Option<String>,
    pub client_id: Option<String>,
    pub user_id: Option<String>,
    pub status: FlowStatus,
    /// What decided so, as a sentence.
    pub why: String,
    /// Its type, such as `code_rejected`.
    pub why_type: String,
    /// RFC 3339, by the environment's clock.
    pub started_at: String,
    pub changed_at: String,
}

impl From<FlowRow> for FlowView {
    fn from(row: FlowRow) -> Self {
        let why = text_of(&row.last_event);
        let (why_type, _) = row.last_event.into_parts();
        Self {
            status: row.status,
            id: row.id,
            email: row.email,
            client_id: row.client_id,
            user_id: row.user_id,
            why,
            why_type,
            started_at: rfc3339(row.started_at_ms),
            changed_at: rfc3339(row.changed_at_ms),
        }
    }
}

/// A step with its time.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// RFC 3339, by the environment's clock.
    pub at: String,
    /// What happened, such as `code_rejected`.
    pub r#type: String,
    /// What it was about: `authorize`, `page`, `mail`, `code`, `link`, `interceptor`, `session` or `token`.
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was decided, and why, as a sentence.
    pub text: String,
    /// The fields of its type.
    #[schema(value_type = Object)]
    pub facts: Map<String, Value>,
}

impl From<LoggedStep> for StepView {
    fn from(logged: LoggedStep) -> Self {
        let event = logged.event;
        let (at, name, verdict, text) =
            (rfc3339(logged.at_ms), event.subject(), event.verdict(), text_of(&event));
        let (r#type, facts) = event.into_parts();
        Self { at, r#type, name, verdict, text, facts }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FlowList {
    pub flows: Vec<FlowView>,
    pub total: i64,
    pub next_page_token: Option<String>,
}

/// A sign-in and everything that was checked and decided, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowDetail {
    #[serde(flatten)]
    pub flow: FlowView,
    pub steps: Vec<StepView>,
}

/// Lists sign-ins, newest first.
#[utoipa::path(get, path = "/_emulator/v1/flows", tag = "flows",
    params(("email" = Option<String>, Query, description = "An address or a part of one."),
        ("client_id" = Option<String>, Query, description = "Only sign-ins to this application."),
        ("status" = Option<String>, Query, description = "INITIATED, PENDING, SUCCESS or FAILED; several with commas."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = FlowList), (status = 400, body = ProblemDocument)))]
pub async fn list(request: HttpRequest, Control(context): Control) -> Answer {
    let query = Query::of(&request).map_err(refuse)?;
    let page = query.page().map_err(refuse)?;
    let statuses = query.list("status").into_iter().map(|text| {
        FlowStatus::parse(text)
            .ok_or_else(|| ControlError::field("status", "must be INITIATED, PENDING, SUCCESS or FAILED"))
    });
    let filter = FlowFilter {
        email_key: None,
        email_part: query.text("email").map_err(refuse)?.map(with_lost_plus),
        client_id: query.owned("client_id").map_err(refuse)?,
        statuses: statuses.collect::<Result<_, _>>().map_err(refuse)?,
        from_ms: None,
        until_ms: None,
        offset: page.offset,
        limit: page.limit(),
    };
    let (mut rows, total) = flows::list(&context, &filter).await.map_err(|failure| refuse(failure.into()))?;
    let next_page_token = page.cut(&mut rows);
    Ok(json(&FlowList { flows: rows.into_iter().map(FlowView::from).collect(), total, next_page_token }))
}

/// Returns one sign-in with its timeline.
#[utoipa::path(get, path = "/_emulator/v1/flows/{id}", tag = "flows", params(("id" = String, Path)),
    responses((status = 200, body = FlowDetail), (status = 404, body = ProblemDocument)))]
pub async fn show(Control(context): Control, id: web::Path<String>) -> Answer {
    let found = flows::show(&context, &id).await.map_err(|failure| refuse(failure.into()))?;
    let (row, steps) =
        found.ok_or_else(|| refuse(ControlError::NotFound(format!("there is no flow {id}"))))?;
    Ok(json(&FlowDetail { flow: row.into(), steps: steps.into_iter().map(StepView::from).collect() }))
}
