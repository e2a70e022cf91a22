//! The pages of one authentication request: the address form, the code form, and how it may end.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::development::{accounts_url, dev_bar, sign_in_picked, signs_in_at_once};
use super::form_error::{FormError, Said};
use super::sign_in_frame::SignInFrame;
use super::views::{self, OrganizationButton, OtherWay};
use crate::domain::auth_request::{AuthRequest, Closed, CodeOutcome, Credentials, Stage, typed_code};
use crate::domain::authorization::{Parameters, Prompt};
use crate::domain::clock::rfc3339;
use crate::domain::flow::About;
use crate::domain::organization_choice::Tie;
use crate::domain::settings::PasswordlessType;
use crate::domain::sign_in_event::{SignInEvent, SignInPage};
use crate::http::context::Ctx;
use crate::http::denied::denied_page;
use crate::http::errors::Problem;
use crate::http::params::{self, Form, ParamsError};
use crate::http::render::{self, FormsLead, page, page_with_forms};
use crate::http::{cookies, guard, path_segment, see_other};
use crate::locales::{self, PageTexts, fill};
use crate::runtime::{Context, current_request};
use crate::service::authorize::{self, named_address};
use crate::service::choose_organization::{self, ChoiceResult, Chosen, Offer};
use crate::service::flows;
use crate::service::passwordless::{self, CodeResult, PasswordlessError, app_name};
use crate::service::sessions::{Browser, live_session};
use crate::service::sign_in::SignedIn;

/// Seconds before the page offers to send again, matching the email limit's pace of two a minute.
const RESEND_AFTER_S: i64 = 30;

fn path_of(context: &Context, id: &str, rest: &str) -> String {
    context.path(&format!("/login/{id}{rest}"))
}

/// The page of a sign-in.
pub fn page_url(context: &Context, id: &str) -> String {
    url_of(context, id, "")
}

fn url_of(context: &Context, id: &str, rest: &str) -> String {
    context.public_url.join(&format!("/login/{}{rest}", path_segment(id)))
}

/// `GET /login/{id}`: what the request's state calls for.
pub async fn show(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let browser = cookies::browser(&request, &context);
    let auth_request = match passwordless::request_of_browser(&context, &browser, &id).await {
        Ok(found) => found,
        Err(PasswordlessError::Failure(failure)) => return Problem::failure(&failure).page(&request),
        Err(_) => return lost(&context, &request, &id).await,
    };
    let query = params::query(&request).unwrap_or_default();
    let asked_for = |account: &str| query.one("account") == Ok(Some(account));
    if auth_request.choosing().is_some() || asked_for("continue") {
        match choose_organization::offer(&context, &browser, &auth_request).await {
            Ok(Some(offer)) => return organization_page(&context, &auth_request, offer),
            Ok(None) => {}
            Err(failure) => return Problem::failure(&failure).page(&request),
        }
    }
    if auth_request.stage == Stage::AwaitingEmail
        && auth_request.origin.authorization.prompt == Prompt::SelectAccount
        && !asked_for("other")
    {
        match live_session(&context, &browser).await {
            Ok(Some((_, user))) => return choose_account(&context, &auth_request, &user.email),
            Ok(None) => {}
            Err(failure) => return Problem::failure(&failure).page(&request),
        }
    }
    let said = match FormError::of_query(&query) {
        Some(error) => {
            let texts = SignInFrame::new(&context, &auth_request).texts;
            error.said(&context, &auth_request, texts, cookies::typed_email(&request, &context))
        }
        None => {
            let is_sent_again = matches!(query.one("sent"), Ok(Some("again")));
            let resent = auth_request.credentials().filter(|_| is_sent_again);
            let texts = SignInFrame::new(&context, &auth_request).texts;
            let notice = resent.map(|sent| notice_of_resend(texts, sent.passwordless_type).to_owned());
            Said { notice, ..Said::default() }
        }
    };
    show_state(&context, &auth_request, said)
}

