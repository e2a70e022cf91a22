//! Calls of a running server's control API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::remote;
use crate::domain::host::is_loopback;

/// The control API of one environment.
#[derive(Clone)]
pub(super) struct ControlClient {
    http: reqwest::Client,
    /// The environment's URL, without a slash at its end.
    base: String,
    token: Option<SecretString>,
}

/// Why the control API did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlClientError {
    #[error("{base} does not respond: {reason}")]
    NoResponse { base: String, reason: String },
    #[error("{detail} (HTTP {status})")]
    Refused { status: u16, detail: String },
}

impl ControlClient {
    /// `ca_file` is an authority to trust beside the system's.
    pub(super) fn new(
        url: &str,
        token: Option<SecretString>,
        ca_file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let parsed = url::Url::parse(url).context("the URL of the server")?;
        if !matches!(parsed.scheme(), "http" | "https") {
            bail!("the URL of the server must begin with http:// or https://");
        }
        let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if parsed.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        let http = remote::trusting(builder, ca_file)?.build()?;
        Ok(Self { http, base: url.trim_end_matches('/').to_owned(), token })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The same for another environment of the server.
    pub(super) fn of_environment(&self, url: &str) -> Self {
        Self { base: url.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    /// A resource below `/_emulator/v1`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, ControlClientError> {
        self.call(Method::GET, path, None).await
    }

    /// A call below `/_emulator/v1`; `null` where nothing is answered.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ControlClientError> {
        let text = self.send(method, &format!("/_emulator/v1{path}"), body).await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The text at any path of the server.
    pub(super) async fn text(&self, path: &str) -> Result<String, ControlClientError> {
        self.send(Method::GET, path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, ControlClientError> {
        let no_response = |error: reqwest::Error| ControlClientError::NoResponse {
            base: self.base.clone(),
            reason: crate::telemetry::said_once(&error),
        };
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        // Waiting for an email takes up to a minute.
        let response: Response =
            request.timeout(Duration::from_secs(70)).send().await.map_err(no_response)?;
        let status = response.status();
        let text = response.text().await.map_err(no_response)?;
        if status.is_success() {
            return Ok(text);
        }
        Err(ControlClientError::Refused { status: status.as_u16(), detail: detail_of(&text) })
    }
}

/// What a problem document says, with the timeline of the sign-in that an email was waited for in.
fn detail_of(text: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Value>(text) else {
        return "the server gave no reason".to_owned();
    };
    // Scalekit's API, which is served there too, says `message`.
    let detail = problem["detail"].as_str().or(problem["message"].as_str());
    let timeline = problem["timeline"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let detail = detail.unwrap_or("the server gave no reason").to_owned();
    timeline.fold(detail, |text, line| text + "\n" + line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_their_sentence() {
        assert_eq!(detail_of(r#"{"detail":"email is missing","status":400}"#), "email is missing");
        assert_eq!(detail_of(r#"{"message":"user not found"}"#), "user not found");
        assert_eq!(detail_of("<html>"), "the server gave no reason");
        assert_eq!(detail_of("{}"), "the server gave no reason");
        assert_eq!(
            detail_of(r#"{"detail":"no email","timeline":["Sign-in","+0.0 s"]}"#),
            "no email\nSign-in\n+0.0 s"
        );
    }
}
