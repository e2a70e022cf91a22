//! Is the process alive, and can it work?

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::runtime::EnvironmentRegistry;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /live`: the process serves requests, also while it waits for its database.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /ready`, and `GET /health`, which is where tools look that wait for a server: the database answers, so users can
/// sign in, and what they change is kept. A dead SMTP server is told but does not make the
/// server unready: emails wait for it in the outbox. A server that stops is not ready.
pub async fn ready(registry: web::Data<EnvironmentRegistry>) -> HttpResponse {
    let Some(runtime) = registry.get() else {
        return HttpResponse::ServiceUnavailable()
            .json(json!({ "status": "starting", "database": "waiting" }));
    };
    if runtime.server.is_stopping() {
        return HttpResponse::ServiceUnavailable().json(json!({ "status": "stopping" }));
    }
    let smtp = async {
        match &runtime.server.smtp {
            None => "not configured",
            Some(smtp) => match tokio::time::timeout(PATIENCE, smtp.check()).await {
                Ok(Ok(())) => "ok",
                _ => "unreachable",
            },
        }
    };
    let (smtp, answer, writes) = tokio::join!(smtp, runtime.ping(PATIENCE), runtime.check_writes(PATIENCE));
    match answer.map_err(|error| ("unreachable", error)).and(writes.map_err(|error| ("not writable", error)))
    {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ready", "database": "ok", "smtp": smtp })),
        Err((database, error)) => {
            tracing::warn!(%error, "not ready");
            let body = json!({ "status": "unavailable", "database": database, "smtp": smtp });
            HttpResponse::ServiceUnavailable().json(body)
        }
    }
}