fn choose_account(context: &Context, auth_request: &AuthRequest, email: &str) -> HttpResponse {
    let frame = SignInFrame::new(context, auth_request);
    let view = views::ChooseAccount {
        layout: frame.layout(frame.texts.title_choose_account.as_str()),
        action: path_of(context, &auth_request.id, "/account"),
        continue_as: fill(&frame.texts.continue_as, &[("email", email)]),
        continue_to: frame.with_app(&frame.texts.continue_to),
    };
    let redirect_uri = &auth_request.origin.authorization.redirect_uri;
    page_with_forms(StatusCode::OK, &view, FormsLead::ToApplication { redirect_uri })
}

fn organization_page(context: &Context, auth_request: &AuthRequest, offer: Offer) -> HttpResponse {
    note_page(context, auth_request, SignInPage::OrganizationChooser);
    let frame = SignInFrame::new(context, auth_request);
    let texts = frame.texts;
    let options = offer.choice.options.into_iter().filter(|_| !offer.is_decided).map(|option| {
        let joins = option.tie != Tie::Member;
        let name = option.display_name;
        let text = if joins { fill(&texts.join_button, &[("organization", name.as_str())]) } else { name };
        OrganizationButton { id: option.id, text, joins }
    });
    let view = views::ChooseOrganization {
        layout: frame.layout(texts.title_choose_organization.as_str()),
        action: path_of(context, &auth_request.id, "/organization"),
        restart_action: path_of(context, &auth_request.id, "/restart"),
        email: offer.email.to_unicode(),
        continue_to: frame.with_app(&texts.continue_to),
        organizations: options.collect(),
        may_create: offer.choice.may_create,
        may_continue: offer.is_decided,
    };
    let redirect_uri = &auth_request.origin.authorization.redirect_uri;
    page_with_forms(StatusCode::OK, &view, FormsLead::ToApplication { redirect_uri })
}

