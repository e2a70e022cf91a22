//! What emails say: subject, text part and HTML part.

use askama::Template;
use serde::{Deserialize, Serialize};
use url::Url;

use super::single_line;
use crate::domain::email::EmailAddress;
use crate::domain::language::Language;
use crate::domain::settings::Branding;
use crate::domain::uri_scheme;
use crate::locales::{self, EmailTexts, fill};

/// What an email is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    SignIn,
    SignUp,
    /// To an organization.
    Invitation,
}

impl MailKind {
    /// The name in the inbox API and in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "signin",
            Self::SignUp => "signup",
            Self::Invitation => "invitation",
        }
    }

    /// The kind with this name, as [`MailKind::as_str`] spells it.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SignIn, Self::SignUp, Self::Invitation].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Everything one email is made of.
pub struct MailContent<'a> {
    pub kind: MailKind,
    pub to: &'a EmailAddress,
    /// What the user signs in to. Falls back to the branding's name when empty.
    pub app_name: &'a str,
    pub branding: &'a Branding,
    pub language: Language,
    /// ASCII letters and digits.
    pub code: Option<&'a str>,
    /// Absolute URL, carried over letter by letter.
    pub link: Option<&'a str>,
    /// How long code and link live, in seconds. The email names whole minutes, rounded down.
    pub valid_for_s: i64,
    /// Scalekit's `template_variables`. `app_name` replaces the name above, `user_name` greets the user;
    /// the others belong to templates of the customer's own and are ignored.
    pub template_variables: &'a [(String, String)],
}

/// The template variables that mean something to the emails of this server.
pub const TEMPLATE_VARIABLES: [&str; 2] = ["app_name", "user_name"];

/// An email ready for the inbox and for [`Envelope`](super::Envelope).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedMail {
    pub subject: String,
    /// Plain text. Code and link stand on lines of their own.
    pub text: String,
    /// A whole HTML document with inline styles, no script, no image and no remote resource.
    pub html: String,
}

/// Why an email cannot be written. No variant carries a code or link.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("a mail needs a code or a link")]
    NothingToSay,
    #[error("a code consists of ASCII letters and digits")]
    Code,
    #[error("the link is not an absolute URL that may stand in a mail")]
    Link,
    #[error("the mail template failed: {0}")]
    Template(#[from] askama::Error),
}

/// Writes the email. Names are put on one line and escaped, whatever they contain.
///
/// # Errors
/// [`RenderError`] when there is neither code nor link, or one of them has a form that cannot be mailed safely.
pub fn render(content: &MailContent<'_>) -> Result<RenderedMail, RenderError> {
    if content.code.is_none() && content.link.is_none() {
        return Err(RenderError::NothingToSay);
    }
    if content.code.is_some_and(|code| code.is_empty() || !code.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Err(RenderError::Code);
    }
    if content.link.is_some_and(|link| !is_mailable_link(link)) {
        return Err(RenderError::Link);
    }

    let texts = &locales::texts(content.language).email;
    let app_name = app_name(content);
    let words = words(content, texts, &app_name);
    let subject = subject(content, texts, &app_name);
    let accent = Accent::new(&content.branding.accent_color);
    let support_email = support_email(content.branding);
    let (language, support_email) = (content.language.tag(), support_email.as_deref());
    let text = TextPart { texts, words: &words, support_email }.render()?;
    let html = HtmlPart { texts, words: &words, subject: &subject, language, accent: &accent, support_email }
        .render()?;
    Ok(RenderedMail { subject, text, html })
}

