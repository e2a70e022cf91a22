//! Test users: addresses that sign in with a fixed code and receive no email.

use super::email::{EmailAddress, key_pattern};
use super::glob::glob;
use super::settings::{Mode, TestUsers};

/// Is `email` a test user? Never in production mode. Scalekit allows five listed `+sktest` addresses; here any
/// number may match.
pub fn is_test_user(settings: &TestUsers, mode: Mode, email: &EmailAddress) -> bool {
    mode == Mode::Development
        && settings.enabled
        && settings.patterns.iter().any(|p| glob(&key_pattern(p), email.key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_test(address: &str, mode: Mode) -> bool {
        let settings = TestUsers {
            enabled: true,
            patterns: vec!["*+sktest*@*".into(), "qa@acme.test".into(), "*@B\u{fc}cher.test".into()],
            static_code: "424242".into(),
        };
        is_test_user(&settings, mode, &EmailAddress::parse(address).unwrap())
    }

    #[test]
    fn patterns_decide_without_regard_to_case() {
        for yes in [
            "john+sktest@x.io",
            "john+sktest7@x.io",
            "John+SKTEST@X.io",
            "QA@acme.test",
            "a@xn--bcher-kva.test",
        ] {
            assert!(is_test(yes, Mode::Development), "{yes}");
        }
        for no in ["john@x.io", "john+test@x.io", "sktest+john@x.io", "qa@acme.test.io", "xqa@acme.test"] {
            assert!(!is_test(no, Mode::Development), "{no}");
        }
    }

    #[test]
    fn production_has_no_test_users() {
        assert!(!is_test("john+sktest@x.io", Mode::Production));
    }
}
