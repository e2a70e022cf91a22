//! Webhooks: endpoints, the secrets that deliveries to them are signed with, where they may be, and when a failed delivery
//! is tried again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::clock::UnixMs;
use super::entropy::Entropy;
use super::event::EventType;
use super::logout_token::check_backchannel_logout_uri;
use super::settings::Mode;

/// How secrets begin (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";

/// Bytes of a secret (Standard Webhooks).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Secrets that are valid at the same time, so that the header with their signatures stays short.
const MAX_SECRETS: usize = 4;

/// Longest time that an old secret stays valid, in milliseconds.
pub const MAX_OVERLAP_MS: i64 = 30 * 86_400_000;

const MAX_URL_LENGTH: usize = 2_048;
const MAX_DESCRIPTION_LENGTH: usize = 500;

/// Waits between the attempts of a delivery, in milliseconds: the first attempt is made at once.
const RETRY_WAITS_MS: [i64; 5] = [5_000, 30_000, 120_000, 300_000, 900_000];

/// Longest part of a response that the delivery log keeps, in bytes.
pub const MAX_LOGGED_BODY: usize = 4_096;

/// Attempts that the delivery log keeps of one delivery.
const MAX_LOGGED_ATTEMPTS: usize = 20;

/// Why a secret is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and 24 to 64 bytes in standard base64")]
pub struct WebhookSecretError;

/// What a receiver checks signatures with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookSecret(String);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret([redacted])")
    }
}

impl WebhookSecret {
    /// A new one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
    }

    /// One that somebody chose. SDKs split it at `_`, of which standard base64 has none.
    pub fn parse(text: &str) -> Result<Self, WebhookSecretError> {
        let secret = Self(text.to_owned());
        if secret.key().is_some_and(|key| SECRET_BYTES.contains(&key.len())) {
            Ok(secret)
        } else {
            Err(WebhookSecretError)
        }
    }

    /// As receivers are given it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of its signatures.
    pub fn key(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.0.strip_prefix(SECRET_PREFIX)?).ok()
    }
}

/// A secret, and until when it is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SigningSecret {
    secret: WebhookSecret,
    /// Real time; `None`: it is the newest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<UnixMs>,
}

/// The secrets of an endpoint, the newest first. There is always one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<SigningSecret>", into = "Vec<SigningSecret>")]
pub struct WebhookSecrets(Vec<SigningSecret>);

impl TryFrom<Vec<SigningSecret>> for WebhookSecrets {
    type Error = WebhookSecretError;

    fn try_from(secrets: Vec<SigningSecret>) -> Result<Self, WebhookSecretError> {
        for stored in &secrets {
            WebhookSecret::parse(stored.secret.expose())?;
        }
        if secrets.is_empty() { Err(WebhookSecretError) } else { Ok(Self(secrets)) }
    }
}

impl From<WebhookSecrets> for Vec<SigningSecret> {
    fn from(secrets: WebhookSecrets) -> Self {
        secrets.0
    }
}

impl WebhookSecrets {
    /// One secret.
    pub fn new(secret: WebhookSecret) -> Self {
        Self(vec![SigningSecret { secret, expires_at_ms: None }])
    }

    /// The newest one.
    pub fn current(&self) -> Option<&WebhookSecret> {
        self.0.first().map(|newest| &newest.secret)
    }

    /// All that are valid at a time, the newest first.
    pub fn valid_at(&self, now_ms: UnixMs) -> impl Iterator<Item = &WebhookSecret> {
        let valid = self.0.iter().filter(move |stored| stored.expires_at_ms.is_none_or(|ms| now_ms < ms));
        valid.map(|stored| &stored.secret)
    }

    /// Puts a new secret in front. The one before stays valid for `overlap_ms`, so that receivers can be changed one
    /// after the other.
    pub fn rotate(&mut self, secret: WebhookSecret, now_ms: UnixMs, overlap_ms: i64) {
        let expires_at_ms = now_ms.saturating_add(overlap_ms);
        for stored in &mut self.0 {
            stored.expires_at_ms = Some(stored.expires_at_ms.unwrap_or(expires_at_ms).min(expires_at_ms));
        }
        self.0.retain(|stored| stored.secret != secret && stored.expires_at_ms.is_some_and(|ms| now_ms < ms));
        self.0.insert(0, SigningSecret { secret, expires_at_ms: None });
        self.0.truncate(MAX_SECRETS);
    }
}

