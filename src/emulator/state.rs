//! Reset, snapshot, seed and scenarios.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, Query, json, no_content, refuse};
use crate::service::seed;
use crate::service::snapshot::{self, Snapshot};
use crate::service::state::{self, Keep};

/// What a reset is to leave as it is.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResetInput {
    pub keep: Vec<Kept>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    Settings,
    Clock,
    Faults,
}

/// Returns to the start: users as seeded, nobody signed in, no email, no log; settings, clock and faults as at the
/// start.
#[utoipa::path(post, path = "/_emulator/v1/reset", tag = "state", request_body = Option<ResetInput>,
    responses((status = 204), (status = 400, body = ProblemDocument)))]
pub async fn reset(Control(context): Control, Body(input): Body<ResetInput>) -> Answer {
    let keep = Keep {
        settings: input.keep.contains(&Kept::Settings),
        clock: input.keep.contains(&Kept::Clock),
        faults: input.keep.contains(&Kept::Faults),
    };
    state::reset(&context, keep).await.map_err(refuse)?;
    Ok(no_content())
}

/// Returns the whole state as one document. It contains private keys.
#[utoipa::path(get, path = "/_emulator/v1/snapshot", tag = "state", responses((status = 200, body = Snapshot)))]
pub async fn snapshot(Control(context): Control) -> Answer {
    Ok(json(&snapshot::snapshot(&context).await.map_err(refuse)?))
}

/// What came of a restoration.
#[derive(Debug, Serialize, ToSchema)]
pub struct Restored {
    /// Fields of the snapshot that this version does not know, such as `users[0].nickname`.
    pub ignored: Vec<String>,
}

/// Replaces the whole state with a snapshot, of this server or another, on either database.
#[utoipa::path(put, path = "/_emulator/v1/snapshot", tag = "state", request_body = Snapshot,
    responses((status = 200, body = Restored), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn restore(Control(context): Control, Body(document): Body<Value>) -> Answer {
    Ok(json(&Restored { ignored: snapshot::restore(&context, document).await.map_err(refuse)? }))
}

/// How many records a seed wrote.
#[derive(Debug, Serialize, ToSchema)]
pub struct Seeded {
    pub users: usize,
    pub organizations: usize,
}

/// Adds users, organizations, roles and permissions, named as in the configuration. Resets return to them too.
#[utoipa::path(post, path = "/_emulator/v1/seed", tag = "state",
    request_body(content = Object, description = "`users`, `organizations`, `roles` and `permissions`."),
    params(("until_reset" = Option<bool>, Query, description = "Adds them until the next reset only.")),
    responses((status = 200, body = Seeded), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn seed(request: HttpRequest, Control(context): Control, Body(value): Body<Value>) -> Answer {
    let until_reset = Query::of(&request).and_then(|q| q.boolean("until_reset")).map_err(refuse)?;
    let (users, organizations) = seed::write_json(&context, &value, until_reset).await.map_err(refuse)?;
    Ok(json(&Seeded { users, organizations }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ScenarioList {
    pub scenarios: Vec<String>,
}

/// Lists the scenarios in the configured folder.
#[utoipa::path(get, path = "/_emulator/v1/scenarios", tag = "state", responses((status = 200, body = ScenarioList)))]
pub async fn scenarios(Control(context): Control) -> Answer {
    Ok(json(&ScenarioList { scenarios: state::scenarios(&context).await }))
}

/// Resets the environment and loads a scenario.
#[utoipa::path(post, path = "/_emulator/v1/scenarios/{name}/load", tag = "state", params(("name" = String, Path)),
    responses((status = 204), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn load_scenario(Control(context): Control, name: web::Path<String>) -> Answer {
    state::load_scenario(&context, &name).await.map_err(refuse)?;
    Ok(no_content())
}
