//! The sign-in pages as users of several applications and languages meet them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::person::{Page, Person};

/// Two applications: the first has the environment's branding, the second its own.
const TWO_APPLICATIONS: &str = r##"
[branding]
name = "Acme"
support_email = "help@acme.example"

[[clients]]
client_id = "skc_plain"
name = "Shop"
client_secret = "test_secret"
redirect_uris = ["https://shop.example.com/callback"]

[[clients]]
client_id = "skc_own"
name = "Bank"
client_secret = "test_secret"
redirect_uris = ["https://bank.example.com/callback"]
accent_color = "#aa0000"
support_email = "help@bank.example"
terms_url = "https://bank.example.com/terms"
privacy_url = "https://bank.example.com/privacy"
theme = "dark"
"##;

const SHOP: &[(&str, &str)] =
    &[("client_id", "skc_plain"), ("redirect_uri", "https://shop.example.com/callback")];
const BANK: &[(&str, &str)] =
    &[("client_id", "skc_own"), ("redirect_uri", "https://bank.example.com/callback")];

/// The addresses of elements that this selector finds, or their texts.
fn found(page: &Page, selector: &str, attribute: Option<&str>) -> Vec<String> {
    let document = scraper::Html::parse_document(&page.body);
    let selector = scraper::Selector::parse(selector).unwrap();
    let value = |element: scraper::ElementRef<'_>| match attribute {
        Some(name) => element.value().attr(name).unwrap_or_default().to_owned(),
        None => element.text().collect::<String>().trim().to_owned(),
    };
    document.select(&selector).map(value).collect()
}

fn submit_buttons(page: &Page) -> Vec<String> {
    found(page, "button[type=submit]", None)
}

fn language(page: &Page) -> String {
    found(page, "html", Some("lang")).concat()
}

/// Starts a sign-in in a browser that asks for these languages.
async fn start_in(person: &Person<'_>, accept_language: &str, parameters: &[(&str, &str)]) -> Page {
    let url = format!("{}/oauth/authorize", person.server.url);
    let usual = [
        ("response_type", "code"),
        ("client_id", crate::support::CLIENT_ID),
        ("redirect_uri", crate::support::CALLBACK),
    ];
    let request = person.browser.get(url).query(&usual).query(parameters);
    let started = Page::of(request.header("accept-language", accept_language).send().await.unwrap()).await;
    person.get(&started.location.unwrap()).await
}

#[tokio::test]
async fn pages_and_emails_are_in_the_language_that_the_application_or_else_the_browser_asks_for() {
    let server = TestServer::with("[pages]\nlanguage = \"es\"\n").await;
    for (accept_language, ui_locales, expected) in [
        ("en-GB,en;q=0.9", "fr de", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "se", "de"),
        ("en", "", "en"),
        ("fr", "", "es"),
    ] {
        let person = server.person();
        let mut asked = vec![("login_hint", "jane@example.com")];
        asked.extend(Some(("ui_locales", ui_locales)).filter(|(_, value)| !value.is_empty()));
        let page = start_in(&person, accept_language, &asked).await;
        let (heading, subject) = match expected {
            "de" => ("Code eingeben", "Anmeldecode"),
            "es" => ("Introduce el código", "código para iniciar sesión"),
            _ => ("Enter your code", "sign-in code"),
        };
        let case = format!("{accept_language} {ui_locales}");
        assert_eq!((language(&page).as_str(), page.heading().as_str()), (expected, heading), "{case}");
        let mail = server.mail_to("jane@example.com").await;
        assert!(mail["subject"].as_str().unwrap().contains(subject), "{case}: {mail}");
        server.advance_s(61);
    }
}

