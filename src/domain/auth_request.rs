//! The authentication request: one attempt of one person to prove an address.
//!
//! A pure state machine. Every transition takes the request by value, the time and the settings, and returns the
//! next state together with a named outcome; storage commits the next state only if nobody else moved it
//! meanwhile (`version`), and runs the transition again otherwise.
//!
//! ```text
//! AwaitingEmail ──send──▶ AwaitingProof ──right code or link──▶ Completed ◀──choice── AwaitingOrganization
//!                          │  ▲  │ └──right code or link, of several organizations──▶─────────┘
//!                          │  │  └──fifth wrong code in ten minutes──▶ Dead
//!                          └──┘ resend
//! ```

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use serde::{Deserialize, Serialize};

use super::authorization::AuthorizationRequest;
use super::clock::UnixMs;
use super::email::EmailAddress;
use super::environment::Environment;
use super::limits::{FailedAttempts, RecentTimes};
use super::settings::{Limits, PasswordlessSettings, PasswordlessType};

/// How long an identical wrong code counts as the same attempt, in milliseconds, where repetitions count once.
pub const REPEATED_GUESS_MS: i64 = 2_000;

/// An authentication request as stored: one that began in a browser, or one that a server asked for by API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest<O = Hosted> {
    /// 256 random bits, base64url.
    pub id: String,
    /// Grows by one with every committed transition.
    pub version: i64,
    pub origin: O,
    pub stage: Stage,
    /// Code attempts judged lately.
    pub attempts: RecentTimes,
    /// The last wrong code, where repetitions count once.
    pub last_guess: Option<Guess>,
    pub created_at_ms: UnixMs,
    /// When the user has to start again, whatever happened.
    pub expires_at_ms: UnixMs,
}

/// What differs between requests by where they came from.
pub trait Origin: Clone {
    /// An identical refused code within [`REPEATED_GUESS_MS`] is the same attempt. Some SDK versions send every failing
    /// call three times; a guesser learns nothing from a code that was judged already.
    const REPEATED_GUESSES_COUNT_ONCE: bool;

    /// Seconds that credentials live, where the application chose.
    fn expires_in_s(&self) -> Option<i64>;
}

/// An application sent a browser to `/oauth/authorize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// What the application asked for.
    pub authorization: AuthorizationRequest,
    /// Keyed digest of the cookie of the browser that started.
    pub browser_digest: String,
    /// Issuer the request came in under; emails link to it.
    pub issuer: String,
}

impl Origin for Hosted {
    const REPEATED_GUESSES_COUNT_ONCE: bool = false;

    fn expires_in_s(&self) -> Option<i64> {
        None
    }
}

/// A wrong code, kept as a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// Keyed digest of request and code.
    pub digest: String,
    /// When it was judged first.
    pub at_ms: UnixMs,
}

/// Where a request stands, with what it has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Nobody was written to yet.
    AwaitingEmail,
    AwaitingProof(Credentials),
    /// The address was proven; the user has to choose an organization.
    AwaitingOrganization(Credentials),
    /// The address was proven; the request is used up.
    Completed(Credentials),
    /// Too many guesses; the user starts again.
    Dead(Credentials),
}

impl Stage {
    /// The name in storage.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AwaitingEmail => "awaiting_email",
            Self::AwaitingProof(_) => "awaiting_proof",
            Self::AwaitingOrganization(_) => "awaiting_organization",
            Self::Completed(_) => "completed",
            Self::Dead(_) => "dead",
        }
    }

    /// The stage of this name, as [`Stage::as_str`] spells it; `None` also where it lacks what it has to have.
    pub fn from_parts(name: &str, credentials: Option<Credentials>) -> Option<Self> {
        match name {
            "awaiting_email" => Some(Self::AwaitingEmail),
            "awaiting_proof" => credentials.map(Self::AwaitingProof),
            "awaiting_organization" => credentials.map(Self::AwaitingOrganization),
            "completed" => credentials.map(Self::Completed),
            "dead" => credentials.map(Self::Dead),
            _ => None,
        }
    }

    fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::AwaitingEmail => None,
            Self::AwaitingProof(sent)
            | Self::AwaitingOrganization(sent)
            | Self::Completed(sent)
            | Self::Dead(sent) => Some(sent),
        }
    }
}

/// What the last email carried, and to whom. It stays as it was sent: settings that change later are for later emails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The address to prove.
    pub email: EmailAddress,
    /// Code, link or both.
    pub passwordless_type: PasswordlessType,
    /// Code and link are derived from (id, generation).
    pub generation: i64,
    pub code: CodeForm,
    pub sent_at_ms: UnixMs,
    /// When code and link stop working.
    pub expire_at_ms: UnixMs,
}

/// Where the code of an email comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeForm {
    /// It is derived, with so many digits.
    Digits(u32),
    /// The fixed code of a test user.
    Static(String),
}

