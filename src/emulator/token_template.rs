//! The token template.

use super::{Answer, Body, Control, ProblemDocument, json, refuse};
use crate::service::token_template::{self, PreviewRequest, TemplatePreview};

/// Shows what the token template gives for a user: claims, those that are left out and why, and what expressions can read.
///
/// The template itself is `token_template` of the settings.
#[utoipa::path(post, path = "/_emulator/v1/token-template/preview", tag = "tokens", request_body = PreviewRequest,
    responses((status = 200, body = TemplatePreview), (status = 400, body = ProblemDocument)))]
pub async fn preview(Control(context): Control, Body(wanted): Body<PreviewRequest>) -> Answer {
    Ok(json(&token_template::preview(&context, &wanted).await.map_err(refuse)?))
}
