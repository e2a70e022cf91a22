//! URI schemes that no application owns (RFC 3986 §3.1): browsers and systems do something of their own with them.

/// Schemes that run code in a browser, show what somebody else wrote as if it were a page's own, or open files, browser
/// internals and system panels.
const DANGEROUS: &[&str] = &[
    "about",
    "blob",
    "chrome",
    "chrome-untrusted",
    "cid",
    "data",
    "devtools",
    "edge",
    "file",
    "filesystem",
    "hcp",
    "help",
    "intent",
    "its",
    "jar",
    "javascript",
    "jscript",
    "livescript",
    "mhtml",
    "mid",
    "mk",
    "mocha",
    "opera",
    "res",
    "resource",
    "search",
    "search-ms",
    "shell",
    "vbs",
    "vbscript",
    "view-source",
    "wyciwyg",
    "x-javascript",
];

/// Schemes of other protocols and of programs that every system has: no application owns them.
const OF_SYSTEM: &[&str] = &[
    "afp",
    "callto",
    "dav",
    "facetime",
    "facetime-audio",
    "feed",
    "ftp",
    "ftps",
    "geo",
    "git",
    "gopher",
    "imap",
    "irc",
    "ircs",
    "itms",
    "itms-apps",
    "ldap",
    "ldaps",
    "magnet",
    "mailto",
    "maps",
    "market",
    "mms",
    "news",
    "nfs",
    "nntp",
    "pop",
    "rlogin",
    "rtmp",
    "rtsp",
    "sftp",
    "sip",
    "sips",
    "sms",
    "smsto",
    "smb",
    "ssh",
    "svn",
    "tel",
    "telnet",
    "tn3270",
    "urn",
    "webcal",
    "webcals",
    "ws",
    "wss",
    "xmpp",
];

/// Windows opens its panels and tools by `ms-…`, but for the ones that stand for applications.
fn is_windows_panel(scheme: &str) -> bool {
    scheme.starts_with("ms-") && !["ms-app", "ms-appx", "ms-appx-web"].contains(&scheme)
}

/// May nobody be sent there, by a redirect or by a link in an email? `scheme` is in lower case, as `Url` has it.
pub fn is_dangerous(scheme: &str) -> bool {
    DANGEROUS.contains(&scheme) || is_windows_panel(scheme)
}

/// Would a browser or the system take the answer, instead of an application?
pub fn is_of_system(scheme: &str) -> bool {
    OF_SYSTEM.contains(&scheme)
}
