//! Writes requests down in the journal of their environment.

use std::sync::Arc;
use std::time::Instant;

use crate::api;
use crate::domain::clock::Clock as _;
use crate::domain::request_journal::{RecordedParameters, RecordedRequest, RequestKind, is_id, shortened};
use crate::runtime::current_request::RequestNotes;
use crate::runtime::{EnvironmentRegistry, EnvironmentRuntime, EnvironmentSelector};
use crate::telemetry::request::{RequestId, shown_path};

/// Paths that are about the server, or that belong to pages: they would push out what applications ask for.
const NOT_RECORDED: [&str; 8] =
    ["/_emulator", "/dashboard", "/assets/", "/favicon.ico", "/health", "/live", "/ready", "/metrics"];

/// A request that is being answered.
pub struct Recording {
    /// The environment that it names, where this process has it at work.
    environment: Option<Arc<EnvironmentRuntime>>,
    request_id: String,
    method: http::Method,
    is_grpc: bool,
    /// The path without what may be secret.
    path: String,
    query: RecordedParameters,
    begun: Instant,
}

impl Recording {
    /// `None`: it is not written down.
    pub fn begin<B>(
        registry: &EnvironmentRegistry,
        request: &http::Request<B>,
        asked: EnvironmentSelector<'_>,
        id: &RequestId,
    ) -> Option<Self> {
        let path = request.uri().path();
        // The page that waits for its link to be opened asks every few seconds.
        let is_polling = path.starts_with("/login/") && path.ends_with("/status");
        let is_left_out = is_polling || NOT_RECORDED.iter().any(|prefix| path.starts_with(prefix));
        if is_left_out || !registry.keeps_requests() {
            return None;
        }
        let mut query = RecordedParameters::default();
        for (name, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        {
            query.add(&name, &value);
        }
        Some(Self {
            environment: registry.known(asked),
            request_id: id.to_string(),
            method: request.method().clone(),
            is_grpc: api::is_grpc(request.headers()),
            path: shown_path(path),
            query,
            begun: Instant::now(),
        })
    }

    /// Adds the request to the journal, with what was learned about it. `response` is `None` where the connection ends
    /// without one.
    pub fn finish<B>(self, notes: RequestNotes, response: Option<&http::Response<B>>) {
        let Some(environment) = notes.environment.or(self.environment) else { return };
        let settings = environment.live().environment.clone();
        let keep = usize::try_from(settings.requests_keep).unwrap_or_default();
        if keep == 0 {
            return;
        }
        let mut parameters = self.query;
        parameters.extend(notes.parameters);
        let client_id = notes.client_id.or_else(|| parameters.value("client_id").map(str::to_owned));
        // Where id and secret were mixed up, it is the secret.
        let client_id = client_id.filter(|id| is_id(id) || settings.client(id).is_some());
        let path = notes.path.or_else(|| notes.route.clone()).unwrap_or(self.path);
        let duration = self.begun.elapsed();
        environment.requests.record(
            RecordedRequest {
                number: 0,
                request_id: self.request_id,
                at_ms: environment.clock.now_ms(),
                kind: if self.is_grpc { RequestKind::Grpc } else { RequestKind::of_path(&path) },
                method: shortened(self.method.as_str()),
                path: shortened(&path),
                route: notes.route.as_deref().map(shortened),
                client_id,
                parameters,
                status: response.map(|response| response.status().as_u16()),
                grpc_status: response.filter(|_| self.is_grpc).map(grpc_status),
                duration,
                error: notes.error,
                fault: notes.fault,
                not_emulated: notes.not_emulated.as_deref().map(shortened),
            },
            keep,
        );
    }
}

/// A call that went well says so behind its message.
fn grpc_status<B>(response: &http::Response<B>) -> i32 {
    let status = response.headers().get("grpc-status").and_then(|value| value.to_str().ok()?.parse().ok());
    status.unwrap_or_default()
}
