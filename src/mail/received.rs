//! What is in an email that another program sent: its parts, its links, and the code that it may carry.

use std::iter::once;

use mail_parser::{MessageParser, PartType};
use url::Url;

use super::single_line;

/// Bytes kept of a text or HTML part. The source has all of it.
const MAX_PART_BYTES: usize = 256 << 10;

/// Links looked for in one email.
const MAX_LINKS: usize = 100;

/// An email, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The `From` header; `None` where it names nobody.
    pub from: Option<String>,
    pub subject: String,
    /// The plain part, or what the HTML part says without its markup.
    pub text: String,
    /// Empty: there is no HTML part.
    pub html: String,
    pub code: Option<String>,
    pub links: Vec<String>,
}

/// Reads an email. What is none is the text of one without headers.
pub fn parse(source: &[u8]) -> ReceivedMail {
    let mut mail = match MessageParser::default().parse(source) {
        Some(message) => {
            let html = message.html_part(0).and_then(|part| match &part.body {
                PartType::Html(html) => Some(html.as_ref()),
                _ => None,
            });
            let sender = message.from().and_then(|from| from.first());
            ReceivedMail {
                from: sender.and_then(|sender| {
                    let address = single_line(sender.address()?);
                    let name = sender.name().map(single_line).filter(|name| !name.is_empty());
                    Some(name.map_or_else(|| address.clone(), |name| format!("{name} <{address}>")))
                }),
                subject: single_line(message.subject().unwrap_or_default()),
                text: kept(&message.body_text(0).unwrap_or_default()),
                html: kept(html.unwrap_or_default()),
                ..ReceivedMail::default()
            }
        }
        None => ReceivedMail { text: kept(&String::from_utf8_lossy(source)), ..ReceivedMail::default() },
    };
    mail.code = find_code(&mail.subject, &mail.text);
    mail.links = links(&mail.text, &mail.html);
    mail
}

/// The headers of an email, in order, each on one line.
pub fn headers(source: &[u8]) -> Vec<(String, String)> {
    let parsed = MessageParser::default().parse_headers(source);
    parsed.map_or_else(Vec::new, |message| {
        message.headers_raw().map(|(name, value)| (single_line(name), single_line(value))).collect()
    })
}

/// Text that both databases take, of a length that lists can carry.
fn kept(text: &str) -> String {
    // PostgreSQL has no NUL in texts.
    text[..text.floor_char_boundary(MAX_PART_BYTES)].replace('\0', "")
}

/// The code that an email carries: four to eight digits by themselves, on a line that speaks of a code or on the next, or
/// else the first six digits by themselves.
pub fn find_code(subject: &str, text: &str) -> Option<String> {
    let mut six_digits = None;
    let mut speaks_of_code = false;
    for line in once(subject).chain(text.lines()).filter(|line| !line.trim().is_empty()) {
        let spoke_of_code =
            std::mem::replace(&mut speaks_of_code, line.to_ascii_lowercase().contains("code"));
        let words = line.split_whitespace().map(|word| word.trim_matches(is_around_word));
        for digits in words.filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())) {
            if (spoke_of_code || speaks_of_code) && (4..=8).contains(&digits.len()) {
                return Some(digits.to_owned());
            }
            if six_digits.is_none() && digits.len() == 6 {
                six_digits = Some(digits.to_owned());
            }
        }
    }
    six_digits
}

/// What stands around a word without being part of it. Signs of amounts and numbers are not among them: `#123456` is an
/// order, no code.
fn is_around_word(c: char) -> bool {
    ".,:;!?()[]<>{}\"'*_`„“”»«‘’".contains(c)
}

/// All web addresses of an email, each once: those of its text first, then where the links of its HTML lead.
pub fn links(text: &str, html: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    for link in in_text(text).chain(in_html(html)) {
        if found.len() < MAX_LINKS && !found.contains(&link) && is_web_address(&link) {
            found.push(link);
        }
    }
    found
}

fn is_web_address(link: &str) -> bool {
    Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn in_text(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| c.is_whitespace() || "<>\"".contains(c));
    words.filter_map(|word| {
        let link = &word[word.find("http://").or_else(|| word.find("https://"))?..];
        // Punctuation of the sentence; a closing bracket is the address's own where it was opened in it.
        let link = link.trim_end_matches(|c| ".,;:!?'*".contains(c));
        let link = if link.contains('(') { link } else { link.trim_end_matches([')', ']', '.']) };
        Some(link.to_owned())
    })
}

