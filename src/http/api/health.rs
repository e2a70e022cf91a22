//! Is the process alive, and can it work?

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::app::Provider;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /health`: the process serves requests.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /ready`: the database answers, so people can sign in. A dead SMTP server is told but does not make the
/// server unready: mails wait for it in the outbox. A server that stops is not ready.
pub async fn ready(provider: web::Data<Provider>) -> HttpResponse {
    let Some(app) = provider.get() else {
        return HttpResponse::ServiceUnavailable()
            .json(json!({ "status": "starting", "database": "waiting" }));
    };
    if app.site.is_stopping() {
        return HttpResponse::ServiceUnavailable().json(json!({ "status": "stopping" }));
    }
    let smtp = async {
        match &app.site.smtp {
            None => "not configured",
            Some(smtp) => match tokio::time::timeout(PATIENCE, smtp.check()).await {
                Ok(Ok(())) => "ok",
                _ => "unreachable",
            },
        }
    };
    let (smtp, database) = tokio::join!(smtp, app.ping(PATIENCE));
    match database {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ready", "database": "ok", "smtp": smtp })),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let body = json!({ "status": "unavailable", "database": "unreachable", "smtp": smtp });
            HttpResponse::ServiceUnavailable().json(body)
        }
    }
}
