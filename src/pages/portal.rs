//! Where links to an organization's admin portal lead. The portal itself is not emulated; the page says what it would offer.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::views;
use crate::domain::organization::Feature;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::render::{self, page};
use crate::http::texts;
use crate::service::portal_links;

/// `GET /magicLink/{id}`: uses the link up, as Scalekit's do.
pub async fn open(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    match portal_links::open(&context, &id).await {
        Ok(Some(portal)) => {
            let view = views::Portal {
                layout: render::layout(&context, texts::TITLE_PORTAL),
                organization: portal.organization,
                features: portal.features.into_iter().map(name).collect(),
            };
            page(StatusCode::OK, &view)
        }
        Ok(None) => {
            let (status, heading) = (StatusCode::GONE, texts::PORTAL_LINK_EXPIRED);
            let problem = Problem::new(status, "link_expired", heading, texts::PORTAL_LINK_EXPIRED_TEXT);
            problem.page(&request)
        }
        Err(failure) => Problem::failure(&failure).page(&request),
    }
}

fn name(feature: Feature) -> &'static str {
    match feature {
        Feature::Sso => texts::FEATURE_SSO,
        Feature::DirSync => texts::FEATURE_DIRECTORY_SYNC,
        Feature::DomainVerification => texts::FEATURE_DOMAIN_VERIFICATION,
        Feature::SessionPolicy => texts::FEATURE_SESSION_POLICY,
    }
}