impl Credentials {
    /// Seconds that code and link are good for, as the email says.
    pub fn validity_s(&self) -> i64 {
        (self.expire_at_ms - self.sent_at_ms) / 1000
    }

    /// Digits of the code.
    pub fn code_length(&self) -> u32 {
        match &self.code {
            CodeForm::Digits(length) => *length,
            CodeForm::Static(code) => u32::try_from(code.len()).unwrap_or(u32::MAX),
        }
    }

    /// Is the code one that everybody knows?
    pub fn is_of_test_user(&self) -> bool {
        matches!(self.code, CodeForm::Static(_))
    }
}

/// Why nothing more can be done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    #[error("the auth request has expired")]
    Expired,
    #[error("the auth request was already used")]
    Completed,
    #[error("too many attempts: the auth request is closed")]
    TooManyAttempts,
}

/// Why no email is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    #[error(transparent)]
    Closed(#[from] Closed),
    /// A resend before any send.
    #[error("no email was sent for this auth request yet")]
    NothingSent,
}

/// What a code attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOutcome {
    Accepted,
    /// With none left, the request is dead.
    Wrong {
        attempts_left: usize,
    },
    /// The code's time is over; a new one can be sent.
    Expired,
    /// No attempt was left, and the request is dead.
    TooManyAttempts,
    /// The address had its share of wrong codes for 24 hours: none is judged, not even a right one. Links go on working,
    /// because nobody can guess them: whoever spends the share of another person does not lock them out.
    AddressRateLimited {
        retry_after_s: i64,
    },
    /// No code was sent: emails carry links only.
    NotOffered,
    Closed(Closed),
}

/// What opening a link came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    Accepted,
    /// Opened elsewhere than where the sign-in started, which the settings forbid. The link stays usable there.
    WrongBrowser,
    Expired,
    Closed(Closed),
}

impl<O: Origin> AuthRequest<O> {
    /// A request that was just made by an application.
    pub fn start(id: String, origin: O, environment: &Environment, now_ms: UnixMs) -> Self {
        let lifetime_s = environment.limits.auth_request_lifetime_s;
        let lifetime_s = origin.expires_in_s().map_or(lifetime_s, |wanted_s| wanted_s.max(lifetime_s));
        Self {
            id,
            version: 0,
            origin,
            stage: Stage::AwaitingEmail,
            attempts: RecentTimes::default(),
            last_guess: None,
            created_at_ms: now_ms,
            expires_at_ms: now_ms + lifetime_s * 1000,
        }
    }

    /// Is the request beyond use, and why?
    pub fn closed(&self, now_ms: UnixMs) -> Option<Closed> {
        match self.stage {
            Stage::Completed(_) => Some(Closed::Completed),
            Stage::Dead(_) => Some(Closed::TooManyAttempts),
            Stage::AwaitingEmail | Stage::AwaitingProof(_) | Stage::AwaitingOrganization(_) => {
                (now_ms >= self.expires_at_ms).then_some(Closed::Expired)
            }
        }
    }

