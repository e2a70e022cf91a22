//! Errors at the edge: a safe sentence for the caller, the detail for the log, said once.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::render::{self, FormsLead};
use super::views;
pub use super::views::Remedy;
use crate::domain::field_error::FieldError;
use crate::domain::language::Language;
use crate::runtime::{EnvironmentError, current_request};
use crate::service::{Failure, NOT_TEXT};
use crate::telemetry::request::RequestId;

/// A mistake as the control API says it: RFC 9457, with `error` and `errors` as extensions.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// A name for programs.
    pub error: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Where an email was waited for in vain: the newest sign-in that it could have belonged to, a line for each step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<String>,
}

/// The content type of [`ProblemDocument`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Below it, every error is a [`ProblemDocument`] for programs.
const CONTROL_PREFIX: &str = "/_emulator";

/// A failure as a response: a page for browsers is made by [`Problem::response_for`], JSON otherwise.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// Short machine-readable name, in the style of OAuth's error codes.
    pub code: &'static str,
    pub heading: &'static str,
    pub message: String,
    pub details: Vec<(String, String)>,
    pub how_to: Option<String>,
    /// What a press puts right.
    pub remedy: Option<Remedy>,
    /// Of heading and message.
    pub language: Language,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        heading: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            heading,
            message: message.into(),
            details: vec![],
            how_to: None,
            remedy: None,
            language: Language::En,
        }
    }

    /// Heading and message are in this language.
    pub fn in_language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    pub fn with_detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.push((name.to_owned(), value.into()));
        self
    }

    /// A button on the page; programs are not offered it.
    pub fn with_remedy(mut self, remedy: Option<Remedy>) -> Self {
        self.remedy = remedy;
        self
    }

    pub fn with_how_to(mut self, text: impl Into<String>) -> Self {
        self.how_to = Some(text.into());
        self
    }

    /// The database has not answered yet since the start.
    pub fn starting() -> Self {
        let text = "The server is starting and waits for its database. Try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "One moment", text)
    }

    /// There is no environment for a request.
    pub fn no_context(refusal: &EnvironmentError) -> Self {
        match refusal {
            EnvironmentError::Starting => Self::starting(),
            EnvironmentError::Unknown(name) => {
                let text =
                    format!("There is no environment {:?} here; it may have been deleted.", name.as_str());
                Self::new(StatusCode::NOT_FOUND, "unknown_environment", "No such environment", text)
                    .with_how_to("Make it: POST /_emulator/v1/environments. Or, if this is to be a name of the default environment, add its URL to public_urls.")
            }
            EnvironmentError::Failure(error) if error.is_passing() => {
                tracing::error!(%error, "an environment could not be read for now");
                Self::unavailable()
            }
            EnvironmentError::Failure(error) => {
                tracing::error!(%error, "an environment could not be read");
                Self::broken()
            }
        }
    }

    fn unavailable() -> Self {
        let text = "The server cannot reach its database right now. Nothing was lost; try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "One moment", text)
    }

    /// A mistake of ours.
    pub fn broken() -> Self {
        let text = "Something went wrong on our side. The server's log says what.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "Something went wrong", text)
    }

    /// A failure of ours, logged here.
    pub fn failure(failure: &Failure) -> Self {
        if failure.is_passing() {
            tracing::error!(error = %failure, "request failed for now");
            Self::unavailable()
        } else if failure.is_of_caller() {
            Self::bad_request("invalid_request", format!("This cannot be used: {NOT_TEXT}."))
        } else {
            tracing::error!(error = ?failure, "request failed");
            Self::broken()
        }
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "Invalid request", message)
    }

    /// The problem in the form the caller reads: a page for browsers; for programs a problem document from the control
    /// API, and JSON in OAuth's form from everything else.
    pub fn response_for(&self, request: &HttpRequest) -> HttpResponse {
        if wants_page(request) {
            self.page(request)
        } else if is_control(request) {
            self.document(vec![])
        } else {
            self.json()
        }
    }

    /// The problem as the control API says it.
    pub fn document(&self, errors: Vec<FieldError>) -> HttpResponse {
        self.document_with(errors, vec![])
    }

    /// The same with [`ProblemDocument::timeline`].
    pub fn document_with(&self, errors: Vec<FieldError>, timeline: Vec<String>) -> HttpResponse {
        current_request::note_error(self.code);
        let document = ProblemDocument {
            error: self.code.to_owned(),
            title: self.heading.to_owned(),
            status: self.status.as_u16(),
            detail: self.message.clone(),
            errors,
            timeline,
        };
        self.build()
            .insert_header((header::CONTENT_TYPE, PROBLEM_JSON))
            .body(serde_json::to_string(&document).unwrap_or_default())
    }

    fn build(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response
    }

    pub fn json(&self) -> HttpResponse {
        current_request::note_error(self.code);
        self.build().json(json!({ "error": self.code, "error_description": self.message }))
    }

    pub fn page(&self, request: &HttpRequest) -> HttpResponse {
        current_request::note_error(self.code);
        let mut details = self.details.clone();
        // Where the log says more, users are given what to look for.
        if self.status.is_server_error()
            && let Some(id) = request.extensions().get::<RequestId>()
        {
            details.push(("Request".to_owned(), id.to_string()));
        }
        let view = views::Error {
            layout: render::layout_of_request(request, self.language, self.heading),
            status: self.status.as_u16(),
            heading: self.heading.to_owned(),
            message: self.message.clone(),
            details,
            how_to: self.how_to.clone(),
            remedy: self.remedy.clone(),
        };
        match &self.remedy {
            Some(Remedy { leads_to: redirect_uri, .. }) => {
                render::page_with_forms(self.status, &view, FormsLead::ToApplication { redirect_uri })
            }
            None => render::page(self.status, &view),
        }
    }
}

/// What went wrong before a handler began, such as finding the environment, is said as JSON; users get a page, callers of
/// the control API a problem document.
pub async fn page_for_browsers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let answer = next.call(request).await?;
    let problem = answer.response().error().and_then(|error| error.as_error::<Problem>());
    let is_said_otherwise = wants_page(answer.request()) || is_control(answer.request());
    Ok(match problem.filter(|_| is_said_otherwise) {
        Some(problem) => {
            let response = problem.response_for(answer.request());
            answer.into_response(response).map_into_right_body()
        }
        None => answer.map_into_left_body(),
    })
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.json()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::failure(&failure)
    }
}

/// Is it about the control API or the inbox?
pub fn is_control(request: &HttpRequest) -> bool {
    let below = request.path().strip_prefix(CONTROL_PREFIX);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Does the caller read HTML rather than JSON?
pub fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.contains("text/html")
}