/// The sentences of both parts.
fn words<'a>(content: &MailContent<'a>, texts: &'static EmailTexts, app_name: &str) -> Words<'a> {
    let is_sign_up = content.kind == MailKind::SignUp;
    let (introduction, reason) = match (is_sign_up, content.code) {
        (false, Some(_)) => (&texts.code_sign_in, &texts.reason_sign_in),
        (false, None) => (&texts.link_sign_in, &texts.reason_sign_in),
        (true, Some(_)) => (&texts.code_sign_up, &texts.reason_sign_up),
        (true, None) => (&texts.link_sign_up, &texts.reason_sign_up),
    };
    let hello = match content.variable("user_name") {
        Some(name) => fill(&texts.hello_name, &[("name", &name)]),
        None => texts.hello.clone(),
    };
    let expires = match (content.code, content.link) {
        (Some(_), Some(_)) => &texts.expires_both,
        (Some(_), None) => &texts.expires_code,
        (None, _) => &texts.expires_link,
    };
    let to = content.to.to_unicode();
    Words {
        heading: heading(content.kind, texts, app_name),
        greeting: format!("{hello} {}", fill(introduction, &[("app", app_name)])),
        code: content.code,
        link: content.link,
        button: if is_sign_up { &texts.button_sign_up } else { &texts.button_sign_in },
        expires: fill(expires, &[("time", &in_words(texts, content.valid_for_s))]),
        reason: fill(reason, &[("to", &to), ("app", app_name)]),
    }
}

impl MailContent<'_> {
    /// One template variable on one line; `None` when absent or blank.
    fn variable(&self, key: &str) -> Option<String> {
        let (_, value) = self.template_variables.iter().find(|(k, _)| k == key)?;
        Some(single_line(value)).filter(|value| !value.is_empty())
    }
}

fn app_name(content: &MailContent<'_>) -> String {
    let given = content.variable("app_name").unwrap_or_else(|| single_line(content.app_name));
    if given.is_empty() { single_line(&content.branding.name) } else { given }
}

/// Whom to ask for help.
pub(super) fn support_email(branding: &Branding) -> Option<String> {
    branding.support_email.as_deref().map(single_line).filter(|s| !s.is_empty())
}

fn heading(kind: MailKind, texts: &EmailTexts, app_name: &str) -> String {
    let text = if kind == MailKind::SignUp { &texts.heading_sign_up } else { &texts.heading_sign_in };
    fill(text, &[("app", app_name)])
}

/// The code stands in the subject, so that a notification is enough to read it.
fn subject(content: &MailContent<'_>, texts: &EmailTexts, app_name: &str) -> String {
    let Some(code) = content.code else { return heading(content.kind, texts, app_name) };
    let is_sign_up = content.kind == MailKind::SignUp;
    let text = if is_sign_up { &texts.subject_code_sign_up } else { &texts.subject_code_sign_in };
    fill(text, &[("code", code), ("app", app_name)])
}

/// A link that stays one line of text and cannot run script in an email client. Custom schemes are allowed: apps
/// receive links too.
pub(super) fn is_mailable_link(link: &str) -> bool {
    let one_word = !link.chars().any(|c| c.is_control() || c.is_whitespace());
    one_word && Url::parse(link).is_ok_and(|url| !uri_scheme::is_dangerous(url.scheme()))
}

/// A duration as users say it: whole minutes from one minute on, and whole days from two days on, rounded down so that no
/// email promises too much.
pub(super) fn in_words(texts: &EmailTexts, duration_s: i64) -> String {
    let seconds = |n| locales::count(&texts.second_one, &texts.second_other, n);
    let minutes = |n| locales::count(&texts.minute_one, &texts.minute_other, n);
    let hours = |n| locales::count(&texts.hour_one, &texts.hour_other, n);
    let duration_s = duration_s.max(1);
    match (duration_s / 3600, duration_s % 3600 / 60) {
        (whole @ 48.., _) => locales::count(&texts.day_one, &texts.day_other, whole / 24),
        (0, 0) => seconds(duration_s),
        (0, rest) => minutes(rest),
        (whole, 0) => hours(whole),
        (whole, rest) => fill(&texts.duration_and, &[("hours", &hours(whole)), ("minutes", &minutes(rest))]),
    }
}

