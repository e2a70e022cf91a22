//! Sign-ins that end by one click: the server does itself what a user would, by the code or link of the email.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};

use super::steps::Steps;
use super::{EMAIL, STRANGER, request_form};
use crate::dashboard::blocks::{Block, hidden};
use crate::dashboard::error_page;
use crate::domain::authorization::Parameters;
use crate::http::{cookies, see_other};
use crate::pages::login::{enter_code, page_url};
use crate::runtime::Context;
use crate::service::authorize::{AuthorizeError, Authorized, authorize};
use crate::service::inbox::{self, InboxFilter, InboxMessage};
use crate::service::passwordless::{self, PasswordlessError};
use crate::service::sessions::Browser;

/// How a sign-in ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    SignedIn,
    NotSignedIn,
    WrongCode,
    Expired,
    OtherBrowser,
    Denied,
}

/// Those that applications meet most: the button, and what its click does.
const FAILURES: [(Ending, &str, &str); 5] = [
    (
        Ending::NotSignedIn,
        "Try: not signed in",
        "The application asks with prompt=none, and gets the error login_required at once: no page is shown.",
    ),
    (
        Ending::WrongCode,
        "Try: wrong code",
        "A wrong code is entered for you. The page says how many attempts are left; the right code still works.",
    ),
    (Ending::Expired, "Try: expired", "The code is entered after it has expired. The page offers a new one."),
    (
        Ending::OtherBrowser,
        "Try: other browser",
        "The link of the email is opened in another browser, where it is refused.",
    ),
    (
        Ending::Denied,
        "Try: denied",
        "The right code is entered. The application gets the error access_denied instead of a code.",
    ),
];

/// Where a setting is changed: the page's name and its path.
type Setting = (&'static str, &'static str);

const METHOD: Setting = ("Sign-in method", "/dashboard/methods");
const FAULTS: Setting = ("Faults", "/dashboard/faults");

impl Ending {
    /// The ending that a form names.
    pub fn parse(text: &str) -> Option<Self> {
        let failures = FAILURES.into_iter().map(|(ending, ..)| ending);
        [Self::SignedIn].into_iter().chain(failures).find(|ending| ending.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::NotSignedIn => "not_signed_in",
            Self::WrongCode => "wrong_code",
            Self::Expired => "expired",
            Self::OtherBrowser => "other_browser",
            Self::Denied => "denied",
        }
    }

    /// Who signs in. Wrong codes are counted by address, and those are not to keep others from signing in.
    fn email(self) -> String {
        let tagged = |tag: &str| EMAIL.replace('@', &format!("+{tag}@"));
        match self {
            Self::SignedIn | Self::OtherBrowser => EMAIL.to_owned(),
            Self::NotSignedIn => STRANGER.to_owned(),
            Self::WrongCode => tagged("wrong-code"),
            Self::Expired => tagged("vb-expired"),
            Self::Denied => tagged("vb-denied"),
        }
    }

    fn prompt(self) -> &'static str {
        if self == Self::NotSignedIn { "none" } else { "login" }
    }

    /// Why it cannot be brought about here, and where that is changed.
    fn obstacle(self, context: &Context) -> Option<(&'static str, Setting)> {
        let settings = &context.environment.passwordless;
        match self {
            Self::WrongCode if !settings.passwordless_type.has_code() => {
                Some(("Emails have no code here.", METHOD))
            }
            Self::OtherBrowser if !settings.passwordless_type.has_link() => {
                Some(("Emails have no link here.", METHOD))
            }
            Self::OtherBrowser if !settings.enforce_same_browser_origin => {
                Some(("Links work in every browser here: same-browser enforcement is off.", METHOD))
            }
            Self::Expired | Self::Denied if !context.environment.fault_addresses => {
                Some(("This needs the addresses that cause outcomes, which are switched off here.", FAULTS))
            }
            _ => None,
        }
    }
}

/// A button for a sign-in that succeeds.
pub fn success(context: &Context, client_id: &str) -> Block {
    button(context, client_id, Ending::SignedIn, "Sign in at once")
}

