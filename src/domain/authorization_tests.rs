use proptest::prelude::*;

use super::*;
use crate::domain::client::ClientKind;
use crate::domain::redirect_uri::RedirectPattern;

fn environment() -> Environment {
    use crate::domain::email::EmailAddress;
    use crate::domain::language::Language;
    use crate::domain::public_url::PublicUrl;
    use crate::domain::settings::*;
    use crate::domain::token_template::TokenTemplate;
    Environment {
        name: None,
        demo: false,
        deterministic_seed: None,
        flows_keep_s: 0,
        requests_keep: 0,
        fault_addresses: false,
        logout_confirm: LogoutConfirm::Never,
        delivery_retry_percent: 100,
        id: "env_1".into(),
        mode: Mode::Development,
        public_urls: vec![PublicUrl::parse("http://localhost:6870").unwrap()],
        issuer_from_host: false,
        strict_redirects: true,
        clients: vec![Client {
            client_id: "skc_1".into(),
            name: "App".into(),
            kind: ClientKind::Web { secrets: vec![] },
            redirect_uris: vec![
                RedirectPattern::parse("https://app.example.com/cb", Mode::Development).unwrap(),
            ],
            post_logout_redirect_uris: vec![],
            initiate_login_uri: None,
            backchannel_logout_uri: None,
            enforce_pkce: false,
            require_pushed_authorization_requests: false,
            id_token_signed_response_alg: Default::default(),
            access_token_lifetime_s: None,
            instant_sign_in: false,
            api: Default::default(),
            branding: Default::default(),
        }],
        passwordless: PasswordlessSettings {
            enabled: true,
            passwordless_type: PasswordlessType::Otp,
            validity_s: 300,
            enforce_same_browser_origin: true,
            regenerate_passwordless_credentials_on_resend: true,
            code_length: 6,
            connection_id: "conn_1".into(),
            sign_up_allowed: true,
        },
        login_hint: LoginHintMode::Send,
        test_users: TestUsers { enabled: false, patterns: vec![], static_code: "424242".into() },
        tokens: TokenSettings {
            user_management: false,
            access_token_lifetime_s: 900,
            id_token_lifetime_s: 900,
            client_token_lifetime_s: 900,
            authorization_code_lifetime_s: 600,
            refresh_token_lifetime_s: 900,
            refresh_grace_s: 10,
        },
        token_template: TokenTemplate::default(),
        sessions: SessionSettings { absolute_timeout_s: 900, idle_timeout_s: 900 },
        management: ManagementSettings { invitation_lifetime_s: 900, existing_email: ExistingEmail::Refuse },
        limits: Limits {
            code_attempts: 5,
            code_attempts_window_s: 600,
            mails_per_address: None,
            mails_window_s: 60,
            mails_per_source: None,
            mails_in_all: None,
            failed_attempts_per_address: None,
            auth_request_lifetime_s: 3600,
        },
        branding: Branding { name: "A".into(), ..Branding::default() },
        pages: PageSettings {
            language: Language::En,
            submit_on_last_digit: false,
            dev_bar: false,
            account_picker: false,
        },
        mail_from: MailFrom { name: "A".into(), address: EmailAddress::parse("a@example.com").unwrap() },
    }
}

