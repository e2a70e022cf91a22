//! Email domains of organizations.

use super::clock::UnixMs;
use super::email;

/// An email domain of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationDomain {
    /// `dom_…`
    pub id: String,
    /// Whose it is.
    pub organization_id: String,
    /// The domain itself.
    pub name: DomainName,
    /// What it is for.
    pub domain_type: DomainType,
    /// When it was made. It never changes.
    pub created_at_ms: UnixMs,
}

/// What a domain is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DomainType {
    /// Whoever has an address of it may join the organization.
    AllowedEmailDomain,
    /// It belongs to the organization, and to no other of the environment.
    #[default]
    OrganizationDomain,
}

impl DomainType {
    /// Scalekit's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowedEmailDomain => "ALLOWED_EMAIL_DOMAIN",
            Self::OrganizationDomain => "ORGANIZATION_DOMAIN",
        }
    }

    /// The type of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::AllowedEmailDomain, Self::OrganizationDomain].into_iter().find(|kind| kind.as_str() == text)
    }

    /// Who verified a domain of this type that was made by API, in Scalekit's words: status and method.
    pub fn verification(self) -> (&'static str, &'static str) {
        match self {
            Self::AllowedEmailDomain => ("AUTO_VERIFIED", "NOT_APPLICABLE"),
            Self::OrganizationDomain => ("VERIFIED", "ADMIN"),
        }
    }
}

/// A domain that an organization can have: lower case, in ASCII, as the domains of addresses are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DomainName(String);

/// Fewest characters of a domain.
const MIN_LENGTH: usize = 4;

impl DomainName {
    /// Reads a domain in any spelling. `None`: it is no host name with a dot in it.
    pub fn parse(text: &str) -> Option<Self> {
        let name = email::domain_key(text)?;
        (name.len() >= MIN_LENGTH && name.contains('.')).then_some(Self(name))
    }

    /// Can everybody have an address there? Such a domain is no organization's.
    pub fn is_public_or_disposable(&self) -> bool {
        [&PUBLIC[..], &DISPOSABLE].iter().any(|list| list.contains(&self.as_str()))
    }

    /// As it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Well-known providers at which everybody can have an address.
const PUBLIC: [&str; 32] = [
    "aol.com",
    "comcast.net",
    "duck.com",
    "fastmail.com",
    "free.fr",
    "gmail.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "icloud.com",
    "libero.it",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "web.de",
    "yahoo.com",
    "yandex.com",
    "zoho.com",
];

/// Well-known providers of addresses that are thrown away.
const DISPOSABLE: [&str; 16] = [
    "10minutemail.com",
    "discard.email",
    "dispostable.com",
    "fakeinbox.com",
    "getnada.com",
    "guerrillamail.com",
    "mailcatch.com",
    "maildrop.cc",
    "mailinator.com",
    "mintemail.com",
    "mohmal.com",
    "sharklasers.com",
    "temp-mail.org",
    "throwawaymail.com",
    "trashmail.com",
    "yopmail.com",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::EmailAddress;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_domain_is_one_name() {
        for (spelled, name) in [
            ("acme.com", "acme.com"),
            ("ACME.com", "acme.com"),
            ("1b4e28ba-2.test", "1b4e28ba-2.test"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a.io", "a.io"),
        ] {
            assert_eq!(DomainName::parse(spelled).map(|name| name.0), Some(name.to_owned()), "{spelled}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        let (label, long) = (format!("{}.com", "a".repeat(64)), format!("{}com", "abc.".repeat(63)));
        for wrong in [
            "",
            "com",
            "a.b",
            "invalid-domain-name",
            "acme.com.",
            ".acme.com",
            "acme..com",
            "-acme.com",
            "acme.com/x",
            "https://acme.com",
            "jane@acme.com",
            "acme .com",
            "10.0.0.1",
            "[::1]",
            "*.acme.com",
            &label,
            &long,
        ] {
            assert_eq!(DomainName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn domains_of_everybody_belong_to_nobody() {
        let is_for_everybody = |name: &str| DomainName::parse(name).unwrap().is_public_or_disposable();
        for name in PUBLIC.into_iter().chain(DISPOSABLE) {
            assert!(is_for_everybody(name) && is_for_everybody(&name.to_uppercase()), "{name}");
        }
        assert!(!is_for_everybody("mail.gmail.com"), "which is another domain");
    }

    #[test]
    fn types_are_read_as_they_are_written() {
        for kind in [DomainType::AllowedEmailDomain, DomainType::OrganizationDomain] {
            assert_eq!(DomainType::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(DomainType::parse("DOMAIN_TYPE_UNSPECIFIED"), None);
    }

    proptest! {
        /// An address of an organization's domain is found by comparing bytes.
        #[test]
        fn a_name_is_its_own_key_and_that_of_addresses(text in "\\PC{1,20}\\.[a-z]{2,6}") {
            if let Some(name) = DomainName::parse(&text) {
                prop_assert_eq!(&DomainName::parse(name.as_str()), &Some(name.clone()));
                if let Ok(address) = EmailAddress::parse(&format!("jane@{text}")) {
                    prop_assert_eq!(address.key(), format!("jane@{}", name.as_str()));
                }
            }
        }
    }
}
