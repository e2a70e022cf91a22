//! Calls of the environment's public API: one at a time, and slower when it asks for that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::progress;
use crate::telemetry::said_once;

/// The environment, and the application as which it is called.
#[derive(Debug, Clone, Args)]
pub struct RemoteOptions {
    /// Environment URL, of Scalekit or of another Vestibule
    #[arg(long, env = "SCALEKIT_ENVIRONMENT_URL", value_parser = environment_url)]
    pub url: String,
    /// An application of the environment that may call its API
    #[arg(long, env = "SCALEKIT_CLIENT_ID")]
    pub client_id: String,
    /// Better given as the variable: other users of this machine see the arguments of programs
    #[arg(long, env = "SCALEKIT_CLIENT_SECRET", hide_env_values = true)]
    pub client_secret: SecretString,
    /// PEM file of an authority to trust, for an environment with a certificate of its own
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// How often a call is made before it counts as failed.
const ATTEMPTS: u32 = 8;

/// The longest pause between two calls, whatever the environment asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// Pauses from here on are told.
const LONG_PAUSE: Duration = Duration::from_secs(4);

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// `--url`, without a slash at its end.
fn environment_url(text: &str) -> Result<String, &'static str> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("it must begin with https:// or http://"),
    }
}

/// An environment, signed in to as one of its applications.
pub(super) struct Remote {
    http: reqwest::Client,
    base: String,
    client_id: String,
    client_secret: SecretString,
    token: SecretString,
}

impl Remote {
    pub(super) async fn connect(options: &RemoteOptions) -> anyhow::Result<Self> {
        let mut remote = Self {
            http: http_client(options.ca_file.as_deref())?,
            base: options.url.clone(),
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
            token: SecretString::default(),
        };
        remote.sign_in().await?;
        Ok(remote)
    }

    async fn sign_in(&mut self) -> anyhow::Result<()> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose_secret()),
        ];
        let request = self.http.post(format!("{}/oauth/token", self.base)).form(&form);
        let response = self.send(&request, false).await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let redirect = location.map(|location| format!("it redirects to {location}"));
        let answer: Value = serde_json::from_str(&response.text().await?).unwrap_or_default();
        let Some(token) = answer["access_token"].as_str() else {
            let reason = answer["error_description"].as_str().or(answer["error"].as_str());
            let reason = reason.or(redirect.as_deref()).unwrap_or("no reason given");
            bail!("{} issues no token ({status}): {reason}", self.base);
        };
        self.token = SecretString::from(token);
        Ok(())
    }

    /// A resource below `/api/v1`.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let answer = self.call(Method::GET, path, None).await?;
        if !answer.is_success() {
            bail!("{}/api/v1{path} answers {}: {}", self.base, answer.status, answer.message());
        }
        Ok(answer.body)
    }

    /// A call below `/api/v1`. A refusal is an answer, too.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let is_repeatable = method == Method::GET;
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let mut response = self.send_with_token(&request, is_repeatable).await?;
        // The token of a long import expires.
        if response.status() == StatusCode::UNAUTHORIZED {
            self.sign_in().await?;
            response = self.send_with_token(&request, is_repeatable).await?;
        }
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    async fn send_with_token(
        &self,
        request: &RequestBuilder,
        is_repeatable: bool,
    ) -> anyhow::Result<Response> {
        let request = copy(request)?.bearer_auth(self.token.expose_secret());
        self.send(&request, is_repeatable).await
    }

    /// Sends a request, and again after a pause where it was refused for now alone. What changes something is not
    /// repeatable: it may have failed half-way.
    async fn send(&self, request: &RequestBuilder, is_repeatable: bool) -> anyhow::Result<Response> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = copy(request)?.send().await;
            let is_passing = match &outcome {
                Ok(response) => is_passing(response.status(), is_repeatable),
                Err(_) => is_repeatable,
            };
            if !is_passing || attempt == ATTEMPTS {
                return outcome.with_context(|| format!("{} cannot be reached", self.base));
            }
            wait(&outcome, attempt).await?;
        }
    }
}

fn copy(request: &RequestBuilder) -> anyhow::Result<RequestBuilder> {
    request.try_clone().context("a request that cannot be sent twice")
}

/// What an environment answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a refusal says, and not more of it than fits a line.
    pub(super) fn message(&self) -> String {
        let text = self.body["message"].as_str().or(self.body.as_str()).unwrap_or_default();
        text.chars().take(200).collect()
    }
}

/// Is it refused for now alone?
fn is_passing(status: StatusCode, is_repeatable: bool) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            is_repeatable
        }
        _ => false,
    }
}

