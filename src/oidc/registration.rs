//! How an application or an address becomes a registered one: the advice of the pages that refuse it.

use crate::domain::client::{Client, ClientKind, ClientPlace};
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::Mode;
use crate::runtime::Context;

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// `redirect_uri`.
    Callback,
    /// `post_logout_redirect_uri`.
    AfterLogout,
}

impl Address {
    fn setting(self) -> &'static str {
        match self {
            Self::Callback => "redirect_uris",
            Self::AfterLogout => "post_logout_redirect_uris",
        }
    }

    fn of(self, client: &Client) -> &[RedirectPattern] {
        match self {
            Self::Callback => &client.redirect_uris,
            Self::AfterLogout => &client.post_logout_redirect_uris,
        }
    }
}

/// How an unknown client becomes a known one.
pub fn how_to_add(client_id: &str) -> String {
    format!(
        "Use the client_id that the server printed at its start, or add the application to vestibule.toml and restart the server:\n\n[[clients]]\nclient_id = {}\ntype = \"web\"\nclient_secret = \"replace this by a long random text\"\nredirect_uris = [\"https://app.example.com/callback\"]",
        toml_text(client_id)
    )
}

/// How the address becomes a registered one, where the client came from; or why it cannot.
pub fn how_to_register(context: &Context, address: Address, client_id: &str, uri: &str) -> String {
    let environment = &context.environment;
    if let Err(error) = RedirectPattern::parse(uri, environment.mode) {
        return format!(
            "The application has to send another address. This one cannot be registered: it {error}."
        );
    }
    let Some(client) = environment.client(client_id) else {
        return format!(
            "No application with the client_id {client_id} is registered here, so it has no addresses."
        );
    };
    let mut ways = vec!["If the address is right, register it.".to_owned()];
    let server = &context.runtime.server;
    if !server.control.is_off() {
        let dashboard = context.public_url.join(&format!("/dashboard/applications/{client_id}"));
        ways.push(format!("On the dashboard:\n\n{dashboard}"));
    }
    let place = match context.runtime.name {
        None => server.layers().place_of_client(client_id),
        Some(_) => ClientPlace::Elsewhere,
    };
    let setting = address.setting();
    // Operators of a production server know what else they registered, and strangers need not.
    let known = if environment.mode == Mode::Development { address.of(client) } else { &[] };
    let uris = known.iter().map(RedirectPattern::as_str).chain([uri]).map(toml_text);
    let uris = uris.collect::<Vec<_>>().join(", ");
    match place {
        ClientPlace::TopLevel => ways.push(format!(
            "At the top of vestibule.toml, or as VESTIBULE_{}; then restart the server:\n\n{setting} = [{uris}]",
            setting.to_uppercase()
        )),
        ClientPlace::Table => {
            let credentials = match &client.kind {
                ClientKind::Spa => "type = \"spa\"",
                ClientKind::Native => "type = \"native\"",
                ClientKind::Web { .. } => {
                    "type = \"web\"\nclient_secret = \"the secret that stands here already\""
                }
            };
            ways.push(format!(
                "In the client's table in vestibule.toml; then restart the server:\n\n[[clients]]\nclient_id = {}\n{credentials}\n{setting} = [{uris}]",
                toml_text(client_id)
            ));
        }
        ClientPlace::Elsewhere => {}
    }
    ways.join("\n\n")
}

/// A TOML basic string.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}
