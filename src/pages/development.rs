//! What pages show in development, so that nobody has to look elsewhere. The pages hold neither codes nor accounts
//! themselves: a script reads them from the control API, which shows them to everybody here.

use super::views::DevBar;
use crate::domain::auth_request::AuthRequest;
use crate::domain::email::EmailAddress;
use crate::domain::settings::Mode;
use crate::http::path_segment;
use crate::runtime::Context;
use crate::service::passwordless::{self, PasswordlessError};
use crate::service::sessions::Browser;
use crate::service::sign_in::SignedIn;

/// Does the control API show everything to everybody? A demonstration has strangers among them.
fn is_open(context: &Context) -> bool {
    context.environment.mode == Mode::Development
        && !context.environment.demo
        && context.runtime.server.control.is_open()
}

/// Where the code of a sign-in is read.
pub fn dev_bar(context: &Context, auth_request: &AuthRequest) -> Option<DevBar> {
    let is_shown = context.environment.pages.dev_bar && is_open(context);
    let query = format!("auth_request_id={}&wait_ms=0", path_segment(&auth_request.id));
    is_shown.then(|| DevBar {
        message_url: context.path(&format!("/_emulator/v1/messages/latest?{query}")),
        inbox_url: context.path("/_emulator/inbox"),
    })
}

/// Where the first accounts are listed; isolated environments have those of some test alone.
pub fn accounts_url(context: &Context) -> Option<String> {
    let environment = &context.environment;
    let is_shown = environment.pages.account_picker && environment.name.is_none() && is_open(context);
    is_shown.then(|| context.path("/_emulator/v1/api/users?page_size=4"))
}

/// May an account be signed in at once, as the control API may for this application? In isolated environments, where no
/// accounts are shown, the helpers of tests do so.
pub fn signs_in_at_once(context: &Context, auth_request: &AuthRequest) -> bool {
    let client = context.environment.client(&auth_request.origin.authorization.client_id);
    let is_on = context.environment.pages.account_picker && is_open(context);
    is_on && client.is_some_and(|client| client.instant_sign_in)
}

/// Signs in the account that was picked on the page, or by a test's helper. `None`: it takes an email, as any other address does.
pub async fn sign_in_picked(
    context: &Context,
    browser: &Browser,
    id: &str,
    address: &str,
) -> Result<Option<SignedIn>, PasswordlessError> {
    let auth_request = passwordless::request_of_browser(context, browser, id).await?;
    if !signs_in_at_once(context, &auth_request) {
        return Ok(None);
    }
    let email = EmailAddress::parse(address).map_err(PasswordlessError::Email)?;
    passwordless::prove_without_mail(context, browser, id, &email).await.map(Some)
}
