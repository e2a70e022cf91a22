//! One call of an interceptor, over HTTP.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::delivery_http::{PublicAddresses, http_client, why_no_answer};
use super::webhook_delivery::logged_headers;
use crate::crypto::webhook_signature::signature;
use crate::domain::interceptor::{Decision, Interceptor, MAX_RESPONSE_BYTES, TIMEOUT_MS};
use crate::domain::settings::Mode;
use crate::domain::webhook::{DeliveryAttempt, MAX_LOGGED_BODY, WebhookSecrets, check_url};
use crate::runtime::ServerState;

/// The two families of signature headers. Go's SDK knows the first alone, Node's the second.
const FAMILIES: [&str; 2] = ["webhook", "interceptor"];

/// What was asked and answered, and what it comes to.
pub(super) struct Exchange {
    pub attempt: DeliveryAttempt,
    /// An error says in words why there is none.
    pub decision: Result<Decision, String>,
}

/// Asks an interceptor. Signatures and their time are real time, by which receivers check them.
pub(super) async fn call(
    server: &ServerState,
    interceptor: &Interceptor,
    secrets: &WebhookSecrets,
    call_id: &str,
    body: &str,
) -> Exchange {
    let at_ms = server.machine_clock.now_ms();
    let headers = headers(secrets, call_id, body, at_ms);
    let mut attempt = DeliveryAttempt {
        number: 1,
        url: interceptor.url.clone(),
        at_ms,
        request_headers: headers.clone(),
        ..DeliveryAttempt::default()
    };
    let begun = Instant::now();
    let within = Duration::from_millis(interceptor.timeout_ms.unsigned_abs());
    let asked = ask(server, interceptor, &headers, body, &mut attempt);
    let answered = tokio::time::timeout(within, asked).await;
    let decision =
        answered.unwrap_or_else(|_| Err(format!("no answer within {} ms", interceptor.timeout_ms)));
    attempt.latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    attempt.reason = decision.as_ref().err().cloned();
    Exchange { attempt, decision }
}

async fn ask(
    server: &ServerState,
    interceptor: &Interceptor,
    headers: &[(String, String)],
    body: &str,
    attempt: &mut DeliveryAttempt,
) -> Result<Decision, String> {
    let url = interceptor.url.as_str();
    // What was configured in development mode may not be good enough for production.
    check_url(url, server.mode).map_err(|reason| format!("the URL {reason}"))?;
    let public_addresses = public_addresses(server);
    if let (Some(addresses), Ok(url)) = (&public_addresses, Url::parse(url)) {
        addresses.check_literal(&url).map_err(|refused| refused.to_string())?;
    }
    let client =
        client(server, public_addresses).map_err(|error| format!("no HTTP client can be made: {error}"))?;
    let request = headers.iter().fold(client.post(url), |request, (name, value)| request.header(name, value));
    let sent = request.body(body.to_owned()).send().await;
    let mut response = sent.map_err(|error| why_no_answer(&error, url, longest()))?;
    let status = response.status();
    attempt.status = Some(status.as_u16());
    attempt.response_headers = logged_headers(response.headers());
    let mut bytes = vec![];
    while bytes.len() <= MAX_RESPONSE_BYTES
        && let Some(chunk) = response.chunk().await.map_err(|_| "the answer broke off".to_owned())?
    {
        bytes.extend_from_slice(&chunk);
    }
    let logged = &bytes[..bytes.len().min(MAX_LOGGED_BODY)];
    attempt.response_body = String::from_utf8_lossy(logged).into_owned();
    if status.is_redirection() {
        return Err(format!("HTTP {}: redirects are not followed", status.as_u16()));
    }
    Decision::parse(status.as_u16(), &bytes)
}

/// `None`: any address is good.
fn public_addresses(server: &ServerState) -> Option<PublicAddresses> {
    (server.mode == Mode::Production)
        .then(|| PublicAddresses { allowed_hosts: server.webhook_allowed_hosts.clone().into() })
}

/// As long as any interceptor may take; each has a time of its own.
fn longest() -> Duration {
    Duration::from_millis(TIMEOUT_MS.end().unsigned_abs())
}

fn client(
    server: &ServerState,
    public_addresses: Option<PublicAddresses>,
) -> Result<&reqwest::Client, reqwest::Error> {
    match server.interceptor_client.get() {
        Some(client) => Ok(client),
        None => {
            let made = http_client(&server.logout_roots, longest(), public_addresses)?;
            Ok(server.interceptor_client.get_or_init(|| made))
        }
    }
}

/// The headers of a call at a time, with a signature by each secret that is valid then.
fn headers(secrets: &WebhookSecrets, call_id: &str, body: &str, at_ms: i64) -> Vec<(String, String)> {
    let timestamp_s = at_ms.div_euclid(1000);
    let keys = secrets.valid_at(at_ms).filter_map(|secret| secret.key());
    let signatures: Vec<String> = keys.map(|key| signature(&key, call_id, timestamp_s, body)).collect();
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), concat!("Vestibule/", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    for family in FAMILIES {
        headers.push((format!("{family}-id"), call_id.to_owned()));
        headers.push((format!("{family}-timestamp"), timestamp_s.to_string()));
        headers.push((format!("{family}-signature"), signatures.join(" ")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::Fixed;
    use crate::domain::webhook::WebhookSecret;

    #[test]
    fn both_families_of_headers_carry_the_same_signatures_by_every_valid_secret() {
        let mut secrets = WebhookSecrets::new(WebhookSecret::new(&Fixed(1)));
        secrets.rotate(WebhookSecret::new(&Fixed(2)), 1_000, 5_000);
        let headers = headers(&secrets, "icpc_1", "{}", 5_999);
        let one = |name: &str| headers.iter().find(|(n, _)| n == name).unwrap().1.clone();
        for what in ["id", "timestamp", "signature"] {
            assert_eq!(one(&format!("webhook-{what}")), one(&format!("interceptor-{what}")));
        }
        let by = |byte| signature(&[byte; 32], "icpc_1", 5, "{}");
        assert_eq!(one("interceptor-signature"), format!("{} {}", by(2), by(1)));
        assert_eq!((one("interceptor-id"), one("interceptor-timestamp")), ("icpc_1".into(), "5".into()));
    }
}
