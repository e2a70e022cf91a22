//! What every page of one sign-in has: its language, its application's branding, and the way back to that.

use crate::domain::auth_request::AuthRequest;
use crate::domain::language::Language;
use crate::http::render;
use crate::http::views::{Layout, ReturnLink};
use crate::locales::{self, PageTexts, fill};
use crate::runtime::Context;
use crate::service::passwordless::{app_name, application_url};

/// A sign-in, as its pages present it.
#[derive(Clone, Copy)]
pub struct SignInFrame<'a> {
    context: &'a Context,
    request: &'a AuthRequest,
    pub texts: &'static PageTexts,
}

impl<'a> SignInFrame<'a> {
    pub fn new(context: &'a Context, request: &'a AuthRequest) -> Self {
        Self { context, request, texts: &locales::texts(language(context, request)).pages }
    }

    pub fn layout(self, title: impl Into<String>) -> Layout {
        let client_id = &self.request.origin.authorization.client_id;
        render::user_layout(self.context, language(self.context, self.request), Some(client_id), title)
    }

    /// A text about the application.
    pub fn with_app(self, text: &str) -> String {
        fill(text, &[("app", app_name(&self.context.environment, self.request))])
    }

    pub fn way_back(self) -> Option<ReturnLink> {
        let url = application_url(&self.context.environment, self.request)?;
        Some(ReturnLink { text: self.with_app(&self.texts.return_to), url })
    }
}

/// Chosen when the sign-in began, so that its pages and emails agree.
fn language(context: &Context, request: &AuthRequest) -> Language {
    request.origin.authorization.language.unwrap_or(context.environment.pages.language)
}
