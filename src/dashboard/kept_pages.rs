//! Pages that answer a form: refused input with its mistakes, or a result such as a minted token. The form leads to such a
//! page by redirect (POST, 303, GET), so that a reload shows it again instead of sending the form again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{FromRequest as _, HttpResponse, web};
use bytes::Bytes;

use super::{DashboardContext, guard, redirect_with_flash, see_other};
use crate::crypto::server_secret::constant_time_eq;
use crate::domain::entropy::secret_text;
use crate::http::context::Ctx;

/// Pages kept in this process; the oldest goes first.
const MAX_PAGES: usize = 32;

/// Largest page kept, in bytes.
const MAX_PAGE_BYTES: usize = 256 * 1024;

/// The pages that this process keeps.
#[derive(Default)]
pub struct KeptPages(Mutex<VecDeque<(String, KeptPage)>>);

#[derive(Clone)]
struct KeptPage {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl KeptPages {
    fn add(&self, key: String, page: KeptPage) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.truncate(MAX_PAGES - 1);
        pages.push_front((key, page));
    }

    fn get(&self, key: &str) -> Option<KeptPage> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().find(|(k, _)| constant_time_eq(k, key)).map(|(_, page)| page.clone())
    }
}

/// Keeps a page that answers a form of the dashboard in place, and leads to it. Only who may use the dashboard has pages
/// kept.
pub async fn keep<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_post = *request.method() == Method::POST;
    let response = next.call(request).await?.map_into_boxed_body();
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
    if !is_post || !is_page || response.status() == StatusCode::FORBIDDEN {
        return Ok(response);
    }
    let (request, answered) = response.into_parts();
    let pages = request.app_data::<web::Data<KeptPages>>().cloned();
    let context = Ctx::from_request(&request, &mut Payload::None).await;
    let (Some(pages), Ok(Ctx(context))) = (pages, context) else {
        return Ok(ServiceResponse::new(request, answered));
    };
    if guard::control(&request, &context).is_err() {
        return Ok(ServiceResponse::new(request, answered));
    }
    let (head, body) = answered.into_parts();
    let Ok(Ok(body)) = to_bytes_limited(body, MAX_PAGE_BYTES).await else {
        let text = "The result is too large to show.";
        return Ok(ServiceResponse::new(request, HttpResponse::PayloadTooLarge().body(text)));
    };
    let key = secret_text(&*context.runtime.server.entropy);
    let location = context.public_url.join(&format!("/dashboard/result/{key}"));
    pages.add(key, KeptPage { status: head.status(), headers: head.headers().clone(), body });
    Ok(ServiceResponse::new(request, see_other(&location)))
}

/// `GET /dashboard/result/{key}`
pub async fn show(
    DashboardContext(context): DashboardContext,
    pages: web::Data<KeptPages>,
    key: web::Path<String>,
) -> HttpResponse {
    let Some(page) = pages.get(&key) else { return redirect_with_flash(&context, "/dashboard", "not_kept") };
    let mut response = HttpResponse::build(page.status).body(page.body);
    *response.headers_mut() = page.headers;
    response
}
