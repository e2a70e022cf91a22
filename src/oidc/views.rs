//! What the pages of sign-out show.

use askama::Template;

use crate::http::texts;
use crate::http::views::{Layout, ReturnLink};

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
    pub way_back: Option<ReturnLink>,
}
