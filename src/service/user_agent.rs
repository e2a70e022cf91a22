//! What a `User-Agent` tells of a device (RFC 9110 §10.1.5). Nobody vouches for it.

use woothee::parser::Parser;

/// Names of browser and system; empty where they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAgent {
    pub browser: String,
    pub browser_version: String,
    pub os: String,
    pub os_version: String,
    /// `desktop`, `mobile`, `tablet` or `other`.
    pub device_type: &'static str,
}

/// What the parser says where it knows nothing.
const UNKNOWN: &str = "UNKNOWN";

impl UserAgent {
    /// Reads a `User-Agent`.
    pub fn parse(text: &str) -> Self {
        let Some(found) = Parser::new().parse(text) else {
            return Self { device_type: "other", ..Self::default() };
        };
        let known = |text: &str| if text == UNKNOWN { String::new() } else { text.to_owned() };
        Self {
            browser: known(found.name),
            browser_version: known(found.version),
            os: known(found.os),
            os_version: known(&found.os_version),
            device_type: device_type(found.category, found.os, text),
        }
    }
}

fn device_type(category: &str, os: &str, text: &str) -> &'static str {
    match category {
        "pc" => "desktop",
        "smartphone" | "mobilephone" => {
            // Tablets with Android leave this word out.
            let is_tablet = os == "iPad" || (os == "Android" && !text.contains("Mobile"));
            if is_tablet { "tablet" } else { "mobile" }
        }
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_devices_are_told_apart() {
        for (text, browser, os, device_type) in [
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
                "Chrome",
                "Mac OSX",
                "desktop",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
                "Firefox",
                "Linux",
                "desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari",
                "iPhone",
                "mobile",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari",
                "iPad",
                "tablet",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
                "Chrome",
                "Android",
                "mobile",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
                "Chrome",
                "Android",
                "tablet",
            ),
        ] {
            let found = UserAgent::parse(text);
            assert_eq!(
                (found.browser.as_str(), found.os.as_str(), found.device_type),
                (browser, os, device_type)
            );
            assert!(!found.browser_version.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_empty() {
        for text in ["", "curl/8.5.0", "\u{0}\u{ffff} nonsense (((", &"x".repeat(10_000)] {
            let found = UserAgent::parse(text);
            assert_eq!(found.device_type, "other", "{found:?}");
            assert_ne!(found.os, UNKNOWN);
        }
    }
}
