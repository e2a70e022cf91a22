//! The page that the link of an invitation opens. Opening it changes nothing, because email scanners open links too; the user
//! accepts by a button.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::login::checked;
use super::views;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::Form;
use crate::http::render::{self, FormsLead, page, page_with_forms};
use crate::http::texts;
use crate::http::{cookies, see_other};
use crate::service::invitations::{self, AcceptResult, INVITATION_PATH};

/// `GET /invite/{token}`.
pub async fn show(request: HttpRequest, Ctx(context): Ctx, token: web::Path<String>) -> HttpResponse {
    match invitations::preview(&context, &token).await {
        Ok(Some(offer)) => {
            let forms = match &offer.initiate_login_uri {
                Some(redirect_uri) => FormsLead::ToApplication { redirect_uri },
                None => FormsLead::Home,
            };
            let view = views::Invitation {
                layout: render::layout(&context, texts::TITLE_INVITATION),
                action: context.path(&format!("{INVITATION_PATH}{token}")),
                organization: offer.organization.clone(),
                email: offer.email.clone(),
                inviter: offer.inviter_email.clone(),
            };
            page_with_forms(StatusCode::OK, &view, forms)
        }
        Ok(None) => expired(&request),
        Err(failure) => Problem::failure(&failure).page(&request),
    }
}

/// `POST /invite/{token}`: accepts it, and leads on to the application where that has said where sign-ins begin.
pub async fn accept(
    request: HttpRequest,
    Ctx(context): Ctx,
    token: web::Path<String>,
    Form(form): Form,
) -> HttpResponse {
    if let Err(response) = checked(&request, &context, form) {
        return response;
    }
    let browser = cookies::browser(&request, &context);
    let accepted = match invitations::accept(&context, &token, &browser).await {
        Ok(AcceptResult::Accepted(accepted)) => accepted,
        Ok(AcceptResult::Expired) => return expired(&request),
        Ok(AcceptResult::Denied(message)) => {
            let heading = texts::TITLE_DENIED;
            return Problem::new(StatusCode::FORBIDDEN, "access_denied", heading, message).page(&request);
        }
        Err(failure) => return Problem::failure(&failure).page(&request),
    };
    let mut response = match &accepted.offer.initiate_login_uri {
        Some(location) => see_other(location),
        None => {
            let layout = render::layout(&context, texts::TITLE_JOINED);
            page(StatusCode::OK, &views::Joined { layout, organization: accepted.offer.organization })
        }
    };
    let _ = response.add_cookie(&cookies::session_cookie(&context, accepted.session_cookie));
    response
}

fn expired(request: &HttpRequest) -> HttpResponse {
    let text = texts::INVITATION_EXPIRED_TEXT;
    Problem::new(StatusCode::GONE, "link_expired", texts::TITLE_INVITATION_EXPIRED, text).page(request)
}
