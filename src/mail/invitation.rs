//! What the email says that invites a user to an organization.

use askama::Template;

use super::render::{Accent, RenderError, RenderedMail, in_words, is_mailable_link, support_email};
use super::single_line;
use crate::domain::email::EmailAddress;
use crate::domain::settings::Branding;

/// Everything an invitation is made of.
pub struct InvitationContent<'a> {
    pub to: &'a EmailAddress,
    /// Name of the organization.
    pub organization: &'a str,
    /// Who invites.
    pub inviter: Option<&'a str>,
    pub branding: &'a Branding,
    /// Where the user accepts: an absolute URL.
    pub link: &'a str,
    /// How long the link lives, in seconds.
    pub valid_for_s: i64,
}

/// Writes the email. Names are put on one line and escaped, whatever they contain.
///
/// # Errors
/// [`RenderError::Link`] when the link may not stand in an email.
pub fn render_invitation(content: &InvitationContent<'_>) -> Result<RenderedMail, RenderError> {
    if !is_mailable_link(content.link) {
        return Err(RenderError::Link);
    }
    let organization = single_line(content.organization);
    let app_name = single_line(&content.branding.name);
    let inviter = content.inviter.map(single_line).filter(|inviter| !inviter.is_empty());
    let words = Words {
        organization: &organization,
        app_name: &app_name,
        inviter: inviter.as_deref(),
        to: &content.to.to_unicode(),
        link: content.link,
        expiry: &in_words(content.valid_for_s),
    };
    let subject = format!("You have been invited to {organization} in {app_name}");
    let accent = Accent::new(&content.branding.accent_color);
    let support_email = support_email(content.branding);
    let support_email = support_email.as_deref();
    let text = TextPart { words: &words, support_email }.render()?;
    let html = HtmlPart { words: &words, subject: &subject, accent: &accent, support_email }.render()?;
    Ok(RenderedMail { subject, text, html })
}

/// What both parts say.
struct Words<'a> {
    organization: &'a str,
    app_name: &'a str,
    inviter: Option<&'a str>,
    to: &'a str,
    link: &'a str,
    expiry: &'a str,
}

#[derive(Template)]
#[template(path = "mail/invitation.txt")]
struct TextPart<'a> {
    words: &'a Words<'a>,
    support_email: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/invitation.html")]
struct HtmlPart<'a> {
    words: &'a Words<'a>,
    subject: &'a str,
    accent: &'a Accent,
    support_email: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(
        organization: &str,
        inviter: Option<&str>,
        link: &str,
    ) -> Result<RenderedMail, RenderError> {
        render_invitation(&InvitationContent {
            to: &EmailAddress::parse("jane@example.com").unwrap(),
            organization,
            inviter,
            branding: &Branding {
                name: "Widgets".into(),
                logo_path: None,
                accent_color: "#4f46e5".into(),
                support_email: Some("help@widgets.example".into()),
            },
            link,
            valid_for_s: 15 * 86_400,
        })
    }

    const LINK: &str = "http://localhost:6870/invite/abc";

    #[test]
    fn an_invitation_says_where_to_and_by_whom_and_its_link_stands_alone() {
        let mail = invitation("Acme", Some("boss@acme.test"), LINK).unwrap();
        assert_eq!(mail.subject, "You have been invited to Acme in Widgets");
        assert!(mail.text.lines().any(|line| line == LINK), "{}", mail.text);
        assert!(mail.html.contains(&format!("href=\"{LINK}\"")), "{}", mail.html);
        for part in [&mail.text, &mail.html] {
            for word in
                ["boss@acme.test has invited you", "15 days", "jane@example.com", "help@widgets.example"]
            {
                assert!(part.contains(word), "{word}: {part}");
            }
        }
        assert!(
            invitation("Acme", None, LINK).unwrap().text.starts_with("You have been invited to join Acme")
        );
    }

    #[test]
    fn hostile_names_stay_on_their_line_and_are_escaped() {
        let mail = invitation("<b>A\r\nBcc: x@y.z", Some("<i>"), LINK).unwrap();
        assert!(!mail.subject.contains('\n') && !mail.subject.contains('\r'), "{}", mail.subject);
        assert!(!mail.html.contains("<b>A") && !mail.html.contains("<i>"), "{}", mail.html);
        let refused = invitation("Acme", None, "javascript:alert(1)");
        assert!(matches!(refused, Err(RenderError::Link)), "{refused:?}");
    }
}
