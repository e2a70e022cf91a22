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
use crate::http::{cookies, see_other};
use crate::locales::{self, fill};
use crate::runtime::Context;
use crate::service::invitations::{self, AcceptResult, INVITATION_PATH};

/// `GET /invite/{token}`.
pub async fn show(request: HttpRequest, Ctx(context): Ctx, token: web::Path<String>) -> HttpResponse {
    match invitations::preview(&context, &token).await {
        Ok(Some(offer)) => {
            let forms = match &offer.initiate_login_uri {
                Some(redirect_uri) => FormsLead::ToApplication { redirect_uri },
                None => FormsLead::Home,
            };
            let language = render::language(&context, &request, None);
            let texts = &locales::texts(language).pages;
            let names = [("organization", offer.organization.as_str()), ("email", offer.email.as_str())];
            let view = views::Invitation {
                layout: render::user_layout(&context, language, None, fill(&texts.title_join, &names)),
                action: context.path(&format!("{INVITATION_PATH}{token}")),
                invited: match &offer.inviter_email {
                    Some(inviter) => {
                        fill(&texts.invited_by, &[names[0], names[1], ("inviter", inviter.as_str())])
                    }
                    None => fill(&texts.invited, &names),
                },
            };
            page_with_forms(StatusCode::OK, &view, forms)
        }
        Ok(None) => expired(&context, &request),
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
        Ok(AcceptResult::Expired) => return expired(&context, &request),
        Ok(AcceptResult::Denied(message)) => {
            let language = render::language(&context, &request, None);
            let heading = &locales::texts(language).pages.title_denied;
            let problem = Problem::new(StatusCode::FORBIDDEN, "access_denied", heading, message);
            return problem.in_language(language).page(&request);
        }
        Err(failure) => return Problem::failure(&failure).page(&request),
    };
    let mut response = match &accepted.offer.initiate_login_uri {
        Some(location) => see_other(location),
        None => {
            let language = render::language(&context, &request, None);
            let texts = &locales::texts(language).pages;
            let layout = render::user_layout(&context, language, None, texts.title_joined.as_str());
            let text = fill(&texts.joined_text, &[("organization", accepted.offer.organization.as_str())]);
            page(StatusCode::OK, &views::Joined { layout, text })
        }
    };
    let _ = response.add_cookie(&cookies::session_cookie(&context, accepted.session_cookie));
    response
}

fn expired(context: &Context, request: &HttpRequest) -> HttpResponse {
    let language = render::language(context, request, None);
    let texts = &locales::texts(language).pages;
    let (heading, text) = (&texts.title_invitation_expired, &texts.invitation_expired_text);
    Problem::new(StatusCode::GONE, "link_expired", heading, text).in_language(language).page(request)
}