/// The button's colours.
pub(super) struct Accent {
    pub(super) background: String,
    /// Black or white, whichever is easier to read on the background (WCAG 2.2 §1.4.3).
    pub(super) text: &'static str,
}

const DEFAULT_ACCENT: &str = "#1f4b99";

impl Accent {
    /// Takes `#rrggbb`; anything else could leave the style attribute and gives the default.
    pub(super) fn new(color: &str) -> Self {
        let digits = |color: &str| {
            let hex = color
                .strip_prefix('#')
                .filter(|h| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u32::from_str_radix(hex, 16).ok()
        };
        let rgb = digits(color).or_else(|| digits(DEFAULT_ACCENT)).unwrap_or_default();
        let linear = |shift: u32| {
            let channel = f64::from((rgb >> shift) & 0xff) / 255.0;
            if channel <= 0.040_45 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = 0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0);
        // Above this luminance black has the higher contrast ratio: (L + 0.05)² = 1.05 · 0.05.
        let text = if luminance > 0.179 { "#000000" } else { "#ffffff" };
        Self { background: format!("#{rgb:06x}"), text }
    }
}

/// What both parts say.
struct Words<'a> {
    heading: String,
    greeting: String,
    code: Option<&'a str>,
    link: Option<&'a str>,
    button: &'a str,
    expires: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "mail/credentials.txt")]
