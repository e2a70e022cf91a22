//! What each page shows. The templates hold the markup, `texts` the words.

use askama::Template;

use super::texts;

/// The frame around every page.
#[derive(Debug, Clone)]
pub struct Layout {
    pub title: String,
    /// What stands before every path of ours: the environment's prefix.
    pub base: String,
    pub brand_name: String,
    pub has_logo: bool,
    pub support_email: Option<String>,
    /// A quiet line that says this is no place for real people.
    pub notice: Option<String>,
    /// Say that this is a demonstration.
    pub demo: bool,
    /// A page of the dashboard, with its navigation.
    pub desk: Option<Desk>,
}

/// Where in the dashboard a page is.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Address of the current entry.
    pub current: &'static str,
    /// `None`: the default environment.
    pub environment: Option<String>,
    /// Addresses and names.
    pub entries: &'static [(&'static str, &'static str)],
}

/// Entries of the dashboard's navigation.
pub const DESK_ENTRIES: &[(&str, &str)] = &[
    ("/dashboard", "Home"),
    ("/_emulator/inbox", "Inbox"),
    ("/dashboard/methods", "Sign-in method"),
    ("/dashboard/applications", "Applications"),
    ("/dashboard/users", "Users"),
    ("/dashboard/organizations", "Organizations"),
    ("/dashboard/sessions", "Sessions"),
    ("/dashboard/flows", "Flows"),
    ("/dashboard/tokens", "Tokens"),
    ("/dashboard/clock", "Clock"),
    ("/dashboard/faults", "Faults"),
    ("/dashboard/environments", "Environments"),
    ("/dashboard/state", "State"),
];

/// The address form; with `sign_up`, of `prompt=create`.
#[derive(Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignIn {
    pub layout: Layout,
    pub action: String,
    pub email: String,
    pub error: Option<String>,
    pub app_name: String,
    pub sign_up: bool,
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
    /// Shown in a demonstration, which needs no mail.
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
    /// Shown in a demonstration, which needs no mail.
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

/// Asks before a session ends.
#[derive(Template)]
#[template(path = "pages/sign_out.html")]
pub struct SignOut {
    pub layout: Layout,
    pub action: String,
    /// The logout request, as it came.
    pub parameters: Vec<(String, String)>,
    /// Who is signed in here.
    pub email: String,
    /// The application that asked, where it said who it is.
    pub app_name: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/signed_out.html")]
pub struct SignedOut {
    pub layout: Layout,
    pub application: Option<ApplicationLink>,
}

/// The way back to an application.
#[derive(Debug, Clone)]
pub struct ApplicationLink {
    pub name: String,
    pub url: String,
}

#[derive(Template)]
#[template(path = "pages/error.html")]
pub struct Error {
    pub layout: Layout,
    pub status: u16,
    pub heading: String,
    pub message: String,
    /// Names and values, as the request brought them.
    pub details: Vec<(String, String)>,
    /// Text of several lines, some of them to copy.
    pub how_to: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/not_emulated.html")]
pub struct NotEmulated {
    pub layout: Layout,
    pub method: String,
    pub path: String,
    /// Where to read what is emulated.
    pub compatibility: String,
}

/// A mail in the list.
#[derive(Debug, Clone)]
pub struct InboxRow {
    pub id: String,
    pub to: String,
    pub subject: String,
    pub kind: String,
    pub code: Option<String>,
    pub link: Option<String>,
    pub test_user: bool,
    pub created_at: String,
    /// Why its delivery was given up.
    pub delivery_error: Option<String>,
}

impl InboxRow {
    /// Hours, minutes and seconds of the RFC 3339 time.
    pub fn clock_time(&self) -> &str {
        self.created_at.get(11..19).unwrap_or(&self.created_at)
    }
}

#[derive(Template)]
#[template(path = "pages/inbox_list.html")]
pub struct InboxList {
    pub layout: Layout,
    pub messages: Vec<InboxRow>,
    pub filter_to: String,
    /// What a test asks to wait for a mail.
    pub latest_url: String,
}

#[derive(Template)]
#[template(path = "pages/inbox_message.html")]
pub struct InboxMessage {
    pub layout: Layout,
    pub row: InboxRow,
    pub text: String,
    /// Address of the HTML part alone.
    pub html_url: String,
}

/// The configured colour as style sheet variables, in shades that stay readable in light and in dark mode.
///
/// `--on-brand` on `--brand` and `--brand-text` on page and card reach 4.5 to 1 (WCAG 2.2 §1.4.3);
/// `--brand-edge`, which draws the outline of what is filled with `--brand`, reaches 3 to 1 against the card
/// (§1.4.11). A colour that is not `#rrggbb` gives the default one.
pub fn brand_css(accent: &str) -> String {
    let colour = Rgb::parse(accent).unwrap_or(DEFAULT_ACCENT);
    // Dark mode lightens the fill before it looks for a text colour, or a dark brand would sink into the card.
    let light = shades(colour, INK, LIGHT_GROUND, WHITE);
    let dark = shades(colour.nearest(WHITE, |c| c.contrast(DARK_CARD) >= 3.0), WHITE, DARK_CARD, DARK_CARD);
    format!(":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

/// The variables for one colour scheme: `fill` is moved `toward` black or white only as far as readers need.
fn shades(fill: Rgb, toward: Rgb, ground: Rgb, card: Rgb) -> String {
    let brand = fill.nearest(toward, |c| c.contrast(c.text_on()) >= 4.5);
    let text = brand.nearest(toward, |c| c.contrast(ground) >= 4.5);
    let edge = if brand.contrast(card) >= 3.0 { brand } else { text };
    let (brand, on, text, edge) = (brand.css(), brand.text_on().css(), text.css(), edge.css());
    format!("--brand:{brand};--on-brand:{on};--brand-text:{text};--brand-edge:{edge}")
}

const DEFAULT_ACCENT: Rgb = Rgb(0x3f, 0x4a, 0x8a);
const WHITE: Rgb = Rgb(255, 255, 255);
const INK: Rgb = Rgb(0x12, 0x14, 0x1c);
/// The page behind the card in light mode, as `--ground` in `static/vestibule.css`.
const LIGHT_GROUND: Rgb = Rgb(0xf4, 0xf3, 0xef);
/// The card in dark mode, as `--card` in `static/vestibule.css`.
const DARK_CARD: Rgb = Rgb(0x1a, 0x1d, 0x27);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rgb(u8, u8, u8);

impl Rgb {
    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('#').filter(|h| h.len() == 6 && h.is_ascii())?;
        let part = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).ok();
        Some(Self(part(0)?, part(2)?, part(4)?))
    }

    fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        if a > b { a / b } else { b / a }
    }