#[tokio::test]
async fn a_sign_in_keeps_its_language_to_the_end() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = start_in(&person, "en", &[("login_hint", "jane@example.com"), ("ui_locales", "de")]).await;
    let sign_in = found(&page, "[data-status-url]", Some("data-status-url")).concat().replace("/status", "");
    let wrong = crate::support::person::other_than(&server.code_for("jane@example.com").await);
    let page = person.enter_code(&sign_in, &wrong).await;
    assert!(page.alert().contains("Noch 4 Versuche"), "{}", page.alert());
    let link = server.link_for("jane@example.com").await;
    let elsewhere = server.person().get(&link).await;
    assert_eq!((elsewhere.status, language(&elsewhere).as_str()), (403, "de"));
    let resent = person.post(&format!("{sign_in}/resend"), &[]).await;
    assert_eq!(person.get(&resent.location.unwrap()).await.heading(), "Code eingeben");
    assert!(server.mail_to("jane@example.com").await.to_string().contains("Guten Tag"));
}

#[tokio::test]
async fn sign_out_is_said_in_the_language_that_was_asked_for() {
    let server = TestServer::start().await;
    let page = server.get("/oidc/logout?ui_locales=es").await;
    assert_eq!((language(&page).as_str(), page.heading().as_str()), ("es", "Has cerrado la sesión"));
}

#[tokio::test]
async fn each_application_has_its_own_name_colour_theme_and_links() {
    let server = TestServer::with(TWO_APPLICATIONS).await;
    let person = server.person();
    let shop = person.get(&person.start_with(SHOP).await).await;
    let bank = person.get(&person.start_with(BANK).await).await;
    assert_eq!((shop.heading(), bank.heading()), ("Sign in to Shop".into(), "Sign in to Bank".into()));
    let brand = |page: &Page| found(page, "header.brand", None).concat();
    assert_eq!((brand(&shop), brand(&bank)), ("Acme".into(), "Bank".into()));
    assert!(shop.body.contains("help@acme.example") && !shop.body.contains("terms"), "{}", shop.body);
    for expected in
        ["data-theme=\"dark\"", "help@bank.example", "href=\"https://bank.example.com/terms\"", "/privacy"]
    {
        assert!(bank.body.contains(expected), "{expected}: {}", bank.body);
    }
    for (page, colour, is_there) in
        [(&shop, "#3f4a8a", true), (&bank, "#aa0000", true), (&shop, "#aa0000", false)]
    {
        let sheets = found(page, "link[rel=stylesheet]", Some("href"));
        let brand = sheets.iter().find(|href| href.contains("brand.css")).unwrap();
        assert_eq!(server.get(brand).await.body.contains(colour), is_there, "{brand}");
        let icon = server.get(&found(page, "link[rel=icon]", Some("href")).concat()).await;
        assert_eq!(icon.body.contains(colour), is_there, "{}", icon.body);
    }
    person.start_with(&[BANK, &[("login_hint", "jane@example.com")]].concat()).await;
    let mail = server.mail_to("jane@example.com").await.to_string();
    assert!(mail.contains("help@bank.example") && mail.contains("#aa0000"), "{mail}");
}

#[tokio::test]
async fn the_control_api_gives_an_application_a_logo_but_names_no_file_of_this_machine() {
    let server = TestServer::with(TWO_APPLICATIONS).await;
    let picture = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    let logo = format!("data:image/svg+xml;base64,{}", STANDARD.encode(picture));
    let changed = server.do_control("PATCH", "/clients/skc_own", json!({ "logo": logo })).await;
    assert_eq!((&changed["logo"], &changed["theme"]), (&Value::from(logo), &json!("dark")));
    let person = server.person();
    let page = person.get(&person.start_with(BANK).await).await;
    let shown = server.get(&found(&page, "img.logo", Some("src")).concat()).await;
    assert_eq!((shown.header("content-type"), shown.body.as_str()), ("image/svg+xml", picture));
    assert!(shown.header("content-security-policy").contains("default-src 'none'"));
    let icon = server.get(&found(&page, "link[rel=icon]", Some("href")).concat()).await;
    assert_eq!(icon.body, picture);

    let long = format!("data:image/png;base64,{}", STANDARD.encode(vec![0; 65 * 1024]));
    for refused in
        ["/etc/logo.svg", "logo.svg", "data:text/html;base64,PGI+", "https://x.example/a.png", long.as_str()]
    {
        let (status, field) = server.refused("PATCH", "/clients/skc_own", json!({ "logo": refused })).await;
        assert_eq!((status, field.as_str()), (400, "logo"), "{refused:.40}");
    }
    for (field, value) in [("accent_color", "red"), ("terms_url", "javascript:alert(1)"), ("theme", "blue")] {
        let refused = server.refused("PATCH", "/clients/skc_own", json!({ field: value })).await;
        assert_eq!(refused, (400, field.to_owned()));
    }
    let back = server.do_control("PATCH", "/clients/skc_own", json!({ "logo": null })).await;
    assert!(back.get("logo").is_none(), "{back}");
}

