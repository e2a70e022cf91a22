//! What each page shows. The templates hold the markup, `texts` the words.

use askama::Template;

use crate::http::texts;
use crate::http::views::Layout;

/// The address form, to sign in or to sign up.
#[derive(Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignIn {
    pub layout: Layout,
    pub action: String,
    pub email: String,
    pub error: Option<String>,
    pub app_name: String,
    pub intro: &'static str,
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
    /// Shown in a demonstration, which needs no email.
    pub demo_code: Option<String>,
}

/// What people see while only a link was mailed.
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
    pub app_name: String,
}

#[derive(Template)]
#[template(path = "pages/wrong_browser.html")]
pub struct WrongBrowser {
    pub layout: Layout,
    pub app_name: String,
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
}

#[derive(Template)]
#[template(path = "pages/done.html")]
pub struct Done {
    pub layout: Layout,
    pub text: &'static str,
    pub app_name: String,
}

#[derive(Template)]
#[template(path = "pages/choose_account.html")]
pub struct ChooseAccount {
    pub layout: Layout,
    pub action: String,
    pub email: String,
    pub app_name: String,
}

/// Where a user chooses the organization to enter.
#[derive(Template)]
#[template(path = "pages/choose_organization.html")]
pub struct ChooseOrganization {
    pub layout: Layout,
    pub action: String,
    pub restart_action: String,
    pub email: String,
    pub app_name: String,
    pub organizations: Vec<OrganizationButton>,
    /// May the user make one?
    pub may_create: bool,
    /// Is nothing to choose, and the sign-in goes on?
    pub may_continue: bool,
}

/// An organization to choose.
pub struct OrganizationButton {
    pub id: String,
    pub name: String,
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
    pub organization: String,
    /// Whom it was sent to.
    pub email: String,
    pub inviter: Option<String>,
}

/// An invitation was accepted, and no application says where to go on.
#[derive(Template)]
#[template(path = "pages/joined.html")]
pub struct Joined {
    pub layout: Layout,
    pub organization: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            title: "T".into(),
            base: "/e/a".into(),
            demo: false,
            navigation: None,
            brand_name: "Acme <&> Co".into(),
            has_logo: false,
            support_email: Some("help@example.com".into()),
            notice: Some("Development server".into()),
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
            demo_code: None,
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
            app_name: "App".into(),
            intro: "Enter your email.",
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
            |id: &str, name: &str, joins| OrganizationButton { id: id.into(), name: name.into(), joins };
        ChooseOrganization {
            layout: layout(),
            action: "/login/x/organization".into(),
            restart_action: "/login/x/restart".into(),
            email: "jane@example.com".into(),
            app_name: "App".into(),
            organizations: vec![button("org_1", name, false), button("org_2", "Beta", true)],
            may_create: true,
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
    fn pages_hold_no_inline_script_or_style() {
        for page in [sign_in("a@b.io"), code_page("a@b.io")] {
            assert!(!page.contains("style=\"") && !page.contains(" onclick") && !page.contains("<style"));
        }
    }
}