/// Where an environment's events are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// `whe_…`
    pub id: String,
    /// Grows with every change.
    pub version: i64,
    pub url: String,
    /// The types of the events that are sent; none: all.
    pub events: Vec<EventType>,
    pub description: String,
    pub is_enabled: bool,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

/// Checks the URL of an endpoint: the rules are those of back-channel logout.
pub fn check_url(text: &str, mode: Mode) -> Result<String, String> {
    if text.len() > MAX_URL_LENGTH {
        return Err(format!("must have at most {MAX_URL_LENGTH} characters"));
    }
    check_backchannel_logout_uri(text, mode).map_err(|error| error.to_string())
}

/// Types by their names, each once.
pub fn parse_events(names: &[String]) -> Result<Vec<EventType>, String> {
    let mut events = vec![];
    for name in names {
        let event_type = EventType::parse(name).ok_or_else(|| {
            let known = EventType::ALL.map(EventType::as_str).join(", ");
            format!("names {name:?}; known are {known}")
        })?;
        if !events.contains(&event_type) {
            events.push(event_type);
        }
    }
    Ok(events)
}

/// Why this cannot be a description.
pub fn bad_description(text: &str) -> Option<&'static str> {
    (text.chars().count() > MAX_DESCRIPTION_LENGTH).then_some("must have at most 500 characters")
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DeliveryStatus {
    /// It waits for its first attempt.
    Queued,
    /// An attempt failed, and another one follows.
    Retrying,
    Success,
    /// No attempt is left.
    Failed,
}

impl DeliveryStatus {
    const ALL: [Self; 4] = [Self::Queued, Self::Retrying, Self::Success, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Retrying => "RETRYING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An event on its way to an endpoint. It outlives both.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookDelivery {
    pub endpoint_id: String,
    pub event_id: String,
    pub event_type: String,
    /// As it is sent.
    pub body: String,
    pub status: DeliveryStatus,
    /// How many attempts were begun.
    pub attempts: i64,
    /// How many failed since it was queued or replayed.
    pub failures: i64,
    /// By the environment's clock; 0: at once; `None`: it is over.
    pub next_attempt_at_ms: Option<UnixMs>,
    pub created_at_ms: UnixMs,
    /// The last attempts, the oldest first.
    pub log: Vec<DeliveryAttempt>,
}

/// One attempt, as the delivery log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryAttempt {
    /// From 1 on.
    pub number: i64,
    pub url: String,
    /// Real time, as `webhook-timestamp` says it.
    pub at_ms: UnixMs,
    pub latency_ms: i64,
    pub request_headers: Vec<(String, String)>,
    /// `None`: there was no response.
    pub status: Option<u16>,
    pub response_headers: Vec<(String, String)>,
    /// The beginning of the response's body.
    pub response_body: String,
    /// Why it failed.
    pub reason: Option<String>,
}

impl WebhookDelivery {
    /// Notes how an attempt went. `now_ms` is the environment's time, from which the wait for the next one counts.
    pub fn conclude(&mut self, attempt: DeliveryAttempt, now_ms: UnixMs, retry_percent: i64) {
        let is_failed = attempt.reason.is_some();
        self.log.push(attempt);
        let surplus = self.log.len().saturating_sub(MAX_LOGGED_ATTEMPTS);
        self.log.drain(..surplus);
        if !is_failed {
            (self.status, self.next_attempt_at_ms) = (DeliveryStatus::Success, None);
            return;
        }
        self.failures += 1;
        let wait_ms = retry_wait_ms(self.failures, retry_percent);
        self.next_attempt_at_ms = wait_ms.map(|ms| now_ms.saturating_add(ms));
        self.status = if wait_ms.is_some() { DeliveryStatus::Retrying } else { DeliveryStatus::Failed };
    }
}

/// How long to wait after so many failed attempts, in milliseconds, at this percentage of the usual waits; `None`: no
/// attempt is left.
pub fn retry_wait_ms(failures: i64, percent: i64) -> Option<i64> {
    let index = usize::try_from(failures).ok()?.checked_sub(1)?;
    RETRY_WAITS_MS.get(index).map(|ms| ms.saturating_mul(percent) / 100)
}