#[tokio::test]
async fn whoever_is_new_goes_from_sign_in_to_sign_up_and_back() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.get(&person.start_with(&[]).await).await;
    // One button alone: published tests press the button there is.
    assert_eq!(submit_buttons(&sign_in), ["Continue"]);
    let sign_up = found(&sign_in, ".other-way a", Some("href")).concat();
    let page = person.get(&person.get(&sign_up).await.location.unwrap()).await;
    assert_eq!(page.heading(), "Create your account");
    let form = found(&page, "form", Some("action")).concat();
    person.post(&form, &[("email", "new@example.com")]).await;
    assert_eq!(server.mail_to("new@example.com").await["kind"], "signup");
    let back = found(&page, ".other-way a", Some("href")).concat();
    let page = person.get(&person.get(&back).await.location.unwrap()).await;
    assert_eq!(page.heading(), "Sign in to Vestibule");
    // Nobody else's sign-in can be started over.
    let stranger = server.person();
    let refused = stranger.get(&sign_up).await;
    assert_eq!(stranger.get(&refused.location.unwrap()).await.status, 404);

    let closed = TestServer::with("[passwordless]\nsign_up_allowed = false\n").await;
    let person = closed.person();
    let page = person.get(&person.start_with(&[]).await).await;
    assert!(found(&page, ".other-way a", None).is_empty(), "{}", page.body);
}

#[tokio::test]
async fn an_expired_code_leaves_one_thing_to_do() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    server.advance_s(300);
    let page = person.get(&sign_in).await;
    assert_eq!(page.heading(), "This code has expired");
    assert_eq!(found(&page, "button.main", None), ["Resend code"]);
    assert!(!page.body.contains("name=\"code\""), "{}", page.body);
    person.post(found(&page, "form", Some("action")).last().unwrap(), &[]).await;
    assert_eq!(person.get(&sign_in).await.heading(), "Enter your code");

    let server = TestServer::with("[passwordless]\ntype = \"LINK\"\n").await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    server.advance_s(300);
    assert_eq!(found(&person.get(&sign_in).await, "button.main", None), ["Resend link"]);
}

#[tokio::test]
async fn every_end_leads_back_to_the_application() {
    let server = TestServer::with(TWO_APPLICATIONS).await;
    let person = server.person();
    let sign_in = person.start_with(&[SHOP, &[("login_hint", "jane@example.com")]].concat()).await;
    let link = server.link_for("jane@example.com").await;
    let elsewhere = server.person().get(&link).await;
    person.enter_code(&sign_in, &server.code_for("jane@example.com").await).await;
    let done = person.get(&sign_in).await;
    for page in [&elsewhere, &done, &person.get(&link).await] {
        assert_eq!(found(page, "a.main", None), ["Return to Shop"], "{}", page.body);
        assert_eq!(found(page, "a.main", Some("href")), ["https://shop.example.com/"]);
        assert_eq!(found(page, "svg.state", Some("aria-hidden")), ["true"]);
    }
}

#[tokio::test]
async fn the_form_is_submitted_with_its_last_digit_only_where_that_is_set() {
    for (setting, is_set) in [("", false), ("[pages]\nsubmit_on_last_digit = true\n", true)] {
        let server = TestServer::with(setting).await;
        let person = server.person();
        let page = person.get(&person.start("jane@example.com").await).await;
        assert_eq!(page.body.contains("data-submit-on-last-digit"), is_set);
    }
}

