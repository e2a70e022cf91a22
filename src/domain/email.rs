//! Email addresses: parsed once, and compared by the mailbox that they name.
//!
//! Many spellings name one mailbox: capitals, an international domain in its own letters or in ASCII (RFC 5891), letters
//! composed or not. [`EmailAddress::key`] is the same for all of them, and email is sent to the domain that stands in it.
//! Everything that compares addresses compares keys; texts that may be no address go through [`key_of`] and
//! [`key_pattern`].

use std::fmt;
use std::hash::{Hash, Hasher};

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_normalizer::uts46::Uts46MapperBorrowed;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// One address, syntactically valid, without display name, comment or list. Two are equal if they name one mailbox.
#[derive(Clone)]
pub struct EmailAddress {
    text: String,
    key: String,
}

/// Longest address accepted, in characters (Scalekit's message validation; RFC 3696 erratum 1690 allows 254 on the wire).
pub const MAX_LENGTH: usize = 320;

/// What stands in no name of a host (RFC 1123 §2.1), but for the underscore, which some have all the same.
const NO_HOST_CHARACTERS: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

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
    /// mailbox in use needs them, and they are how one text comes to mean two recipients (CVE-2022-35924). So are
    /// domains that IDNA refuses, and names before the `@` that pass for another one.
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
        Self::normalized(text).ok_or(EmailError::Invalid)
    }

    fn normalized(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let (local_key, domain_key) = (local_key(local)?, domain_key(domain)?);
        // Letters as typed, but not the form: browsers submit a domain in its own letters or in ASCII, each as it likes.
        let domain = if domain.eq_ignore_ascii_case(&domain_key) { domain } else { &domain_key };
        let text = format!("{}@{domain}", ComposingNormalizerBorrowed::new_nfc().normalize(local));
        let options = email_address::Options::default().without_display_text().without_domain_literal();
        email_address::EmailAddress::parse_with_options(&text, options).ok()?;
        Some(Self { text, key: format!("{local_key}@{domain_key}") })
    }

    /// An address written in this program, in ASCII.
    pub(crate) fn from_static(text: &'static str) -> Self {
        Self { text: text.to_owned(), key: text.to_ascii_lowercase() }
    }

    /// For the recipient's line, the API and tokens (RFC 5322 §3.4.1): capitals as typed, an international domain in
    /// ASCII.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// For users: an international domain in its own letters.
    pub fn to_unicode(&self) -> String {
        let (local, domain) = self.text.split_once('@').unwrap_or_default();
        let (shown, result) = Uts46::new().to_unicode(domain.as_bytes(), NO_HOST_CHARACTERS, Hyphens::Allow);
        if domain.is_ascii() && !shown.is_ascii() && result.is_ok() {
            format!("{local}@{shown}")
        } else {
            self.text.clone()
        }
    }

    /// What stands behind the `@`, in ASCII.
    pub fn domain(&self) -> &str {
        self.text.rsplit('@').next().unwrap_or_default()
    }

    /// The mailbox: lower case, the domain in ASCII. Two spellings with one key are one person (Scalekit compares without
    /// case).
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The key of an address, or of what is none: a filter may name what nobody has.
pub fn key_of(text: &str) -> String {
    EmailAddress::parse(text).map_or_else(|_| text.trim().to_lowercase(), |email| email.key)
}

/// A pattern or a part of an address, in the form that keys have.
pub fn key_pattern(text: &str) -> String {
    let (local, domain) = match text.rsplit_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, text),
    };
    let ascii =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore);
    let domain = ascii.map_or_else(|_| domain.to_lowercase(), |ascii| ascii.into_owned());
    match local {
        Some(local) => format!("{}@{domain}", mapped(local)),
        None => domain,
    }
}

/// Lower case, composed, without compatibility variants (full width, ligatures) and invisible characters.
fn mapped(text: &str) -> String {
    Uts46MapperBorrowed::new().map_normalize(text.chars()).collect()
}

/// A name in lower case. Refused is one that has another spelling still, in full width or with invisible characters: some
/// servers deliver it to the mailbox of that spelling, others to a mailbox of its own.
fn local_key(local: &str) -> Option<String> {
    if local.is_ascii() {
        return Some(local.to_ascii_lowercase());
    }
    let key = mapped(local);
    let composed = ComposingNormalizerBorrowed::new_nfc();
    let lower: String = composed.normalize(local).chars().flat_map(char::to_lowercase).collect();
    let is_its_own = composed.normalize(&lower) == key && !local.chars().any(is_ambiguous_capital);
    is_its_own.then_some(key)
}

/// A capital that is not the capital of its small letter, as the Kelvin sign, whose small letter is k: an address with
/// one would have the key of an address that is somebody else's mailbox.
fn is_ambiguous_capital(c: char) -> bool {
    let lower: String = c.to_lowercase().collect();
    !c.is_ascii() && lower != c.to_string() && lower.to_uppercase() != c.to_string()
}