/// A button for each failure.
pub fn failures(context: &Context, client_id: &str) -> Vec<Block> {
    let blocks = FAILURES.into_iter().flat_map(|(ending, name, text)| {
        let mut blocks = vec![Block::Text(text.to_owned())];
        match ending.obstacle(context) {
            None => blocks.push(button(context, client_id, ending, name)),
            Some((why, (setting, path))) => {
                blocks.push(Block::Text(why.to_owned()));
                blocks.push(Block::Links(vec![(setting.to_owned(), context.path(path))]));
            }
        }
        blocks
    });
    blocks.collect()
}

fn button(context: &Context, client_id: &str, ending: Ending, name: &str) -> Block {
    let mut form = request_form(context, name, client_id, &ending.email(), ending.prompt());
    form.fields.push(hidden("ending", ending.as_str()));
    Block::Form(form)
}

/// Begins the sign-in in this browser, and ends it. Where it cannot be ended, the browser goes where it would have gone: to
/// the sign-in page, or to the page that says what is wrong with the request.
pub async fn bring_about(
    ending: Ending,
    request: &HttpRequest,
    context: &Context,
    steps: &Steps<'_>,
) -> Result<HttpResponse, actix_web::Error> {
    let pairs = steps.parameters().into_iter().map(|(name, value)| (name.to_owned(), value));
    let params = Parameters::new(pairs.collect());
    let browser = cookies::browser(request, context);
    match authorize(context, &params, &browser).await {
        Ok(Authorized::ShowPages { auth_request_id, new_browser_cookie }) => {
            let browser_cookie = new_browser_cookie.clone().or_else(|| browser.browser_cookie.clone());
            let browser = Browser { browser_cookie, ..browser };
            let login_hint = &steps.attempt.request.login_hint;
            let mut response =
                end(ending, request, context, &browser, (&auth_request_id, login_hint)).await?;
            if let Some(value) = new_browser_cookie {
                let _ = response.add_cookie(&cookies::browser_cookie(context, value));
            }
            Ok(response)
        }
        Ok(Authorized::Redirect { location } | Authorized::Denied { location, .. }) => {
            Ok(see_other(&location))
        }
        Err(AuthorizeError::Page(_)) => Ok(see_other(&steps.authorize_url())),
        Err(AuthorizeError::Failure(failure)) => Err(error_page(request, failure.into())),
    }
}

async fn end(
    ending: Ending,
    request: &HttpRequest,
    context: &Context,
    browser: &Browser,
    (id, login_hint): (&str, &str),
) -> Result<HttpResponse, actix_web::Error> {
    let email = match mailed(context, browser, id, login_hint).await {
        Ok(email) => email,
        Err(PasswordlessError::Failure(failure)) => return Err(error_page(request, failure.into())),
        // Emails are limited; the form of the page says so.
        Err(_) => None,
    };
    let Some(InboxMessage { id: message_id, code, link, .. }) = email else {
        return Ok(see_other(&page_url(context, id)));
    };
    Ok(match (ending, code, link) {
        (Ending::OtherBrowser, _, Some(_)) => {
            let path = format!("/dashboard/inbox/{message_id}/other-browser");
            see_other(&context.public_url.join(&path))
        }
        (Ending::WrongCode, Some(code), _) => {
            enter_code(request, context, browser, id, &other_than(&code)).await
        }
        (Ending::SignedIn | Ending::Expired | Ending::Denied, Some(code), _) => {
            enter_code(request, context, browser, id, &code).await
        }
        (Ending::SignedIn | Ending::Expired | Ending::Denied, None, Some(link)) => see_other(&link),
        _ => see_other(&page_url(context, id)),
    })
}

/// The email of a sign-in. Where a login hint only fills in the form, it is sent now.
async fn mailed(
    context: &Context,
    browser: &Browser,
    id: &str,
    address: &str,
) -> Result<Option<InboxMessage>, PasswordlessError> {
    let auth_request = passwordless::request_of_browser(context, browser, id).await?;
    if auth_request.credentials().is_none() {
        passwordless::send(context, browser, id, address).await?;
    }
    let filter = InboxFilter { auth_request_id: Some(id.to_owned()), limit: 1, ..InboxFilter::default() };
    Ok(inbox::messages(context, &filter, Duration::ZERO).await?.into_iter().next())
}

/// A code of the same length, wrong in every digit.
fn other_than(code: &str) -> String {
    code.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
}