struct TextPart<'a> {
    texts: &'a EmailTexts,
    words: &'a Words<'a>,
    support_email: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/credentials.html")]
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

    const CODE: &str = "482913";
    const LINK: &str =
        "http://localhost:6870/login/link?link_token=0b9f2c1e-5a77-4d1c-9a51-0f6f6f7a2b11_l&state=a%20b";

    fn branding() -> Branding {
        Branding {
            name: "Acme".into(),
            support_email: Some("help@acme.example".into()),
            ..Branding::default()
        }
    }

    fn mail_with(change: impl for<'a> FnOnce(&mut MailContent<'a>)) -> Result<RenderedMail, RenderError> {
        let (to, branding) = (EmailAddress::parse("jane@example.com").unwrap(), branding());
        let mut content = MailContent {
            kind: MailKind::SignIn,
            to: &to,
            app_name: "Acme",
            branding: &branding,
            language: Language::En,
            code: Some(CODE),
            link: Some(LINK),
            valid_for_s: 300,
            template_variables: &[],
        };
        change(&mut content);
        render(&content)
    }

    fn has_line(text: &str, line: &str) -> bool {
        text.lines().any(|l| l == line)
    }

    #[test]
    fn code_mail_carries_the_code_and_no_link() {
        let mail = mail_with(|c| c.link = None).unwrap();
        assert_eq!(mail.subject, "482913 is your Acme sign-in code");
        assert!(has_line(&mail.text, CODE), "{}", mail.text);
        assert!(mail.html.contains(&format!(">{CODE}</p>")), "the code is one piece: {}", mail.html);
        for part in [&mail.text, &mail.html] {
            assert!(
                !part.contains("http") && !part.contains("open this") && !part.contains("button"),
                "{part}"
            );
            assert!(part.contains("5 minutes"), "{part}");
        }
    }

    #[test]
    fn link_mail_carries_the_link_and_no_code() {
        let mail = mail_with(|c| c.code = None).unwrap();
        assert_eq!(mail.subject, "Sign in to Acme");
        assert!(has_line(&mail.text, LINK), "{}", mail.text);
        let escaped = LINK.replace('&', "&#38;");
        assert!(mail.html.contains(&format!("href=\"{escaped}\"")), "{}", mail.html);
        assert!(mail.html.contains(&format!(">{escaped}</a>")), "the link is readable too: {}", mail.html);
        for part in [&mail.text, &mail.html] {
            assert!(!part.contains(CODE) && !part.contains(" code"), "{part}");
        }
    }

    #[test]
    fn a_mail_with_both_offers_both() {
        let mail = mail_with(|_| ()).unwrap();
        assert_eq!(mail.subject, "482913 is your Acme sign-in code");
        assert!(has_line(&mail.text, CODE) && has_line(&mail.text, LINK), "{}", mail.text);
        assert!(mail.html.contains(CODE) && mail.html.contains("href=\"http://localhost:6870/login/link?"));
        assert_text_of_both(&mail.text);
    }

    /// The whole text part, because its blank lines are what template edits break.
    fn assert_text_of_both(text: &str) {
        let expected = "\
Hi, here's your sign-in code for Acme:

482913

Or open this link:

http://localhost:6870/login/link?link_token=0b9f2c1e-5a77-4d1c-9a51-0f6f6f7a2b11_l&state=a%20b

Expires in 5 minutes. Don't share this code or link with anyone.

We sent this email to jane@example.com because someone asked to sign in to Acme with this address. \
If this wasn't you, you can ignore this email.

Need help? Contact help@acme.example
";
        assert_eq!(text, expected);
    }

    #[test]
    fn sign_up_mails_say_so() {
        let mail = mail_with(|c| c.kind = MailKind::SignUp).unwrap();
        assert_eq!(mail.subject, "482913 is your Acme sign-up code");
        assert!(mail.text.contains("sign up for Acme") && mail.html.contains("Sign up for Acme"));
        for part in [&mail.text, &mail.html] {
            assert!(!part.to_lowercase().contains("to sign in"), "{part}");
        }
        let mail = mail_with(|c| (c.kind, c.code) = (MailKind::SignUp, None)).unwrap();
        assert_eq!(mail.subject, "Sign up for Acme");
    }

    #[test]
    fn hostile_names_are_escaped_and_stay_on_one_line() {
        let hostile = "</title><script>alert(1)</script>\r\nBcc: eve@evil.example\r\n\r\n<img src=x> \"&'";
        let variables = [("user_name".to_owned(), format!("{hostile}{{{{ words.code }}}}"))];
        let mut branding = branding();
        branding.accent_color = "red\" onclick=\"x".into();
        branding.support_email = Some("\"><b>\r\nx".into());
        let to = EmailAddress::parse("o'brien&co@example.com").unwrap();
        let mail = render(&MailContent {
            kind: MailKind::SignIn,
            to: &to,
            app_name: hostile,
            branding: &branding,
            language: Language::En,
            code: Some(CODE),
            link: Some("https://app.example/cb?a='\"<b>&link_token=x"),
            valid_for_s: 300,
            template_variables: &variables,
        })
        .unwrap();
        assert!(!mail.subject.chars().any(char::is_control), "{:?}", mail.subject);
        assert!(!mail.text.lines().any(|l| l.starts_with("Bcc:")), "{}", mail.text);
        for tag in ["<script", "<img", "<b>", "onclick=\"", "red\""] {
            assert!(!mail.html.contains(tag), "{tag} in {}", mail.html);
        }
        assert_eq!(mail.html.matches("</title>").count(), 1);
        assert!(mail.html.contains("{{ words.code }}"), "names are no templates");
    }

    #[test]
    fn variables_may_name_the_app_and_greet_the_person_but_never_replace_the_credentials() {
        let variables = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let given = variables(&[
            ("app_name", "Beta"),
            ("user_name", "Jane"),
            ("otp", "000000"),
            ("link", "http://e"),
        ]);
        let (to, branding) = (EmailAddress::parse("jane@example.com").unwrap(), branding());
        let content = |template_variables| MailContent {
            kind: MailKind::SignIn,
            to: &to,
            app_name: " ",
            branding: &branding,
            language: Language::En,
            code: Some(CODE),
            link: None,
            valid_for_s: 60,
            template_variables,
        };
        let mail = render(&content(&given)).unwrap();
        assert_eq!(mail.subject, "482913 is your Beta sign-in code");
        assert!(mail.text.starts_with("Hi Jane, here's") && mail.html.contains("Hi Jane, here"));
        assert!(!mail.text.contains("000000") && !mail.html.contains("http://e"));
        let blank = variables(&[("app_name", "\r\n"), ("user_name", "  ")]);
        let mail = render(&content(&blank)).unwrap();
        assert_eq!(
            mail.subject, "482913 is your Acme sign-in code",
            "the branding's name is the last resort"
        );
        assert!(mail.text.starts_with("Hi, here's"));
    }

    #[test]
    fn what_cannot_be_mailed_safely_is_refused() {
        assert!(matches!(mail_with(|c| (c.code, c.link) = (None, None)), Err(RenderError::NothingToSay)));
        for code in ["", "12 34", "12\r\n34", "<b>"] {
            let (to, branding) = (EmailAddress::parse("jane@example.com").unwrap(), branding());
            let content = MailContent {
                kind: MailKind::SignIn,
                to: &to,
                app_name: "Acme",
                branding: &branding,
                language: Language::En,
                code: Some(code),
                link: None,
                valid_for_s: 300,
                template_variables: &[],
            };
            assert!(matches!(render(&content), Err(RenderError::Code)), "{code:?}");
        }
        for link in [
            "javascript:alert(1)",
            "data:text/html,x",
            "/login/link",
            "https://a.example/\r\nx",
            "http://a b/",
        ] {
            assert!(!is_mailable_link(link), "{link:?}");
        }
        for link in [LINK, "myapp://login/callback?link_token=x_l"] {
            assert!(is_mailable_link(link), "{link:?}");
        }
    }

    #[test]
    fn a_mail_is_written_in_the_language_of_its_reader() {
        let mail = mail_with(|c| c.language = Language::De).unwrap();
        assert_eq!(mail.subject, "482913 ist Ihr Anmeldecode für Acme");
        assert!(mail.text.starts_with("Guten Tag, hier ist Ihr Anmeldecode für Acme:"), "{}", mail.text);
        assert!(mail.html.contains("lang=\"de\"") && mail.html.contains("5 Minuten"), "{}", mail.html);
        let mail = mail_with(|c| (c.language, c.kind) = (Language::Es, MailKind::SignUp)).unwrap();
        assert_eq!(mail.subject, "482913 es tu código para registrarte en Acme");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("5 minutos") && !part.contains("Expires"), "{part}");
        }
    }

    #[test]
    fn the_mail_loads_nothing_and_runs_nothing() {
        let mail = mail_with(|_| ()).unwrap();
        for word in ["<img", "<script", "<link", "src=", "url(", "@import"] {
            assert!(!mail.html.contains(word), "{word}");
        }
    }

    #[test]
    fn durations_are_said_in_words_and_never_too_long() {
        for (duration_s, words) in [
            (-5, "1 second"),
            (45, "45 seconds"),
            (60, "1 minute"),
            (119, "1 minute"),
            (300, "5 minutes"),
            (3599, "59 minutes"),
            (3600, "1 hour"),
            (5400, "1 hour and 30 minutes"),
            (7260, "2 hours and 1 minute"),
        ] {
            assert_eq!(in_words(&locales::texts(Language::En).email, duration_s), words, "{duration_s}");
        }
    }

    #[test]
    fn button_text_contrasts_with_any_brand_colour() {
        for (color, text) in
            [("#000000", "#ffffff"), ("#ffffff", "#000000"), ("#4F46E5", "#ffffff"), ("#ffd400", "#000000")]
        {
            let accent = Accent::new(color);
            assert_eq!((accent.background.as_str(), accent.text), (color.to_lowercase().as_str(), text));
        }
        for broken in ["", "red", "#fff", "#12345g", "#1234567", "#ffffff;x"] {
            assert_eq!(Accent::new(broken).background, DEFAULT_ACCENT, "{broken}");
        }
    }

    #[test]
    fn kinds_read_back_what_they_write() {
        for kind in [MailKind::SignIn, MailKind::SignUp, MailKind::Invitation] {
            assert_eq!(MailKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(MailKind::parse("other"), None);
    }
}