    /// What the last email carried; `None`: there was none.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.stage.credentials()
    }

    /// The address to prove, once known.
    pub fn email(&self) -> Option<&EmailAddress> {
        self.credentials().map(|sent| &sent.email)
    }

    /// The address that was proven, while the user has to choose an organization.
    pub fn choosing(&self) -> Option<&EmailAddress> {
        match &self.stage {
            Stage::AwaitingOrganization(sent) => Some(&sent.email),
            _ => None,
        }
    }

    /// Instead of completing it, a proof lets the user choose an organization.
    #[must_use]
    pub fn await_choice(mut self) -> Self {
        if let Stage::Completed(sent) = self.stage {
            self.stage = Stage::AwaitingOrganization(sent);
        }
        self
    }

    /// The user has chosen. `None`: nothing was to choose.
    pub fn choose(mut self, now_ms: UnixMs) -> Result<Option<Self>, Closed> {
        if let Some(closed) = self.closed(now_ms) {
            return Err(closed);
        }
        let Stage::AwaitingOrganization(sent) = self.stage else { return Ok(None) };
        self.stage = Stage::Completed(sent);
        Ok(Some(self))
    }

    /// The credentials that can still prove the address, but for their time.
    pub fn awaited(&self) -> Option<&Credentials> {
        match &self.stage {
            Stage::AwaitingProof(sent) => Some(sent),
            _ => None,
        }
    }

    /// Have code and link of the last email run out?
    pub fn credentials_expired(&self, now_ms: UnixMs) -> bool {
        self.credentials().is_none_or(|sent| now_ms >= sent.expire_at_ms)
    }

    /// Sends to `email` for the first time, or again when it is the address already written to. A test user has a
    /// `static_code`.
    pub fn send(
        mut self,
        email: EmailAddress,
        settings: &PasswordlessSettings,
        static_code: Option<&str>,
        now_ms: UnixMs,
    ) -> Result<Self, SendRefusal> {
        if let Some(closed) = self.closed(now_ms) {
            return Err(closed.into());
        }
        let earlier = match &self.stage {
            Stage::AwaitingProof(sent) if sent.email == email => {
                return self.resend(settings, static_code, now_ms);
            }
            // Another address: what the first one received must not prove it.
            stage => stage.credentials().map_or(0, |sent| sent.generation),
        };
        self.stage = Stage::AwaitingProof(self.fresh(email, earlier + 1, settings, static_code, now_ms));
        Ok(self)
    }

    /// Sends again. The count of attempts goes on; whether the earlier email stays good is a setting. Where it does, the
    /// same credentials are sent, whatever was set meanwhile.
    pub fn resend(
        mut self,
        settings: &PasswordlessSettings,
        static_code: Option<&str>,
        now_ms: UnixMs,
    ) -> Result<Self, SendRefusal> {
        if let Some(closed) = self.closed(now_ms) {
            return Err(closed.into());
        }
        let Stage::AwaitingProof(sent) = &self.stage else { return Err(SendRefusal::NothingSent) };
        let fresh = self.fresh(sent.email.clone(), sent.generation + 1, settings, static_code, now_ms);
        self.stage = Stage::AwaitingProof(if settings.regenerate_passwordless_credentials_on_resend {
            fresh
        } else {
            Credentials { sent_at_ms: now_ms, expire_at_ms: fresh.expire_at_ms, ..sent.clone() }
        });
        Ok(self)
    }

    fn fresh(
        &self,
        email: EmailAddress,
        generation: i64,
        settings: &PasswordlessSettings,
        static_code: Option<&str>,
        now_ms: UnixMs,
    ) -> Credentials {
        let validity_s = self.origin.expires_in_s().unwrap_or(settings.validity_s);
        Credentials {
            email,
            generation,
            passwordless_type: settings.passwordless_type,
            code: static_code
                .map_or(CodeForm::Digits(settings.code_length), |code| CodeForm::Static(code.to_owned())),
            sent_at_ms: now_ms,
            expire_at_ms: now_ms + validity_s * 1000,
        }
    }

    /// The same request, whose email took as long as its code and link are good for: both have just expired.
    #[must_use]
    pub fn with_expired_credentials(mut self, now_ms: UnixMs) -> Self {
        if let Stage::AwaitingProof(sent) = &mut self.stage {
            sent.sent_at_ms = now_ms - (sent.expire_at_ms - sent.sent_at_ms);
            sent.expire_at_ms = now_ms;
        }
        self
    }

    /// Judges one code attempt. `is_right` compares with the code of the living generation; `digest` tells guesses
    /// apart.
    ///
    /// The attempt is counted in the very state that carries its judgement. `limits.code_attempts` attempts per
    /// window are judged, and the last of them closes the request unless it is right: no code that is mailed after it
    /// could be used.
    pub fn verify_code(
        mut self,
        is_right: bool,
        digest: &str,
        limits: &Limits,
        now_ms: UnixMs,
    ) -> (Self, CodeOutcome) {
        let closed = self.closed(now_ms);
        let is_good = is_right && !self.credentials_expired(now_ms);
        // Also of the code that closed the request.
        if matches!(closed, None | Some(Closed::TooManyAttempts))
            && !is_good
            && self.is_repeated(digest, now_ms)
        {
            let outcome = self.refusal(limits, now_ms);
            return (self, outcome);
        }
        if let Some(closed) = closed {
            return (self, CodeOutcome::Closed(closed));
        }
        let Some(sent) = self.awaited().filter(|sent| sent.passwordless_type.has_code()).cloned() else {
            return (self, CodeOutcome::NotOffered);
        };
        let allowed = limits.code_attempts as usize;
        // Only where the limit was lowered meanwhile.
        if self.attempts.count(now_ms, limits.code_attempts_window_s) >= allowed {
            self.stage = Stage::Dead(sent);
            return (self, CodeOutcome::TooManyAttempts);
        }
        self.attempts.push(now_ms, limits.code_attempts_window_s);
        if is_good {
            self.stage = Stage::Completed(sent);
            return (self, CodeOutcome::Accepted);
        }
        if O::REPEATED_GUESSES_COUNT_ONCE {
            self.last_guess = Some(Guess { digest: digest.to_owned(), at_ms: now_ms });
        }
        if self.attempts_left(limits, now_ms) == 0 {
            self.stage = Stage::Dead(sent);
        }
        let outcome = self.refusal(limits, now_ms);
        (self, outcome)
    }

    /// How many more codes would be judged now.
    pub fn attempts_left(&self, limits: &Limits, now_ms: UnixMs) -> usize {
        let judged = self.attempts.count(now_ms, limits.code_attempts_window_s);
        (limits.code_attempts as usize).saturating_sub(judged)
    }

    /// Judges one code attempt as [`Self::verify_code`] does, within the share of its address. The last value is what
    /// has to be written together with the judgement, by every outcome that tells something about the code: a right
    /// code that did not write would be judged beside the count. `failed` is `None` where the limit is off.
    pub fn verify_code_within(
        self,
        is_right: bool,
        digest: &str,
        failed: Option<FailedAttempts>,
        limits: &Limits,
        now_ms: UnixMs,
    ) -> (Self, CodeOutcome, Option<FailedAttempts>) {
        let before = self.clone();
        let (next, outcome) = self.verify_code(is_right, digest, limits, now_ms);
        let (Some(failed), CodeOutcome::Accepted | CodeOutcome::Wrong { .. } | CodeOutcome::Expired) =
            (failed, outcome)
        else {
            return (next, outcome, None);
        };
        if failed.is_exhausted(limits, now_ms) {
            let retry_after_s = failed.wait_s(limits, now_ms);
            return (before, CodeOutcome::AddressRateLimited { retry_after_s }, None);
        }
        match outcome {
            CodeOutcome::Accepted => (next, outcome, Some(failed)),
            _ if next.attempts == before.attempts => (next, outcome, None),
            _ => (next, outcome, Some(failed.with_one_more(now_ms))),
        }
    }

    /// Is this the code that was judged, and refused, a moment ago?
    fn is_repeated(&self, digest: &str, now_ms: UnixMs) -> bool {
        O::REPEATED_GUESSES_COUNT_ONCE
            && self.last_guess.as_ref().is_some_and(|last| {
                last.digest == digest && (last.at_ms..last.at_ms + REPEATED_GUESS_MS).contains(&now_ms)
            })
    }

    fn refusal(&self, limits: &Limits, now_ms: UnixMs) -> CodeOutcome {
        if self.credentials_expired(now_ms) {
            return CodeOutcome::Expired;
        }
        CodeOutcome::Wrong { attempts_left: self.attempts_left(limits, now_ms) }
    }

    /// Judges the use of a link whose token belongs to the living generation.
    pub fn verify_link(
        mut self,
        same_browser: bool,
        settings: &PasswordlessSettings,
        now_ms: UnixMs,
    ) -> (Self, LinkOutcome) {
        let outcome = self.link_outcome(same_browser, settings, now_ms);
        if outcome == LinkOutcome::Accepted
            && let Some(sent) = self.awaited().cloned()
        {
            self.stage = Stage::Completed(sent);
        }
        (self, outcome)
    }

    /// What using the link would come to, without using it: the landing page asks this.
    pub fn link_outcome(
        &self,
        same_browser: bool,
        settings: &PasswordlessSettings,
        now_ms: UnixMs,
    ) -> LinkOutcome {
        if let Some(closed) = self.closed(now_ms) {
            LinkOutcome::Closed(closed)
        } else if self.credentials_expired(now_ms) || self.awaited().is_none() {
            LinkOutcome::Expired
        } else if settings.enforce_same_browser_origin && !same_browser {
            LinkOutcome::WrongBrowser
        } else {
            LinkOutcome::Accepted
        }
    }
}

