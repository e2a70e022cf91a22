//! Mail: what it says ([`render`]), how it leaves ([`smtp`]), and what is in one that came ([`received`]).
//!
//! Nothing here touches the database. The outbox renders an email, stores it, hands it to
//! [`smtp::SmtpMailer::deliver`] and uses [`DeliveryError`] and [`retry_delay_ms`] to decide what happens next.

pub mod invitation;
pub mod received;
mod render;
pub mod smtp;

pub use invitation::{InvitationContent, render_invitation};
pub use render::{MailContent, MailKind, RenderError, RenderedMail, TEMPLATE_VARIABLES, render};
pub use smtp::{DeliveryError, Encryption, Envelope, SmtpMailer, SmtpSettings, SmtpSetupError, source};

const FIRST_RETRY_DELAY_MS: i64 = 1_000;
const LONGEST_RETRY_DELAY_MS: i64 = 300_000;

/// Pause before the next attempt, in milliseconds, after `attempt` attempts have failed: 1 s, 2 s, 4 s and so on,
/// never more than 5 minutes.
pub fn retry_delay_ms(attempt: u32) -> i64 {
    // Nine doublings already exceed the longest delay; more would only overflow.
    let doublings = attempt.saturating_sub(1).min(9);
    (FIRST_RETRY_DELAY_MS << doublings).min(LONGEST_RETRY_DELAY_MS)
}

/// `text` on one line: control characters and runs of white space become one space, so that no name can start a
/// header or a line of its own.
fn single_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_to_five_minutes() {
        let delays_ms: Vec<i64> = (0..=12).map(retry_delay_ms).collect();
        assert_eq!(delays_ms[..5], [1_000, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(delays_ms[9..], [256_000, 300_000, 300_000, 300_000]);
        assert_eq!(retry_delay_ms(u32::MAX), 300_000);
        assert!(delays_ms.is_sorted());
    }

    #[test]
    fn names_stay_on_one_line() {
        assert_eq!(
            single_line("  Acme\r\nBcc: eve@example.com\u{2028}\t\u{0} Ltd "),
            "Acme Bcc: eve@example.com Ltd"
        );
        assert_eq!(single_line("\r\n"), "");
    }
}