fn http_client(ca_file: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    let builder =
        reqwest::Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none());
    Ok(trusting(builder, ca_file)?.build()?)
}

/// Trusts an authority beside the system's.
pub(super) fn trusting(builder: ClientBuilder, ca_file: Option<&Path>) -> anyhow::Result<ClientBuilder> {
    let Some(path) = ca_file else { return Ok(builder) };
    let pem = std::fs::read(path).with_context(|| format!("the authority's file {}", path.display()))?;
    let authorities = reqwest::Certificate::from_pem_bundle(&pem)
        .with_context(|| format!("the authority's file {}", path.display()))?;
    Ok(builder.tls_certs_merge(authorities))
}

/// Waits as long as the environment says, and else longer from time to time.
async fn wait(outcome: &reqwest::Result<Response>, attempt: u32) -> anyhow::Result<()> {
    let (reason, asked) = match outcome {
        Ok(response) => {
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            (response.status().to_string(), asked)
        }
        Err(error) => (said_once(error), None),
    };
    let pause = pause(asked, attempt);
    if pause >= LONG_PAUSE {
        progress::note(&format!("{reason}: trying again in {} s", pause.as_secs()))?;
    }
    tokio::time::sleep(pause).await;
    Ok(())
}

/// A date is not read.
fn pause(asked: Option<&str>, attempt: u32) -> Duration {
    let asked_s = asked.and_then(|text| text.trim().parse().ok());
    Duration::from_secs(asked_s.unwrap_or(1 << (attempt - 1).min(6))).min(LONGEST_PAUSE)
}

/// A text as a part of a path or query.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn pauses_are_those_that_the_environment_asks_for_within_limits() {
        for (asked, attempt, seconds) in [
            (Some("7"), 1, 7),
            (Some(" 7 "), 6, 7),
            (Some("100000"), 1, 120),
            (Some("Fri, 27 Nov 2026 00:00:00 GMT"), 2, 2),
            (None, 1, 1),
            (None, 4, 8),
            (None, 60, 64),
        ] {
            assert_eq!(pause(asked, attempt), Duration::from_secs(seconds), "{asked:?} {attempt}");
        }
    }

    #[test]
    fn refusals_are_told_in_a_line() {
        let message = |body: Value| Answer { status: 404, body }.message();
        assert_eq!(
            message(json!({ "code": 5, "message": "organization not found" })),
            "organization not found"
        );
        assert_eq!(message(Value::String("x".repeat(1_000))).len(), 200);
        assert_eq!(message(json!([])), "");
    }

    #[test]
    fn an_environment_has_a_url_with_its_scheme() {
        assert_eq!(environment_url("https://acme.scalekit.dev/").unwrap(), "https://acme.scalekit.dev");
        for bad in ["acme.scalekit.dev", "localhost:6870", "ftp://acme.scalekit.dev", ""] {
            assert!(environment_url(bad).is_err(), "{bad}");
        }
    }

    /// Answers one connection after the other with these, and tells the first line of each request.
    async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut asked = vec![];
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            asked.push(text.lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut request).await;
        }
        asked
    }

    #[tokio::test]
    async fn a_call_is_made_again_when_the_environment_asks_for_time_or_a_new_token() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = RemoteOptions {
            url: format!("http://{}", listener.local_addr().unwrap()),
            client_id: "web".into(),
            client_secret: "secret".into(),
            ca_file: None,
        };
        let answer = |head: &str, body: &str| {
            format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        };
        let token = answer("200 OK", r#"{"access_token":"t"}"#);
        let later = answer("429 Too Many Requests\r\nretry-after: 0", "");
        let unavailable = answer("503 Service Unavailable\r\nretry-after: 0", "");
        let expired = answer("401 Unauthorized", "");
        let users = answer("200 OK", r#"{"users":[]}"#);
        let answers = [&later, &token, &unavailable, &later, &expired, &token, &users, &unavailable];
        let calls = async {
            let mut remote = Remote::connect(&options).await.unwrap();
            let users = remote.get("/users").await.unwrap();
            let not_repeated = remote.call(Method::POST, "/users", Some(&json!({}))).await.unwrap();
            (users, not_repeated.status)
        };
        let answers = answers.map(String::as_str);
        let (asked, done) = tokio::join!(serve(listener, &answers), calls);
        assert_eq!(done, (json!({ "users": [] }), 503));
        let (token, get) = ("POST /oauth/token HTTP/1.1", "GET /api/v1/users HTTP/1.1");
        assert_eq!(asked, [token, token, get, get, get, token, get, "POST /api/v1/users HTTP/1.1"]);
    }
}