/// Longest code that is looked at, in characters; codes are shorter.
const MAX_TYPED_CODE: usize = 64;

/// A code as users type and paste it: in groups with spaces or dashes between, with invisible characters that came along,
/// and with the digits of any script.
pub fn typed_code(text: &str) -> String {
    let is_between = |c: char| {
        let category = CodePointMapData::<GeneralCategory>::new().get(c);
        let is_dash = category == GeneralCategory::DashPunctuation || c == '\u{2212}';
        is_dash || category == GeneralCategory::Format || c.is_whitespace()
    };
    let code: String = text.chars().filter(|c| !is_between(*c)).take(MAX_TYPED_CODE).collect();
    ascii_digits(&code)
}

/// A code as keyboards of other scripts type it, with the digits of ours: Unicode's decimal digits stand in runs of ten,
/// each beginning with its zero.
pub fn ascii_digits(code: &str) -> String {
    let is_digit = |number: u32| {
        char::from_u32(number).is_some_and(|c| {
            CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DecimalNumber
        })
    };
    let to_ascii = |c: char| {
        let number = u32::from(c);
        if c.is_ascii() || !is_digit(number) {
            return c;
        }
        let before = (1..).take_while(|n| is_digit(number - n)).count();
        u32::try_from(before % 10).ok().and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
    };
    code.chars().map(to_ascii).collect()
}

#[cfg(test)]
#[path = "auth_request_tests.rs"]
mod tests;