/// The values of `href`, wherever they stand: a list for users needs no more of HTML than that.
fn in_html(html: &str) -> impl Iterator<Item = String> {
    html.match_indices(['h', 'H']).filter_map(|(at, _)| {
        let name = html.get(at..at + 4)?;
        let value = html[at + 4..].trim_start().strip_prefix('=').map(str::trim_start)?;
        if !name.eq_ignore_ascii_case("href") {
            return None;
        }
        let value = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split(quote).next()?,
            _ => value.split(|c: char| c.is_whitespace() || c == '>').next()?,
        };
        Some(value.trim().replace("&amp;", "&").replace("&#38;", "&").replace("&quot;", "\""))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MULTIPART: &str = "From: =?utf-8?Q?B=C3=BCro?= <hi@app.example>\r\nTo: jane@example.com\r\n\
        Subject: =?utf-8?B?V2lsbGtvbW1lbiDwn5GL?=\r\nX-Long: one\r\n two\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Gr=FC=DFe! Your code: 482913.\r\nhttps://app.example/verify?a=1&b=2.\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
        <p>Hi <a HREF = 'https://app.example/verify?a=1&amp;b=2'>Verify</a> <a href=\"mailto:x@y.z\">m</a></p>\r\n--b--\r\n";

    #[test]
    fn parts_sender_code_and_links_are_found() {
        let mail = parse(MULTIPART.as_bytes());
        assert_eq!(mail.from.as_deref(), Some("Büro <hi@app.example>"));
        assert_eq!(mail.subject, "Willkommen 👋");
        assert!(mail.text.starts_with("Grüße! Your code: 482913."), "{}", mail.text);
        assert!(mail.html.starts_with("<p>Hi "), "{}", mail.html);
        assert_eq!(mail.code.as_deref(), Some("482913"));
        assert_eq!(mail.links, ["https://app.example/verify?a=1&b=2"]);
        let headers = headers(MULTIPART.as_bytes());
        assert!(headers.contains(&("X-Long".to_owned(), "one two".to_owned())), "{headers:?}");
    }

    #[test]
    fn one_part_is_enough() {
        let html = parse(b"Content-Type: text/html\r\n\r\n<p>Hello <b>Jane</b></p>");
        assert!(html.text.contains("Hello Jane") && html.html.contains("<b>"), "{html:?}");
        let text = parse(b"Subject: x\n\nHello");
        assert_eq!((text.subject.as_str(), text.text.as_str(), text.html.as_str()), ("x", "Hello", ""));
        assert_eq!(text.from, None);
    }

    #[test]
    fn a_code_stands_by_itself() {
        for (subject, text, code) in [
            ("482913 is your code", "", Some("482913")),
            ("Sign in", "Your code is:\n\n  7306\n", Some("7306")),
            ("Sign in", "Order #123456, due 2026, call 555-123456.", None),
            ("Sign in", "Here you are: *123456*", Some("123456")),
            ("Sign in", "https://app.example/123456", None),
            ("Since 2019", "", None),
            ("", "Ordered: 654321\nYour code: 123456", Some("123456")),
        ] {
            assert_eq!(find_code(subject, text).as_deref(), code, "{subject} {text}");
        }
    }

    #[test]
    fn addresses_end_before_the_punctuation_of_their_sentence() {
        let text = "See (https://a.example/x), <http://b.example/y> or https://c.example/z_(1). \"https://a.example/x\" http://";
        assert_eq!(links(text, ""), ["https://a.example/x", "http://b.example/y", "https://c.example/z_(1)"]);
        assert_eq!(
            links("", "<a href=https://d.example/q>x</a><a href='javascript:x'>"),
            ["https://d.example/q"]
        );
    }

    #[test]
    fn long_parts_are_cut_and_nothing_has_a_nul() {
        let long = format!("Subject: x\r\n\r\n\0{}", "ü".repeat(MAX_PART_BYTES));
        let mail = parse(long.as_bytes());
        assert!(mail.text.len() <= MAX_PART_BYTES && mail.text.starts_with('ü'), "{}", mail.text.len());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(source in proptest::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,60}", html in "(<a |href|=|'|\"|https://|H|\u{fc}|&amp;){0,12}") {
            let mail = parse(&source);
            prop_assert!(!mail.text.contains('\0') && !mail.subject.contains('\n'));
            headers(&source);
            links(&text, &html);
            find_code(&text, &html);
        }
    }
}