/// Why a webhook may not be sent to this address in production mode: what it is an address of. Who may configure an endpoint
/// shall not reach through this server what only this server reaches.
pub fn refused_address(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => refused_v4(ip),
        IpAddr::V6(ip) => refused_v6(ip),
    }
}

fn refused_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        _ if ip.is_loopback() => Some("a loopback address"),
        _ if ip.is_private() => Some("a private address"),
        _ if ip.is_link_local() => Some("a link-local address"),
        // RFC 6598, behind the NAT of a provider.
        (100, 64..=127, _) => Some("a private address"),
        // This network, protocol assignments, documentation, benchmarks, multicast, and what is reserved.
        (0 | 224..=255, ..) | (192, 0, 0 | 2) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => {
            Some("a special-purpose address")
        }
        _ => None,
    }
}

fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let segments = ip.segments();
    // Addresses that translators turn into one of IPv4: NAT64 (RFC 6052) and 6to4 (RFC 3056).
    let embedded = match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        return refused_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    }
    match segments[0] {
        _ if ip.is_loopback() => Some("a loopback address"),
        0xfc00..=0xfdff => Some("a private address"),
        0xfe80..=0xfebf => Some("a link-local address"),
        // Global unicast is 2000::/3; Teredo and documentation are not.
        0x2001 if segments[1] == 0 || segments[1] == 0xdb8 => Some("a special-purpose address"),
        0x2000..=0x3fff => None,
        _ => Some("a special-purpose address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::Fixed;

    fn secret(byte: u8) -> WebhookSecret {
        WebhookSecret::new(&Fixed(byte))
    }

    #[test]
    fn a_secret_is_whsec_and_standard_base64_and_prints_nothing_of_itself() {
        let made = secret(255);
        assert_eq!(made.key(), Some(vec![255; 32]));
        assert_eq!(made.expose().split('_').count(), 2, "SDKs split it there");
        assert_eq!(WebhookSecret::parse(made.expose()), Ok(made.clone()));
        assert!(!format!("{:?}", WebhookSecrets::new(made)).contains("////"));
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        assert!(WebhookSecret::parse(&of(24)).is_ok() && WebhookSecret::parse(&of(64)).is_ok());
        for bad in
            [of(23), of(65), of(32)[6..].to_owned(), "whsec_".into(), "whsec_a_b".into(), String::new()]
        {
            assert_eq!(WebhookSecret::parse(&bad), Err(WebhookSecretError), "{bad}");
        }
    }

    #[test]
    fn a_rotated_secret_stays_valid_for_the_overlap_and_no_longer() {
        let mut secrets = WebhookSecrets::new(secret(1));
        let valid = |secrets: &WebhookSecrets, now_ms| secrets.valid_at(now_ms).cloned().collect::<Vec<_>>();
        secrets.rotate(secret(2), 1_000, 500);
        assert_eq!(secrets.current(), Some(&secret(2)));
        assert_eq!(valid(&secrets, 1_499), [secret(2), secret(1)]);
        assert_eq!(valid(&secrets, 1_500), [secret(2)]);
        // A later rotation does not lengthen what an earlier one left.
        secrets.rotate(secret(3), 1_100, 1_000);
        assert_eq!(valid(&secrets, 1_499), [secret(3), secret(2), secret(1)]);
        assert_eq!(valid(&secrets, 1_500), [secret(3), secret(2)]);
        // Without an overlap the old ones are gone at once.
        secrets.rotate(secret(4), 1_200, 0);
        assert_eq!(valid(&secrets, 1_200), [secret(4)]);
        for byte in 5..20 {
            secrets.rotate(secret(byte), 1_200, 1_000);
        }
        assert_eq!(valid(&secrets, 1_200).len(), MAX_SECRETS);
    }

    #[test]
    fn stored_secrets_are_read_back_and_bad_ones_are_not() {
        let mut secrets = WebhookSecrets::new(secret(1));
        secrets.rotate(secret(2), 1_000, 500);
        let stored = serde_json::to_string(&secrets).unwrap();
        assert_eq!(serde_json::from_str::<WebhookSecrets>(&stored).unwrap(), secrets);
        for bad in ["[]", r#"[{"secret":"whsec_short"}]"#, "{}"] {
            assert!(serde_json::from_str::<WebhookSecrets>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_are_named_and_unknown_ones_are_refused() {
        let parse = |names: &[&str]| parse_events(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        let named = parse(&["role.created", "user.signup", "role.created"]);
        assert_eq!(named, Ok(vec![EventType::RoleCreated, EventType::UserSignedUp]));
        assert_eq!(parse(&[]), Ok(vec![]));
        assert!(parse(&["user.created"]).unwrap_err().contains("organization.created"));
    }

    #[test]
    fn a_url_is_https_in_production() {
        assert!(check_url("http://localhost:3000/hook", Mode::Development).is_ok());
        assert!(check_url("http://app.example.com/hook", Mode::Production).is_err());
        assert!(check_url(&format!("https://a.io/{}", "x".repeat(2_100)), Mode::Development).is_err());
    }

    fn delivery() -> WebhookDelivery {
        WebhookDelivery {
            endpoint_id: "whe_1".into(),
            event_id: "evt_1".into(),
            event_type: "role.created".into(),
            body: "{}".into(),
            status: DeliveryStatus::Queued,
            attempts: 1,
            failures: 0,
            next_attempt_at_ms: Some(0),
            created_at_ms: 0,
            log: vec![],
        }
    }

    fn failed() -> DeliveryAttempt {
        DeliveryAttempt { reason: Some("HTTP 500".into()), ..DeliveryAttempt::default() }
    }

    #[test]
    fn a_delivery_is_tried_six_times_with_longer_and_longer_waits() {
        let mut delivery = delivery();
        let mut waits = vec![];
        for _ in 0..5 {
            delivery.conclude(failed(), 1_000, 100);
            assert_eq!(delivery.status, DeliveryStatus::Retrying);
            waits.push(delivery.next_attempt_at_ms.unwrap() - 1_000);
        }
        assert_eq!(waits, RETRY_WAITS_MS);
        delivery.conclude(failed(), 1_000, 100);
        assert_eq!((delivery.status, delivery.next_attempt_at_ms), (DeliveryStatus::Failed, None));
        assert_eq!(delivery.log.len(), 6);
    }

    #[test]
    fn waits_are_scaled_and_a_success_ends_them() {
        assert_eq!((retry_wait_ms(1, 10), retry_wait_ms(2, 0)), (Some(500), Some(0)));
        assert_eq!((retry_wait_ms(0, 100), retry_wait_ms(6, 100)), (None, None));
        let mut delivery = delivery();
        delivery.conclude(failed(), 1_000, 100);
        delivery.conclude(DeliveryAttempt { status: Some(204), ..DeliveryAttempt::default() }, 2_000, 100);
        assert_eq!((delivery.status, delivery.next_attempt_at_ms), (DeliveryStatus::Success, None));
        for _ in 0..40 {
            delivery.conclude(failed(), 1_000, 100);
        }
        assert_eq!(delivery.log.len(), MAX_LOGGED_ATTEMPTS);
    }

    #[test]
    fn addresses_of_this_machine_and_its_networks_are_refused() {
        for (address, of) in [
            ("127.0.0.1", "loopback"),
            ("127.9.9.9", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "private"),
            ("::ffff:10.0.0.1", "private"),
            ("fd00::1", "private"),
            // Where clouds give out credentials.
            ("169.254.169.254", "link-local"),
            ("fe80::1", "link-local"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("2002:7f00:1::", "loopback"),
            ("0.0.0.0", "special-purpose"),
            ("255.255.255.255", "special-purpose"),
            ("224.0.0.1", "special-purpose"),
            ("192.0.2.1", "special-purpose"),
            ("::", "special-purpose"),
            ("ff02::1", "special-purpose"),
            ("2001:db8::1", "special-purpose"),
            ("2001::1", "special-purpose"),
            // The form that nobody uses any more.
            ("::10.0.0.1", "special-purpose"),
        ] {
            let refused = refused_address(address.parse().unwrap());
            assert!(refused.is_some_and(|text| text.contains(of)), "{address}: {refused:?}");
        }
        for public in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2001:4860::8888", "64:ff9b::101:101"]
        {
            assert_eq!(refused_address(public.parse().unwrap()), None, "{public}");
        }
    }
}