#[tokio::test]
async fn in_development_the_code_page_says_where_its_code_is_but_does_not_hold_it() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.get(&person.start("jane@example.com").await).await;
    let code = server.code_for("jane@example.com").await;
    let message = found(&page, "[data-dev-bar]", Some("data-dev-bar")).concat();
    assert_eq!(server.get(&message).await.json()["code"], code);
    assert!(!page.body.contains(&code), "{}", page.body);
    for setting in ["dev_bar = false\n", "demo = true\n", "[control]\ntoken = \"sixteen characters\"\n"] {
        let server = TestServer::with(setting).await;
        let person = server.person();
        let page = person.get(&person.start("jane@example.com").await).await;
        assert!(!page.body.contains("dev-bar"), "{setting}: {}", page.body);
    }
}

#[tokio::test]
async fn in_development_the_address_form_says_where_accounts_are_but_names_nobody() {
    let server = TestServer::start().await;
    server.person().sign_in("jane@example.com").await;
    let person = server.person();
    let page = person.get(&person.start_with(&[]).await).await;
    let accounts = found(&page, "[data-accounts-url]", Some("data-accounts-url")).concat();
    assert_eq!(server.get(&accounts).await.json()["users"][0]["email"], "jane@example.com");
    assert!(!page.body.contains("jane@example.com"), "{}", page.body);
    for setting in
        ["account_picker = false\n", "demo = true\n", "[control]\ntoken = \"sixteen characters\"\n"]
    {
        let server = TestServer::with(setting).await;
        let person = server.person();
        let page = person.get(&person.start_with(&[]).await).await;
        assert!(!page.body.contains("accounts"), "{setting}: {}", page.body);
    }
}

#[tokio::test]
async fn an_account_that_is_picked_signs_in_at_once_only_where_its_application_allows_that() {
    for (settings, is_at_once) in [
        ("instant_sign_in = true\n", true),
        ("", false),
        ("instant_sign_in = true\naccount_picker = false\n", false),
        ("instant_sign_in = true\n[control]\ntoken = \"sixteen characters\"\n", false),
    ] {
        let server = TestServer::with(settings).await;
        let person = server.person();
        let sign_in = person.start_with(&[]).await;
        let page = person.get(&sign_in).await;
        assert_eq!(page.body.contains("data-signs-in-at-once"), is_at_once, "{settings}");
        let form = [("email", "jane@example.com"), ("picked", "true")];
        let sent = person.send(&format!("{sign_in}/email"), &form).await;
        assert_eq!(sent.answer("code").is_some(), is_at_once, "{settings}: {:?}", sent.location);
        // Another site's page cannot press it.
        let url = format!("{sign_in}/email");
        let foreign = person.browser.post(url).header("origin", "https://evil.example").form(&form);
        assert_eq!(foreign.send().await.unwrap().status(), 403, "{settings}");
    }
}

#[tokio::test]
async fn in_an_isolated_environment_a_helper_may_sign_an_account_in_at_once_unless_that_is_switched_off() {
    let server = TestServer::start().await;
    for (wanted, is_at_once) in [(json!({}), true), (json!({ "instant_sign_in": false }), false)] {
        let environment = server.do_control("POST", "/environments", wanted).await;
        let base = environment["path_url"].as_str().unwrap();
        let query = [
            ("client_id", environment["client_id"].as_str().unwrap()),
            ("redirect_uri", "http://localhost:3000/cb"),
            ("response_type", "code"),
            ("scope", "openid"),
        ];
        let url = url::Url::parse_with_params(&format!("{base}/oauth/authorize"), query).unwrap();
        let person = server.person();
        let sign_in = person.get(url.as_str()).await.location.unwrap();
        assert!(!person.get(&sign_in).await.body.contains("Accounts"), "a test has its own accounts");
        let form = [("email", "jane@example.com"), ("picked", "true")];
        let sent = person.send(&format!("{sign_in}/email"), &form).await;
        assert_eq!(sent.answer("code").is_some(), is_at_once, "{:?}", sent.location);
    }
}

/// The form of a page, as a press on its one button sends it.
fn form_of(page: &Page) -> (String, Vec<(String, String)>) {
    let names = found(page, "form input[type=hidden]", Some("name"));
    let values = found(page, "form input[type=hidden]", Some("value"));
    (found(page, "form", Some("action")).concat(), names.into_iter().zip(values).collect())
}

