//! E-mail addresses: parsed once, compared without regard to case.

use std::fmt;

/// One address, syntactically valid, without display name, comment or list.
///
/// The spelling a person typed is kept for mail; [`EmailAddress::key`] is what identities are compared by.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Longest address accepted, in characters (Scalekit's message validation; RFC 3696 erratum 1690 allows 254 on the wire).
pub const MAX_LENGTH: usize = 320;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    #[error("an email address is required")]
    Empty,
    #[error("the email address is too long")]
    TooLong,
    #[error("the email address is not valid")]
    Invalid,
}

impl EmailAddress {
    /// Accepts exactly one plain `local@domain`, surrounding white space aside.
    ///
    /// Quoted local parts, comments, groups, lists, control characters and address literals are refused: no
    /// mailbox in use needs them, and they are how one text comes to mean two recipients (CVE-2022-35924).
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim_matches(|c: char| c == ' ' || c == '\t');
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        if text.chars().count() > MAX_LENGTH {
            return Err(EmailError::TooLong);
        }
        let unwanted = |c: char| c.is_control() || c.is_whitespace() || "\"'(),:;<>[]\\`".contains(c);
        // An apostrophe is legal in names such as o'brien@example.com.
        if text.chars().any(|c| c != '\'' && unwanted(c)) || text.matches('@').count() != 1 {
            return Err(EmailError::Invalid);
        }
        if text.chars().any(is_ambiguous_capital) || !is_mailable(text) {
            return Err(EmailError::Invalid);
        }
        let options = email_address::Options::default().without_display_text().without_domain_literal();
        email_address::EmailAddress::parse_with_options(text, options).map_err(|_| EmailError::Invalid)?;
        Ok(Self(text.to_owned()))
    }

    /// An address written in this program.
    pub(crate) fn from_static(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// As typed, for the mail's recipient line and for pages.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit('@').next().unwrap_or_default()
    }

    /// Lower case: two spellings with one key are one person (Scalekit compares without case).
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// A capital that is not the capital of its small letter, as the Kelvin sign, whose small letter is k: an address with
/// one would have the key of an address that is somebody else's mailbox.
fn is_ambiguous_capital(c: char) -> bool {
    let lower: String = c.to_lowercase().collect();
    !c.is_ascii() && lower != c.to_string() && lower.to_uppercase() != c.to_string()
}

/// Has the domain the ASCII form that mail needs (RFC 5891), of a length that names have (RFC 1035 §2.3.4)? One that is
/// ASCII already is its own.
fn is_mailable(address: &str) -> bool {
    let domain = address.rsplit('@').next().unwrap_or_default();
    let is_host = |text: &str| {
        text.bytes().all(|b| !b.is_ascii() || b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
    };
    let is_name = |ascii: &str| {
        is_host(ascii) && ascii.len() <= 253 && ascii.split('.').all(|label| (1..=63).contains(&label.len()))
    };
    domain.is_ascii()
        || matches!(url::Host::parse(domain), Ok(url::Host::Domain(ascii)) if is_host(domain) && is_name(&ascii))
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses are personal: debug output shows only the domain.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress([redacted]@{})", self.domain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_accepted_and_compared_without_case() {
        for good in [
            "a@b.io",
            "John.Doe+tag@Example.com",
            " o'brien@example.com ",
            "jörg@bücher.example",
            "a@localhost",
        ] {
            assert!(EmailAddress::parse(good).is_ok(), "{good}");
        }
        let a = EmailAddress::parse("John@Example.com").unwrap();
        let b = EmailAddress::parse("john@example.COM").unwrap();
        assert_eq!(a.key(), b.key());
        assert_eq!(a.as_str(), "John@Example.com");
    }

    #[test]
    fn anything_that_could_mean_two_recipients_is_refused() {
        for bad in [
            "",
            " ",
            "a",
            "@",
            "a@",
            "@b.io",
            "a@x.io,b@y.io",
            "a@x.io;b@y.io",
            "a@x.io b@y.io",
            "a@x.io\r\nBcc: b@y.io",
            "\"a@x.io\"@y.io",
            "Name <a@x.io>",
            "<a@x.io>",
            "group: a@x.io;",
            "a(comment)@x.io",
            "a@[127.0.0.1]",
            "a@@b.io",
            "a@b@c.io",
            "a@x.io\n",
            "a@x.io\0",
            "a..b@x.io",
            ".a@x.io",
            "a@-x.io",
            // An ASCII form that mail could be sent to is missing.
            "a@xn--e\u{fb00}va.example",
            "a@b\u{fc}%28cher.example",
            // The Kelvin sign, which has the small letter k.
            "\u{212a}ate@x.io",
            "a\u{130}@x.io",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
        // Short enough as typed, but not in ASCII, where a label becomes longer.
        assert!(EmailAddress::parse(&format!("a@{}.example", "\u{fc}".repeat(30))).is_ok());
        assert!(EmailAddress::parse(&format!("a@\u{fc}{}\u{1c7}.example", "a".repeat(56))).is_err());
        assert_eq!(EmailAddress::parse(&format!("{}@x.io", "a".repeat(400))), Err(EmailError::TooLong));
    }

    #[test]
    fn debug_output_does_not_name_the_person() {
        let shown = format!("{:?}", EmailAddress::parse("jane@example.com").unwrap());
        assert!(!shown.contains("jane"), "{shown}");
    }
}