fn parameters(more: &[(&str, &str)]) -> Parameters {
    let base =
        [("response_type", "code"), ("client_id", "skc_1"), ("redirect_uri", "https://app.example.com/cb")];
    Parameters::new(base.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
}

#[test]
fn scopes_without_a_meaning_are_dropped_and_a_missing_scope_is_the_sdks_default() {
    let parsed = parse(&environment(), &parameters(&[("scope", "openid  foo email openid")])).unwrap();
    assert_eq!(parsed.scope, ["openid", "email"]);
    let parsed = parse(&environment(), &parameters(&[])).unwrap();
    assert_eq!(parsed.scope, ["openid", "profile", "email"]);
}

#[test]
fn the_strongest_of_several_prompts_counts() {
    for (text, prompt) in [
        ("", Prompt::Auto),
        ("consent", Prompt::Auto),
        ("login", Prompt::Login),
        ("select_account login", Prompt::Login),
        ("login create", Prompt::Create),
        ("none", Prompt::None),
    ] {
        assert_eq!(parse(&environment(), &parameters(&[("prompt", text)])).unwrap().prompt, prompt, "{text}");
    }
}

#[test]
fn claims_are_asked_for_by_name() {
    let asked = r#"{"userinfo":{"name":null},"id_token":{"email":{"essential":true}},"more":1}"#;
    let claims = parse(&environment(), &parameters(&[("claims", asked)])).unwrap().claims;
    assert_eq!((claims.userinfo, claims.id_token), (vec!["name".to_owned()], vec!["email".to_owned()]));
    for bad in ["[]", "1", "{\"userinfo\":[]}"] {
        assert!(parse(&environment(), &parameters(&[("claims", bad)])).is_err(), "{bad}");
    }
}

#[test]
fn claims_may_name_the_only_subjects_that_the_answer_may_be_about() {
    let subjects =
        |asked: &str| parse(&environment(), &parameters(&[("claims", asked)])).unwrap().claims.subjects;
    let named = |subjects: &[&str]| Some(subjects.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    for (asked, expected) in [
        (r#"{"id_token":{"sub":null}}"#, None),
        (r#"{"id_token":{"sub":{"essential":true}}}"#, None),
        (r#"{"id_token":{"sub":{"value":"a"}}}"#, named(&["a"])),
        (r#"{"userinfo":{"sub":{"value":"a"}}}"#, named(&["a"])),
        (r#"{"id_token":{"sub":{"values":["a","b"]}}}"#, named(&["a", "b"])),
        (r#"{"id_token":{"sub":{"values":[]}}}"#, named(&[])),
        (r#"{"id_token":{"sub":{"value":"b","values":["a","b"]}}}"#, named(&["b"])),
        (r#"{"id_token":{"sub":{"value":"c","values":["a","b"]}}}"#, named(&[])),
        (r#"{"id_token":{"sub":{"values":["a","b"]}},"userinfo":{"sub":{"value":"b"}}}"#, named(&["b"])),
        (r#"{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}"#, named(&[])),
    ] {
        assert_eq!(subjects(asked), expected, "{asked}");
    }
    let claims = RequestedClaims { subjects: named(&["a"]), ..RequestedClaims::default() };
    assert!(claims.allows_subject("a") && !claims.allows_subject("A") && !claims.allows_subject(""));
    assert!(RequestedClaims::default().allows_subject("anybody"));
    for bad in [r#""a""#, r#"{"value":1}"#, r#"{"value":null}"#, r#"{"values":"a"}"#, r#"{"values":[1]}"#] {
        let asked = format!(r#"{{"id_token":{{"sub":{bad}}}}}"#);
        assert!(parse(&environment(), &parameters(&[("claims", &asked)])).is_err(), "{bad}");
    }
}

#[test]
fn an_essential_acr_of_certain_values_cannot_be_met_and_a_voluntary_one_is_passed_over() {
    for (acr, is_met) in [
        (r#"{"essential":true,"values":["urn:mace:incommon:iap:silver"]}"#, false),
        (r#"{"essential":true,"value":"2"}"#, false),
        (r#"{"values":["2"]}"#, true),
        (r#"{"essential":true}"#, true),
        ("null", true),
    ] {
        let asked = format!(r#"{{"id_token":{{"acr":{acr},"auth_time":{{"essential":true}}}}}}"#);
        let parsed = parse(&environment(), &parameters(&[("claims", &asked)]));
        let code = match parsed {
            Err(AuthorizationRequestError::Redirect { code, .. }) => Some(code),
            _ => None,
        };
        let expected = (!is_met).then_some(ErrorCode::UnmetAuthenticationRequirements);
        assert_eq!(code, expected, "{acr}");
    }
}

#[test]
fn an_answer_is_appended_to_whatever_query_there_is() {
    for (uri, expected) in [
        ("https://a/cb", "https://a/cb?code=x&iss=i"),
        ("https://a/cb?y=1", "https://a/cb?y=1&code=x&iss=i"),
        ("https://a/cb?", "https://a/cb?code=x&iss=i"),
    ] {
        assert_eq!(response_url(uri, &[("code", "x")], None, "i"), expected);
    }
}

proptest! {
    #[test]
    fn no_parameters_redirect_anywhere_but_to_the_registered_address(
        pairs in proptest::collection::vec(("[a-z_]{1,20}", "\\PC{0,40}"), 0..6),
        uri in prop_oneof![Just("https://app.example.com/cb".to_owned()), "\\PC{0,40}"],
    ) {
        let mut all = vec![("client_id".to_owned(), "skc_1".to_owned()), ("redirect_uri".to_owned(), uri.clone())];
        all.extend(pairs);
        match parse(&environment(), &Parameters::new(all)) {
            Ok(request) => prop_assert_eq!(request.redirect_uri, "https://app.example.com/cb"),
            Err(AuthorizationRequestError::Redirect { redirect_uri, .. }) => prop_assert_eq!(redirect_uri, "https://app.example.com/cb"),
            Err(AuthorizationRequestError::Page(_)) => {}
        }
    }

    #[test]
    fn state_survives_the_way_through_the_address_bar(state in "\\PC{1,60}") {
        let url = response_url("https://a/cb", &[("code", "x")], Some(&state), "i");
        let parsed = url::Url::parse(&url).unwrap();
        let back = parsed.query_pairs().find(|(n, _)| n == "state").map(|(_, v)| v.into_owned());
        prop_assert_eq!(back, Some(state));
    }
}
