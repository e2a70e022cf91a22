//! What each page shows. The templates hold the markup, `locales/` the texts.

use askama::Template;

use crate::http::texts;
use crate::http::views::{Layout, ReturnLink};

/// The address form, to sign in or to sign up.
#[derive(Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignIn {
    pub layout: Layout,
    pub action: String,
    pub email: String,
    pub error: Option<String>,
    pub intro: &'static str,
    /// Where it leads, where the title does not say it.
    pub continue_to: Option<String>,
    pub other_way: Option<OtherWay>,
    /// In development: where a script finds the accounts to offer.
    pub accounts_url: Option<String>,
    /// Picking one of them needs no email.
    pub signs_in_at_once: bool,
}

/// From sign-in to sign-up, or the other way round.
pub struct OtherWay {
    pub question: &'static str,
    pub text: &'static str,
    pub url: String,
}

/// The code form.
#[derive(Template)]
#[template(path = "pages/enter_code.html")]
pub struct EnterCode {
    pub layout: Layout,
    pub action: String,
    pub resend_action: String,
    pub restart_action: String,
    pub status_url: String,
    pub email: String,
    pub error: Option<String>,
    pub notice: Option<String>,
    pub code_length: u32,
    /// Seconds until the resend button is offered; the server enforces its own limit.
    pub resend_after_s: i64,
    pub also_link: bool,
    /// The script submits the form with its last digit.
    pub submit_on_last_digit: bool,
    /// Shown in a demonstration, which needs no email.
    pub demo_code: Option<String>,
    pub dev_bar: Option<DevBar>,
}

/// In development: where a script finds the code that was mailed.
pub struct DevBar {
    /// Address of the newest email of this sign-in.
    pub message_url: String,
    pub inbox_url: String,
}

/// What users see whose code or link has expired while their sign-in has not: the one thing to do is to send again.
#[derive(Template)]
#[template(path = "pages/resend.html")]
pub struct Resend {
    pub layout: Layout,
    pub email: String,
    pub error: Option<String>,
    pub resend_action: String,
    pub restart_action: String,
    pub status_url: String,
    pub button: &'static str,
}

/// What users see while only a link was mailed.
#[derive(Template)]
#[template(path = "pages/check_mail.html")]
pub struct CheckMail {
    pub layout: Layout,
    pub email: String,
    pub resend_action: String,
    pub restart_action: String,
    pub status_url: String,
    pub resend_after_s: i64,
    pub error: Option<String>,
    pub notice: Option<String>,
    /// Shown in a demonstration, which needs no email.
    pub demo_link: Option<String>,
}

/// Where a mailed link lands.
#[derive(Template)]
#[template(path = "pages/link_landing.html")]
pub struct LinkLanding {
    pub layout: Layout,
    pub action: String,
    pub link_token: String,
    /// The script presses the button: this is the browser that started.
    pub auto: bool,
    pub continue_to: String,
}

#[derive(Template)]
#[template(path = "pages/wrong_browser.html")]
pub struct WrongBrowser {
    pub layout: Layout,
    pub way_back: Option<ReturnLink>,
}

#[derive(Template)]
#[template(path = "pages/too_many_attempts.html")]
pub struct TooManyAttempts {
    pub layout: Layout,
    pub restart_action: String,
}

#[derive(Template)]
#[template(path = "pages/expired.html")]
pub struct Expired {
    pub layout: Layout,
    /// `None` where this browser did not start the sign-in.
    pub restart_action: Option<String>,
    /// Where there is nothing to restart.
    pub way_back: Option<ReturnLink>,
}

#[derive(Template)]
#[template(path = "pages/done.html")]
pub struct Done {
    pub layout: Layout,
    pub text: &'static str,
    pub way_back: Option<ReturnLink>,
}

#[derive(Template)]
#[template(path = "pages/choose_account.html")]
pub struct ChooseAccount {
    pub layout: Layout,
    pub action: String,
    pub continue_as: String,
    pub continue_to: String,
}

/// Where a user chooses the organization to enter.
#[derive(Template)]
#[template(path = "pages/choose_organization.html")]
pub struct ChooseOrganization {
    pub layout: Layout,
    pub action: String,
    pub restart_action: String,
    pub email: String,
    pub continue_to: String,
    pub organizations: Vec<OrganizationButton>,
    /// May the user make one?
    pub may_create: bool,
    /// Is nothing to choose, and the sign-in goes on?
    pub may_continue: bool,
}

/// An organization to choose.
pub struct OrganizationButton {
    pub id: String,
    /// Its name, or that the user would join it.
    pub text: String,
    /// The user is not a member yet.
    pub joins: bool,
}

/// Where a link to an organization's admin portal leads.
#[derive(Template)]
#[template(path = "pages/portal.html")]
pub struct Portal {
    pub layout: Layout,
    pub organization: String,
    /// What the portal would offer.
    pub features: Vec<&'static str>,
}

/// The offer to join an organization.
#[derive(Template)]
#[template(path = "pages/invitation.html")]
pub struct Invitation {
    pub layout: Layout,
    pub action: String,
    /// By whom and to what.
    pub invited: String,
}