#[tokio::test]
async fn in_development_a_press_allows_a_callback_that_was_refused_and_the_sign_in_goes_on() {
    const NEW: &[(&str, &str)] =
        &[("redirect_uri", "https://new.example.com/callback"), ("login_hint", "jane@example.com")];
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.authorize(NEW).await;
    assert_eq!(submit_buttons(&page), ["Allow this URL for this application"]);
    let (action, fields) = form_of(&page);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    // Another site's page cannot press it.
    let url = format!("{}{action}", server.url);
    let foreign = person.browser.post(url).header("origin", "https://evil.example").form(&fields);
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(person.authorize(NEW).await.status, 400);

    let allowed = person.send(&action, &fields).await;
    let started = person.get(&allowed.location.unwrap()).await;
    let sign_in = started.location.unwrap();
    let back = person.enter_code(&sign_in, &server.code_for("jane@example.com").await).await;
    assert!(back.location.unwrap().starts_with("https://new.example.com/callback?"));
    let log = server.get("/_emulator/v1/flows").await.json();
    let kinds: Vec<&Value> = log["flows"].as_array().unwrap().iter().map(|flow| &flow["why_type"]).collect();
    assert!(kinds.contains(&&json!("redirect_uri_allowed")), "{log}");
}

#[tokio::test]
async fn nobody_else_allows_a_callback() {
    const NEW: &[(&str, &str)] = &[("redirect_uri", "https://new.example.com/callback")];
    for setting in
        ["demo = true\n", "[control]\ntoken = \"sixteen characters\"\n", "[control]\nenabled = false\n"]
    {
        let server = TestServer::with(setting).await;
        let person = server.person();
        let page = person.authorize(NEW).await;
        assert_eq!(submit_buttons(&page).len(), 0, "{setting}: {}", page.body);
        let fields = [NEW[0], ("client_id", crate::support::CLIENT_ID)];
        assert_eq!(person.send("/oauth/authorize/allow", &fields).await.status, 403, "{setting}");
        assert_eq!(person.authorize(NEW).await.status, 400, "{setting}");
    }
    // What no application may register is not offered.
    let server = TestServer::start().await;
    let page = server.person().authorize(&[("redirect_uri", "javascript:alert(1)")]).await;
    assert_eq!((page.status, submit_buttons(&page).len()), (400, 0), "{}", page.body);
}

#[tokio::test]
async fn the_api_takes_codes_as_users_type_them() {
    let server = TestServer::start().await;
    let url = format!("{}/api/v1/passwordless/email", server.url);
    for between in [" ", "-", "\u{2013}", "\u{a0}"] {
        let token = server.client_token().await;
        let ask =
            json!({ "email": "jane@example.com", "magiclink_auth_uri": "https://app.example.com/link" });
        let call = |what: &str, body: Value| {
            server.http().post(format!("{url}/{what}")).bearer_auth(&token).json(&body).send()
        };
        let sent = Page::of(call("send", ask).await.unwrap()).await.json();
        let code = server.code_for("jane@example.com").await;
        let body = json!({ "auth_request_id": sent["auth_request_id"], "code": format!(" {}{between}{}", &code[..3], &code[3..]) });
        let verified = Page::of(call("verify", body).await.unwrap()).await;
        assert_eq!(verified.status, 200, "{}", verified.body);
        server.advance_s(61);
    }
}

#[tokio::test]
async fn hosted_pages_are_light() {
    let server = TestServer::with(TWO_APPLICATIONS).await;
    let person = server.person();
    let page =
        person.get(&person.start_with(&[BANK, &[("login_hint", "j@example.com")]].concat()).await).await;
    let mut bytes = page.body.len();
    for (selector, attribute) in [("link[href]", "href"), ("script[src]", "src"), ("img[src]", "src")] {
        for address in found(&page, selector, Some(attribute)) {
            bytes += server.get(&address).await.body.len();
        }
    }
    assert!(bytes < 30 * 1024, "{bytes} bytes");
}