    /// White or ink, whichever reads better on this colour.
    fn text_on(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(INK) { WHITE } else { INK }
    }

    /// This colour, mixed with `toward` just as much as `enough` asks for.
    fn nearest(self, toward: Self, enough: impl Fn(Self) -> bool) -> Self {
        (0..=20u8).map(|step| self.mix(toward, step)).find(|c| enough(*c)).unwrap_or(toward)
    }

    fn mix(self, other: Self, twentieths: u8) -> Self {
        let part = |a: u8, b: u8| {
            let (a, b, t) = (u16::from(a), u16::from(b), u16::from(twentieths));
            u8::try_from((a * (20 - t) + b * t) / 20).unwrap_or(u8::MAX)
        };
        Self(part(self.0, other.0), part(self.1, other.1), part(self.2, other.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            title: "T".into(),
            base: "/e/a".into(),
            demo: false,
            desk: None,
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
            sign_up: false,
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

    #[test]
    fn hostile_values_are_escaped() {
        for page in [sign_in("\"><script>x</script>"), code_page("<script>x</script>@y")] {
            assert!(!page.contains("<script>x"), "{page}");
        }
    }

    #[test]
    fn pages_hold_no_inline_script_or_style() {
        for page in [sign_in("a@b.io"), code_page("a@b.io")] {
            assert!(!page.contains("style=\"") && !page.contains(" onclick") && !page.contains("<style"));
        }
    }

    /// The value of a variable of `brand_css`: 0 for light mode, 1 for dark.
    fn variable(css: &str, name: &str, scheme: usize) -> Rgb {
        let (start, found) = css.match_indices(&format!("{name}:#")).nth(scheme).unwrap();
        let value = start + found.len() - 1;
        Rgb::parse(&css[value..value + 7]).unwrap()
    }

    #[test]
    fn any_accent_colour_stays_readable() {
        let steps = || (0..=255u8).step_by(15);
        let accents = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| Rgb(r, g, b))));
        for accent in accents {
            let css = brand_css(&accent.css());
            for (scheme, ground, card) in [(0, LIGHT_GROUND, WHITE), (1, DARK_CARD, DARK_CARD)] {
                let value = |name| variable(&css, name, scheme);
                assert!(value("--brand").contrast(value("--on-brand")) >= 4.5, "{accent:?}: {css}");
                assert!(value("--brand-text").contrast(ground) >= 4.5, "{accent:?}: {css}");
                assert!(value("--brand-edge").contrast(card) >= 3.0, "{accent:?}: {css}");
            }
        }
    }

    #[test]
    fn a_readable_accent_is_left_as_configured_and_nonsense_gives_the_default() {
        let navy = Rgb(0x3f, 0x4a, 0x8a);
        assert_eq!(variable(&brand_css("#3f4a8a"), "--brand", 0), navy);
        assert_eq!(variable(&brand_css("red;}body{display:none"), "--brand", 0), DEFAULT_ACCENT);
    }
}