/// An invitation was accepted, and no application says where to go on.
#[derive(Template)]
#[template(path = "pages/joined.html")]
pub struct Joined {
    pub layout: Layout,
    pub text: String,
}

/// A sign-in that this browser did not start, or lost.
#[derive(Template)]
#[template(path = "pages/lost.html")]
pub struct Lost {
    pub layout: Layout,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::language::Language;
    use crate::domain::settings::Branding;

    fn layout() -> Layout {
        let branding = Branding {
            name: "Acme <&> Co".into(),
            support_email: Some("help@example.com".into()),
            terms_url: Some("https://acme.example/terms?a=1&b=2".into()),
            ..Branding::default()
        };
        Layout {
            notice: Some("Development server".into()),
            ..Layout::new(&branding, Language::En, "/e/a", "T")
        }
    }

    fn code_page(email: &str) -> String {
        EnterCode {
            layout: layout(),
            action: "/login/x/code".into(),
            resend_action: "/login/x/resend".into(),
            restart_action: "/login/x/restart".into(),
            status_url: "/login/x/status".into(),
            email: email.into(),
            error: None,
            notice: None,
            code_length: 6,
            resend_after_s: 30,
            also_link: true,
            submit_on_last_digit: false,
            demo_code: None,
            dev_bar: Some(DevBar { message_url: "/m?a=x&b=y".into(), inbox_url: "/inbox".into() }),
        }
        .render()
        .unwrap()
    }

    fn sign_in(email: &str) -> String {
        SignIn {
            layout: layout(),
            action: "/login/x/email".into(),
            email: email.into(),
            error: Some("Wrong".into()),
            intro: "Enter your email.",
            continue_to: None,
            other_way: Some(OtherWay {
                question: "New here?",
                text: "Create an account",
                url: "/login/x/sign-up".into(),
            }),
            accounts_url: Some("/accounts".into()),
            signs_in_at_once: false,
        }
        .render()
        .unwrap()
    }

    /// The words of every submit button, in document order.
    fn buttons(html: &str) -> Vec<String> {
        let document = scraper::Html::parse_document(html);
        let selector = scraper::Selector::parse("button[type=submit]").unwrap();
        document.select(&selector).map(|b| b.text().collect::<String>().trim().to_owned()).collect()
    }

    #[test]
    fn the_published_selectors_find_their_fields_and_exactly_one_continue() {
        let page = sign_in("");
        assert!(page.contains(r#"name="email""#));
        assert_eq!(buttons(&page), ["Continue"]);
        let page = code_page("jane@example.com");
        assert!(page.contains(r#"data-scope="pin-input" data-part="input""#));
        assert_eq!(page.matches(r#"name="code""#).count(), 1);
        assert_eq!(buttons(&page).iter().filter(|b| b.contains("Continue")).count(), 1);
    }

    fn organizations(name: &str) -> String {
        let button =
            |id: &str, text: &str, joins| OrganizationButton { id: id.into(), text: text.into(), joins };
        ChooseOrganization {
            layout: layout(),
            action: "/login/x/organization".into(),
            restart_action: "/login/x/restart".into(),
            email: "jane@example.com".into(),
            continue_to: "Continue to App".into(),
            organizations: vec![button("org_1", name, false), button("org_2", "Join Beta", true)],
            may_create: true,
            may_continue: false,
        }
        .render()
        .unwrap()
    }

    #[test]
    fn every_organization_is_a_button_that_says_whether_it_is_joined() {
        let expected = ["Not you?", "Acme", "Join Beta", "Create an organization"];
        assert_eq!(buttons(&organizations("Acme")), expected);
    }

    #[test]
    fn hostile_values_are_escaped() {
        let hostile = organizations("<script>x</script>");
        for page in [sign_in("\"><script>x</script>"), code_page("<script>x</script>@y"), hostile] {
            assert!(!page.contains("<script>x"), "{page}");
        }
    }

    #[test]
    fn a_page_says_its_language_its_theme_and_whose_it_is() {
        let branding = Branding { theme: crate::domain::settings::Theme::Dark, ..Branding::default() };
        let page = Done {
            layout: Layout {
                brand_query: "?client_id=skc_1".into(),
                ..Layout::new(&branding, Language::De, "", "Sie sind angemeldet")
            },
            text: "Fertig.",
            way_back: Some(ReturnLink {
                text: "Zurück zu Acme".into(), url: "https://acme.example/".into()
            }),
        };
        let page = page.render().unwrap();
        for expected in [
            r#"<html lang="de" data-theme="dark">"#,
            r#"<meta name="color-scheme" content="dark">"#,
            r##"<meta name="theme-color" content="#3f4a8a">"##,
            r#"href="/assets/icon?client_id=skc_1""#,
            r#"<a class="button main" href="https://acme.example/">Zurück zu Acme</a>"#,
        ] {
            assert!(page.contains(expected), "{expected} in {page}");
        }
        assert!(sign_in("").contains("https://acme.example/terms?a=1&#38;b=2"), "{}", sign_in(""));
    }

    #[test]
    fn pages_hold_no_inline_script_or_style() {
        for page in [sign_in("a@b.io"), code_page("a@b.io")] {
            assert!(!page.contains("style=\"") && !page.contains(" onclick") && !page.contains("<style"));
        }
    }
}