/// The ASCII form of a domain (UTS 46, as browsers map names; RFC 5891), of a length that names have (RFC 1035 §2.3.4).
/// A name that ends in a number is an IP address, or nothing (RFC 3696 §2).
pub(super) fn domain_key(domain: &str) -> Option<String> {
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), NO_HOST_CHARACTERS, Hyphens::CheckFirstLast, DnsLength::Verify)
        .ok()?;
    let ends_in_number = ascii.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    (!ends_in_number).then(|| ascii.into_owned())
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for EmailAddress {}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_addresses_are_accepted_and_compared_without_case() {
        for good in [
            "a@b.io",
            "John.Doe+tag@Example.com",
            " o'brien@example.com ",
            "jörg@bücher.example",
            "a@localhost",
            "a@x_y.example",
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
            // An ASCII form that email could be sent to is missing.
            "a@xn--e\u{fb00}va.example",
            "a@b\u{fc}%28cher.example",
            "a@xn--a.example",
            "a@x!y.example",
            "a@x.io.",
            // An IP address, by its digits or by others.
            "a@127.0.0.1",
            "a@\u{ff11}27.0.0.1",
            "a@\u{661}.1.1.1",
            // Names that some servers take for jane, and others do not.
            "\u{ff4a}ane@x.io",
            "ja\u{200b}ne@x.io",
            "ja\u{ad}ne@x.io",
            "\u{202e}jane@x.io",
            "e\u{fb00}e@x.io",
            "a\u{ff20}y.io@x.io",
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
    fn all_spellings_of_a_mailbox_have_one_key() {
        for (spellings, key) in [
            (
                vec!["victim@\u{ff45}xample.com", "Victim@EXAMPLE.com", "victim@exam\u{ad}ple\u{3002}com"],
                "victim@example.com",
            ),
            (
                vec![
                    "jane@b\u{fc}cher.example",
                    "jane@bu\u{308}cher.example",
                    "Jane@B\u{dc}CHER.example",
                    "jane@XN--bcher-kva.example",
                ],
                "jane@xn--bcher-kva.example",
            ),
            (vec!["J\u{d6}rg@x.io", "jo\u{308}rg@x.io"], "j\u{f6}rg@x.io"),
            (vec!["jane@\u{212a}.example"], "jane@k.example"),
        ] {
            for spelling in spellings {
                let address = EmailAddress::parse(spelling).unwrap();
                assert_eq!(address.key(), key, "{spelling}");
                assert_eq!(address, EmailAddress::parse(key).unwrap());
                assert!(address.domain().is_ascii(), "{spelling}");
            }
        }
        let jane = EmailAddress::parse("Jane@xn--bcher-kva.example").unwrap();
        assert_eq!(
            (jane.as_str(), jane.to_unicode().as_str()),
            ("Jane@xn--bcher-kva.example", "Jane@b\u{fc}cher.example")
        );
        assert_eq!(EmailAddress::parse("Jane@b\u{fc}cher.example").unwrap().as_str(), jane.as_str());
    }

    #[test]
    fn patterns_and_parts_have_the_form_of_keys() {
        assert_eq!(key_pattern("*+SKTEST*@*.B\u{fc}cher.example"), "*+sktest*@*.xn--bcher-kva.example");
        assert_eq!(key_pattern("b\u{fc}cher"), "xn--bcher-kva");
        assert_eq!(key_pattern("J\u{d6}rg@"), "j\u{f6}rg@");
        assert_eq!(key_of(" Jane@B\u{fc}cher.example"), "jane@xn--bcher-kva.example");
        assert_eq!(key_of("Jane"), "jane");
    }

    /// One character in its other spellings: another case, full width, decomposed.
    fn spelled(c: char, how: u8) -> String {
        match how % 4 {
            1 => c.to_uppercase().collect(),
            2 => char::from_u32(u32::from(c) + 0xfee0)
                .filter(|_| c.is_ascii_alphanumeric())
                .unwrap_or(c)
                .to_string(),
            3 if c == '\u{fc}' => "u\u{308}".to_owned(),
            _ => c.to_string(),
        }
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_domain_is_another_mailbox(
            name in "[a-z0-9\u{fc}\u{3b1}-\u{3b9}]{1,20}",
            hows in proptest::collection::vec(any::<u8>(), 20),
            in_ascii in any::<bool>(),
        ) {
            let plain = EmailAddress::parse(&format!("jane@{name}.example")).unwrap();
            let other: String = name.chars().zip(hows).map(|(c, how)| spelled(c, how)).collect();
            let other = if in_ascii { plain.key().to_uppercase() } else { format!("Jane@{other}.EXAMPLE") };
            let other = EmailAddress::parse(&other).unwrap();
            prop_assert_eq!(other.key(), plain.key());
            prop_assert_eq!(&other, &plain);
        }

        #[test]
        fn a_key_is_an_address_and_its_own_key(local in "\\PC{1,12}", domain in "\\PC{1,12}") {
            if let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}.example")) {
                for text in [address.key(), address.as_str(), &address.to_unicode()] {
                    let again = EmailAddress::parse(text);
                    prop_assert_eq!(again.as_ref().map(EmailAddress::key), Ok(address.key()), "{:?}", text);
                }
                prop_assert_eq!(key_of(address.key()), address.key());
                prop_assert_eq!(key_pattern(address.as_str()), address.key());
            }
        }
    }

    #[test]
    fn debug_output_does_not_name_the_person() {
        let shown = format!("{:?}", EmailAddress::parse("jane@example.com").unwrap());
        assert!(!shown.contains("jane"), "{shown}");
    }
}
