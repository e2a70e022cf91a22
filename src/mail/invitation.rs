//! What the email says that invites a user to an organization.

use askama::Template;

use super::render::{Accent, RenderError, RenderedMail, in_words, is_mailable_link, support_email};
use super::single_line;
use crate::domain::email::EmailAddress;
use crate::domain::language::Language;
use crate::domain::settings::Branding;
use crate::locales::{self, EmailTexts, fill};

/// Everything an invitation is made of.
pub struct InvitationContent<'a> {
    pub to: &'a EmailAddress,
    /// Name of the organization.
    pub organization: &'a str,
    /// Who invites.
    pub inviter: Option<&'a str>,
    pub branding: &'a Branding,
    pub language: Language,
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
    let texts = &locales::texts(content.language).email;
    let organization = single_line(content.organization);
    let app_name = single_line(&content.branding.name);
    let names = [("organization", organization.as_str()), ("app", app_name.as_str())];
    let inviter = content.inviter.map(single_line).filter(|inviter| !inviter.is_empty());
    let invited = match &inviter {
        Some(inviter) => fill(&texts.invited_by, &[names[0], names[1], ("inviter", inviter.as_str())]),
        None => fill(&texts.invited, &names),
    };
    let words = Words {
        heading: fill(&texts.heading_invitation, &names),
        invited,
        link: content.link,
        expires: fill(&texts.expires_link, &[("time", &in_words(texts, content.valid_for_s))]),
        reason: fill(&texts.reason_invitation, &[("to", &content.to.to_unicode())]),
    };
    let subject = fill(&texts.subject_invitation, &names);
    let accent = Accent::new(&content.branding.accent_color);
    let support_email = support_email(content.branding);
    let (language, support_email) = (content.language.tag(), support_email.as_deref());
    let text = TextPart { texts, words: &words, support_email }.render()?;
    let html = HtmlPart { texts, words: &words, subject: &subject, language, accent: &accent, support_email }
        .render()?;
    Ok(RenderedMail { subject, text, html })
}

/// What both parts say.
struct Words<'a> {
    heading: String,
    invited: String,
    link: &'a str,
    expires: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "mail/invitation.txt")]
struct TextPart<'a> {
    texts: &'a EmailTexts,
    words: &'a Words<'a>,
    support_email: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/invitation.html")]
struct HtmlPart<'a> {
    texts: &'a EmailTexts,
    words: &'a Words<'a>,
    subject: &'a str,
    language: &'a str,
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
                support_email: Some("help@widgets.example".into()),
                ..Branding::default()
            },
            language: Language::En,
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