/// The page of the request's state, with something said beside its form.
fn show_state(context: &Context, auth_request: &AuthRequest, said: Said) -> HttpResponse {
    if let Some(closed) = auth_request.closed(context.now_ms()) {
        note_page(context, auth_request, closed.into());
        return closed_page(context, auth_request, closed);
    }
    let retry_after_s = said.retry_after_s;
    let mut response = open_page(context, auth_request, said);
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn open_page(context: &Context, auth_request: &AuthRequest, said: Said) -> HttpResponse {
    let Some(sent) = auth_request.awaited() else {
        note_page(context, auth_request, SignInPage::AddressForm);
        return email_page(context, auth_request, said);
    };
    let has_code = sent.passwordless_type.has_code();
    let shown = if has_code { SignInPage::CodeForm } else { SignInPage::CheckEmail };
    note_page(context, auth_request, shown);
    if auth_request.credentials_expired(context.now_ms()) {
        resend_page(context, auth_request, sent, said)
    } else if has_code {
        code_page(context, auth_request, sent, said)
    } else {
        check_mail_page(context, auth_request, sent, said)
    }
}

fn note_page(context: &Context, auth_request: &AuthRequest, page: SignInPage) {
    flows::note(context, &auth_request.id, About::default(), SignInEvent::PageShown { page });
}

fn email_page(context: &Context, auth_request: &AuthRequest, said: Said) -> HttpResponse {
    let frame = SignInFrame::new(context, auth_request);
    let texts = frame.texts;
    let is_sign_up = auth_request.origin.authorization.prompt == Prompt::Create;
    let passwordless_type = context.environment.passwordless.passwordless_type;
    let title = if is_sign_up { texts.title_sign_up.clone() } else { frame.with_app(&texts.title_sign_in) };
    let layout = frame.layout(title);
    let names_app = app_name(&context.environment, auth_request) != layout.brand_name;
    let view = views::SignIn {
        action: path_of(context, &auth_request.id, "/email"),
        email: said
            .typed
            .or_else(|| auth_request.origin.authorization.login_hint.clone())
            .or_else(|| named_address(context, &auth_request.origin.authorization))
            .unwrap_or_default(),
        error: said.error,
        intro: if is_sign_up {
            sign_up_intro(texts, passwordless_type)
        } else {
            sign_in_intro(texts, passwordless_type)
        },
        continue_to: (is_sign_up && names_app).then(|| frame.with_app(&texts.continue_to)),
        other_way: other_way(context, texts, &auth_request.id, is_sign_up),
        accounts_url: accounts_url(context).filter(|_| !is_sign_up),
        signs_in_at_once: signs_in_at_once(context, auth_request),
        layout,
    };
    let forms = if view.signs_in_at_once {
        FormsLead::ToApplication { redirect_uri: &auth_request.origin.authorization.redirect_uri }
    } else {
        FormsLead::Home
    };
    page_with_forms(said.status, &view, forms)
}

/// To sign up instead of in, where that is allowed, or the other way round.
fn other_way(context: &Context, texts: &'static PageTexts, id: &str, is_sign_up: bool) -> Option<OtherWay> {
    if is_sign_up {
        let url = path_of(context, id, "/sign-in");
        return Some(OtherWay { question: &texts.have_account, text: &texts.sign_in, url });
    }
    let url = path_of(context, id, "/sign-up");
    let is_allowed = context.environment.passwordless.sign_up_allowed;
    is_allowed.then(|| OtherWay { question: &texts.new_here, text: &texts.create_account, url })
}

/// What the address form promises.
fn sign_in_intro(texts: &'static PageTexts, passwordless_type: PasswordlessType) -> &'static str {
    match passwordless_type {
        PasswordlessType::Otp => &texts.sign_in_intro_code,
        PasswordlessType::Link => &texts.sign_in_intro_link,
        PasswordlessType::LinkOtp => &texts.sign_in_intro_both,
    }
}

/// The same of a sign-up.
fn sign_up_intro(texts: &'static PageTexts, passwordless_type: PasswordlessType) -> &'static str {
    match passwordless_type {
        PasswordlessType::Otp => &texts.sign_up_intro_code,
        PasswordlessType::Link => &texts.sign_up_intro_link,
        PasswordlessType::LinkOtp => &texts.sign_up_intro_both,
    }
}

/// A newer email was sent.
fn notice_of_resend(texts: &'static PageTexts, passwordless_type: PasswordlessType) -> &'static str {
    if passwordless_type.has_code() { &texts.code_resent } else { &texts.link_resent }
}

fn code_page(context: &Context, auth_request: &AuthRequest, sent: &Credentials, said: Said) -> HttpResponse {
    let id = &auth_request.id;
    let frame = SignInFrame::new(context, auth_request);
    let view = views::EnterCode {
        layout: frame.layout(frame.texts.title_code.as_str()),
        action: path_of(context, id, "/code"),
        resend_action: path_of(context, id, "/resend"),
        restart_action: path_of(context, id, "/restart"),
        status_url: path_of(context, id, "/status"),
        email: sent.email.to_unicode(),
        error: said.error,
        notice: said.notice,
        code_length: sent.code_length(),
        resend_after_s: resend_after_s(context, sent),
        also_link: sent.passwordless_type.has_link(),
        submit_on_last_digit: context.environment.pages.submit_on_last_digit,
        demo_code: passwordless::demo_code(context, auth_request),
        dev_bar: dev_bar(context, auth_request),
    };
    let redirect_uri = &auth_request.origin.authorization.redirect_uri;
    page_with_forms(said.status, &view, FormsLead::ToApplication { redirect_uri })
}

/// What was mailed has expired, and the sign-in has not.
fn resend_page(
    context: &Context,
    auth_request: &AuthRequest,
    sent: &Credentials,
    said: Said,
) -> HttpResponse {
    let id = &auth_request.id;
    let frame = SignInFrame::new(context, auth_request);
    let texts = frame.texts;
    let (title, button) = if sent.passwordless_type.has_code() {
        (&texts.title_code_expired, &texts.resend_code)
    } else {
        (&texts.title_link_expired, &texts.resend_link)
    };
    let view = views::Resend {
        layout: frame.layout(title.as_str()),
        email: sent.email.to_unicode(),
        error: said.error,
        resend_action: path_of(context, id, "/resend"),
        restart_action: path_of(context, id, "/restart"),
        status_url: path_of(context, id, "/status"),
        button: button.as_str(),
    };
    page(said.status, &view)
}

fn check_mail_page(
    context: &Context,
    auth_request: &AuthRequest,
    sent: &Credentials,
    said: Said,
) -> HttpResponse {
    let id = &auth_request.id;
    let frame = SignInFrame::new(context, auth_request);
    let view = views::CheckMail {
        layout: frame.layout(frame.texts.title_check_email.as_str()),
        email: sent.email.to_unicode(),
        resend_action: path_of(context, id, "/resend"),
        restart_action: path_of(context, id, "/restart"),
        status_url: path_of(context, id, "/status"),
        resend_after_s: resend_after_s(context, sent),
        error: said.error,
        notice: said.notice,
        demo_link: passwordless::demo_link(context, auth_request),
    };
    page(said.status, &view)
}

/// Seconds until the last email is old enough to ask for another; 0 where sends are not limited.
fn resend_after_s(context: &Context, sent: &Credentials) -> i64 {
    if !passwordless::has_mail_limit(context, &sent.email) {
        return 0;
    }
    (RESEND_AFTER_S - (context.now_ms() - sent.sent_at_ms) / 1000).clamp(0, RESEND_AFTER_S)
}

fn closed_page(context: &Context, auth_request: &AuthRequest, closed: Closed) -> HttpResponse {
    let frame = SignInFrame::new(context, auth_request);
    let texts = frame.texts;
    let restart_action = path_of(context, &auth_request.id, "/restart");
    let sent = auth_request.credentials().map(|sent| sent.passwordless_type);
    match closed {
        Closed::Expired => {
            let title = match sent {
                None => &texts.title_sign_in_expired,
                Some(sent) if sent.has_code() => &texts.title_code_expired,
                Some(_) => &texts.title_link_expired,
            };
            let layout = frame.layout(title.as_str());
            let restart_action = Some(restart_action);
            page(StatusCode::GONE, &views::Expired { layout, restart_action, way_back: None })
        }
        Closed::TooManyAttempts => {
            let layout = frame.layout(texts.title_too_many.as_str());
            page(StatusCode::TOO_MANY_REQUESTS, &views::TooManyAttempts { layout, restart_action })
        }
        Closed::Completed => {
            let layout = frame.layout(texts.title_done.as_str());
            // A link opens a tab of its own.
            let is_elsewhere = sent.is_some_and(PasswordlessType::has_link);
            let text: &str = if is_elsewhere { &texts.done_elsewhere } else { &texts.done_text };
            page(StatusCode::OK, &views::Done { layout, text, way_back: frame.way_back() })
        }
    }
}

/// Back to the page of a sign-in, which says why its form was refused. Where nothing can be said for now, an error page
/// stands in place, and sending the form again is right.
fn refused(request: &HttpRequest, context: &Context, id: &str, refusal: &PasswordlessError) -> HttpResponse {
    match refusal {
        PasswordlessError::Failure(failure) => Problem::failure(failure).page(request),
        PasswordlessError::Email(_) => refused_with(context, id, FormError::InvalidEmail),
        PasswordlessError::TooManyMails { limit, retry_after_s } => {
            let error = FormError::email_rate_limited(*limit, context.now_ms(), *retry_after_s);
            refused_with(context, id, error)
        }
        PasswordlessError::AddressRateLimited { retry_after_s } => {
            refused_with(context, id, FormError::address_rate_limited(context.now_ms(), *retry_after_s))
        }
        // The page sees for itself.
        PasswordlessError::NotYours | PasswordlessError::Closed(_) | PasswordlessError::NothingSent => {
            see_other(&page_url(context, id))
        }
    }
}

fn refused_with(context: &Context, id: &str, error: FormError) -> HttpResponse {
    current_request::note_error(error.code());
    see_other(&url_of(context, id, &error.query()))
}

/// A sign-in that this browser lost goes back to where its application starts one by `initiate_login_uri` (OpenID Connect
/// Core 1.0, section 4). Without one the page says nothing about it, not even whether it exists.
async fn lost(context: &Context, request: &HttpRequest, id: &str) -> HttpResponse {
    if let Ok(Some(uri)) = passwordless::initiate_login_uri(context, id).await {
        return see_other(&uri);
    }
    let language = render::language(context, request, None);
    let title = locales::texts(language).pages.title_lost.as_str();
    page(StatusCode::NOT_FOUND, &views::Lost { layout: render::user_layout(context, language, None, title) })
}

/// `POST /login/{id}/email`: send.
pub async fn email(
    request: HttpRequest,
    Ctx(context): Ctx,
    id: web::Path<String>,
    Form(form): Form,
) -> HttpResponse {
    let params = match checked(&request, &context, form) {
        Ok(params) => params,
        Err(response) => return response,
    };
    let browser = cookies::browser(&request, &context);
    let typed = params.one("email").ok().flatten().unwrap_or_default();
    if params.one("picked") == Ok(Some("true")) {
        match sign_in_picked(&context, &browser, &id, typed).await {
            Ok(Some(done)) => return signed_in(&context, done),
            Ok(None) => {}
            Err(refusal) => return refused(&request, &context, &id, &refusal),
        }
    }
    match passwordless::send(&context, &browser, &id, typed).await {
        Ok(()) => see_other(&page_url(&context, &id)),
        Err(refusal) => {
            let mut response = refused(&request, &context, &id, &refusal);
            // The page shows it again; an address of a page is no place for that of a user.
            if !matches!(refusal, PasswordlessError::NotYours | PasswordlessError::Failure(_)) {
                let _ = response.add_cookie(&cookies::typed_email_cookie(&context, &id, typed));
            }
            response
        }
    }
}

/// `POST /login/{id}/code`: verify.
pub async fn code(
    request: HttpRequest,
    Ctx(context): Ctx,
    id: web::Path<String>,
    Form(form): Form,
) -> HttpResponse {
    let params = match checked(&request, &context, form) {
        Ok(params) => params,
        Err(response) => return response,
    };
    let browser = cookies::browser(&request, &context);
    let code = typed_code(params.one("code").ok().flatten().unwrap_or_default());
    if code.is_empty() {
        return refused_with(&context, &id, FormError::CodeMissing);
    }
    enter_code(&request, &context, &browser, &id, &code).await
}

/// Verifies a code, and leads the browser on, or to the page that says why not.
pub async fn enter_code(
    request: &HttpRequest,
    context: &Context,
    browser: &Browser,
    id: &str,
    code: &str,
) -> HttpResponse {
    match passwordless::verify_code(context, browser, id, code).await {
        Ok(CodeResult::SignedIn(done)) => signed_in(context, done),
        Ok(CodeResult::Refused(outcome)) => match outcome {
            CodeOutcome::Wrong { .. } => refused_with(context, id, FormError::WrongCode),
            CodeOutcome::AddressRateLimited { retry_after_s } => {
                refused_with(context, id, FormError::address_rate_limited(context.now_ms(), retry_after_s))
            }
            CodeOutcome::Expired => refused_with(context, id, FormError::CodeExpired),
            CodeOutcome::Accepted
            | CodeOutcome::TooManyAttempts
            | CodeOutcome::NotOffered
            | CodeOutcome::Closed(_) => see_other(&page_url(context, id)),
        },
        Err(refusal) => refused(request, context, id, &refusal),
    }
}

/// `POST /login/{id}/resend`.
pub async fn resend(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    if let Err(problem) = guard::same_origin(&request, &context) {
        return problem.page(&request);
    }
    let browser = cookies::browser(&request, &context);
    match passwordless::resend(&context, &browser, &id).await {
        Ok(()) => see_other(&url_of(&context, &id, "?sent=again")),
        Err(refusal) => refused(&request, &context, &id, &refusal),
    }
}

/// `POST /login/{id}/restart`: "Not you?" and "Start again".
pub async fn restart(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    if let Err(problem) = guard::same_origin(&request, &context) {
        return problem.page(&request);
    }
    let browser = cookies::browser(&request, &context);
    match authorize::restart(&context, &browser, &id).await {
        Ok(new_id) => see_other(&page_url(&context, &new_id)),
        Err(refusal) => refused(&request, &context, &id, &refusal),
    }
}

/// `GET /login/{id}/sign-up`: the link of the address form to whoever is new.
pub async fn to_sign_up(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    switch(&request, &context, &id, Prompt::Create).await
}

/// `GET /login/{id}/sign-in`: the link of the sign-up form to whoever is not.
pub async fn to_sign_in(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    switch(&request, &context, &id, Prompt::Login).await
}

async fn switch(request: &HttpRequest, context: &Context, id: &str, prompt: Prompt) -> HttpResponse {
    let browser = cookies::browser(request, context);
    match authorize::switch(context, &browser, id, prompt).await {
        Ok(new_id) => see_other(&page_url(context, &new_id)),
        Err(refusal) => refused(request, context, id, &refusal),
    }
}

/// `POST /login/{id}/account`: the choice of `prompt=select_account`.
pub async fn account(
    request: HttpRequest,
    Ctx(context): Ctx,
    id: web::Path<String>,
    Form(form): Form,
) -> HttpResponse {
    let params = match checked(&request, &context, form) {
        Ok(params) => params,
        Err(response) => return response,
    };
    let browser: Browser = cookies::browser(&request, &context);
    if matches!(params.one("choice"), Ok(Some("continue"))) {
        match has_organizations(&context, &browser, &id).await {
            Ok(true) => return see_other(&url_of(&context, &id, "?account=continue")),
            Ok(false) => {}
            Err(refusal) => return refused(&request, &context, &id, &refusal),
        }
        match passwordless::continue_with_session(&context, &browser, &id).await {
            Ok(Some(done)) => return signed_in(&context, done),
            Ok(None) => {}
            Err(refusal) => return refused(&request, &context, &id, &refusal),
        }
    }
    see_other(&url_of(&context, &id, "?account=other"))
}

/// Does the session's user have to choose an organization too?
async fn has_organizations(
    context: &Context,
    browser: &Browser,
    id: &str,
) -> Result<bool, PasswordlessError> {
    let auth_request = passwordless::request_of_browser(context, browser, id).await?;
    Ok(choose_organization::offer(context, browser, &auth_request).await?.is_some())
}

/// `POST /login/{id}/organization`: the choice of an organization.
pub async fn organization(
    request: HttpRequest,
    Ctx(context): Ctx,
    id: web::Path<String>,
    Form(form): Form,
) -> HttpResponse {
    let params = match checked(&request, &context, form) {
        Ok(params) => params,
        Err(response) => return response,
    };
    let browser = cookies::browser(&request, &context);
    // It shows what there is to choose.
    let page = url_of(&context, &id, "?account=continue");
    let one = |name| params.one(name).ok().flatten();
    let chosen = match (one("organization_id"), one("create"), one("continue")) {
        (Some(id), ..) => Chosen::Organization(id.to_owned()),
        (None, Some(_), _) => Chosen::New,
        (None, None, Some(_)) => Chosen::Decided,
        (None, None, None) => return see_other(&page),
    };
    match choose_organization::choose(&context, &browser, &id, &chosen).await {
        Ok(ChoiceResult::SignedIn(done)) => signed_in(&context, done),
        Ok(ChoiceResult::NotOffered) => see_other(&page),
        Err(refusal) => refused(&request, &context, &id, &refusal),
    }
}

/// `GET /login/{id}/status`: may the waiting tab move on?
pub async fn status(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let browser = cookies::browser(&request, &context);
    let state = match passwordless::request_of_browser(&context, &browser, &id).await {
        Ok(found) if found.closed(context.now_ms()).is_none() && found.choosing().is_none() => "waiting",
        Ok(_) | Err(PasswordlessError::NotYours) => "moved",
        Err(PasswordlessError::Failure(failure)) => return Problem::failure(&failure).json(),
        Err(_) => "waiting",
    };
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(json!({ "state": state, "now": rfc3339(context.now_ms()) }))
}

/// The form of a page: from this site, and readable.
pub(super) fn checked(
    request: &HttpRequest,
    context: &Context,
    form: Result<Parameters, ParamsError>,
) -> Result<Parameters, HttpResponse> {
    guard::same_origin(request, context).map_err(|problem| problem.page(request))?;
    form.map_err(|error| {
        Problem::new(error.status(), "invalid_request", "This form does not work", format!("{error}."))
            .page(request)
    })
}

/// Back to the application, signed in, or on to the choice of an organization.
pub(super) fn signed_in(context: &Context, done: SignedIn) -> HttpResponse {
    let mut response = match done.denied {
        Some(denied) => denied_page(context, denied, done.location),
        None => see_other(&done.location),
    };
    if let Some(value) = done.session_cookie {
        let _ = response.add_cookie(&cookies::session_cookie(context, value));
    }
    if let Some(value) = done.new_browser_cookie {
        let _ = response.add_cookie(&cookies::browser_cookie(context, value));
    }
    response
}
