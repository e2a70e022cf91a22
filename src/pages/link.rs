//! The landing page of mailed links. Opening it changes nothing, because email scanners open links too; the
//! sign-in is a POST, sent by the page itself in the browser that started and by a click elsewhere.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::login::{checked, signed_in};
use super::sign_in_frame::SignInFrame;
use super::views;
use crate::domain::auth_request::{Closed, LinkOutcome};
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::{self, Form};
use crate::http::render::{self, FormsLead, page, page_with_forms};
use crate::http::{cookies, see_other};
use crate::locales;
use crate::runtime::Context;
use crate::service::passwordless::{self, LINK_PATH, LinkResult, PasswordlessError};

/// What is longer is no token of ours, and too much for an address.
const MAX_TOKEN_BYTES: usize = 200;

/// `GET /login/link`.
pub async fn landing(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let browser = cookies::browser(&request, &context);
    let Some(token) =
        params::query(&request).ok().and_then(|p| p.one("link_token").ok().flatten().map(str::to_owned))
    else {
        return link_expired_page(&context, &request);
    };
    match passwordless::preview_link(&context, &browser, &token).await {
        Ok(preview) if preview.outcome == LinkOutcome::Accepted => {
            let frame = SignInFrame::new(&context, &preview.request);
            let view = views::LinkLanding {
                layout: frame.layout(frame.texts.title_link.as_str()),
                action: context.path(LINK_PATH),
                link_token: token,
                auto: preview.same_browser,
                continue_to: frame.with_app(&frame.texts.continue_to),
            };
            let redirect_uri = &preview.request.origin.authorization.redirect_uri;
            page_with_forms(StatusCode::OK, &view, FormsLead::ToApplication { redirect_uri })
        }
        Ok(preview) => {
            let restart =
                preview.same_browser.then(|| context.path(&format!("/login/{}/restart", preview.request.id)));
            refused(SignInFrame::new(&context, &preview.request), preview.outcome, restart)
        }
        Err(PasswordlessError::Failure(failure)) => Problem::failure(&failure).page(&request),
        Err(_) => link_expired_page(&context, &request),
    }
}

/// `POST /login/link`: use the link.
pub async fn sign_in(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let params = match checked(&request, &context, form) {
        Ok(params) => params,
        Err(response) => return response,
    };
    let browser = cookies::browser(&request, &context);
    let token = params.one("link_token").ok().flatten().unwrap_or_default();
    match passwordless::verify_link(&context, &browser, token).await {
        Ok(LinkResult::SignedIn(done)) => signed_in(&context, done),
        Err(PasswordlessError::Failure(failure)) => Problem::failure(&failure).page(&request),
        // The landing page says what is wrong with the link, as it did or would have done before the form was sent.
        Ok(LinkResult::Refused(_)) | Err(_) => {
            let token = Some(token).filter(|token| token.len() <= MAX_TOKEN_BYTES).unwrap_or_default();
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("link_token", token)
                .finish();
            see_other(&context.public_url.join(&format!("{LINK_PATH}?{query}")))
        }
    }
}

/// A link that never was, or that a newer one replaced.
fn link_expired_page(context: &Context, request: &HttpRequest) -> HttpResponse {
    let language = render::language(context, request, None);
    let title = locales::texts(language).pages.title_link_expired.as_str();
    let layout = render::user_layout(context, language, None, title);
    page(StatusCode::GONE, &views::Expired { layout, restart_action: None, way_back: None })
}

fn refused(frame: SignInFrame<'_>, outcome: LinkOutcome, restart: Option<String>) -> HttpResponse {
    let texts = frame.texts;
    match outcome {
        LinkOutcome::WrongBrowser => {
            let layout = frame.layout(texts.title_wrong_browser.as_str());
            page(StatusCode::FORBIDDEN, &views::WrongBrowser { layout, way_back: frame.way_back() })
        }
        LinkOutcome::Closed(Closed::Completed) => {
            let layout = frame.layout(texts.title_done.as_str());
            let (text, way_back) = (texts.done_elsewhere.as_str(), frame.way_back());
            page(StatusCode::OK, &views::Done { layout, text, way_back })
        }
        LinkOutcome::Closed(Closed::TooManyAttempts) if restart.is_some() => {
            let layout = frame.layout(texts.title_too_many.as_str());
            let restart_action = restart.unwrap_or_default();
            page(StatusCode::TOO_MANY_REQUESTS, &views::TooManyAttempts { layout, restart_action })
        }
        LinkOutcome::Accepted | LinkOutcome::Expired | LinkOutcome::Closed(_) => {
            let layout = frame.layout(texts.title_link_expired.as_str());
            let way_back = frame.way_back();
            page(StatusCode::GONE, &views::Expired { layout, restart_action: restart, way_back })
        }
    }
}
