//! Applications.

use actix_web::web;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, created, json, no_content, refuse};
use crate::service::clients::{self, ClientView};

#[derive(Debug, Serialize, ToSchema)]
pub struct ClientList {
    pub clients: Vec<ClientView>,
}

/// The applications of the environment.
#[utoipa::path(get, path = "/_emulator/v1/clients", tag = "clients", responses((status = 200, body = ClientList)))]
pub async fn list(Control(context): Control) -> Answer {
    Ok(json(&ClientList { clients: clients::list(&context) }))
}

/// Adds an application, in the words of `[[clients]]`. Id and secret are made when left out.
#[utoipa::path(post, path = "/_emulator/v1/clients", tag = "clients", request_body(content = Object, description = "Fields of a client."),
    responses((status = 201, body = ClientView), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(fields): Body<Value>) -> Answer {
    Ok(created(&clients::create(&context, fields).await.map_err(refuse)?))
}

/// One application.
#[utoipa::path(get, path = "/_emulator/v1/clients/{client_id}", tag = "clients", params(("client_id" = String, Path)),
    responses((status = 200, body = ClientView), (status = 404, body = ProblemDocument)))]
pub async fn show(Control(context): Control, id: web::Path<String>) -> Answer {
    Ok(json(&clients::show(&context, &id).map_err(refuse)?))
}

/// Changes an application: the fields that are named.
#[utoipa::path(patch, path = "/_emulator/v1/clients/{client_id}", tag = "clients", params(("client_id" = String, Path)),
    request_body(content = Object, description = "Fields of a client."),
    responses((status = 200, body = ClientView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn change(Control(context): Control, id: web::Path<String>, Body(patch): Body<Value>) -> Answer {
    Ok(json(&clients::change(&context, &id, &patch).await.map_err(refuse)?))
}

/// Deletes an application. The last one stays.
#[utoipa::path(delete, path = "/_emulator/v1/clients/{client_id}", tag = "clients", params(("client_id" = String, Path)),
    responses((status = 204), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn delete(Control(context): Control, id: web::Path<String>) -> Answer {
    clients::delete(&context, &id).await.map_err(refuse)?;
    Ok(no_content())
}
