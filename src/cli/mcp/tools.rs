//! What an agent can ask for. Each function is a tool; its comment is what the agent reads.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::Method;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use url::Url;

use super::browser::{Browser, Entered};
use super::{control_of, local_server};
use crate::cli::remote::escaped;
use crate::cli::running::ServerOptions;
use crate::cli::timelines;
use crate::config::application_env::{EnvFormat, render_env};

const INSTRUCTIONS: &str = "Vestibule is a local stand-in for Scalekit, a passwordless OpenID Provider. Use these tools to \
    give an application its credentials, to sign users in without a mailbox, to find out why a sign-in failed, and to control \
    time, faults, users and tokens in tests. Where no server runs, start one: `vestibule dev -- COMMAND` or `vestibule`.";

/// The tools, and what they remember of sign-ins under way.
#[derive(Clone)]
pub(super) struct Tools {
    options: ServerOptions,
    /// Browsers by `auth_request_id`.
    browsers: Arc<Mutex<HashMap<String, Browser>>>,
    /// The last email that was given, by environment and address.
    given: Arc<Mutex<HashMap<(String, String), String>>>,
    tool_router: ToolRouter<Self>,
}

/// A tool's answer: JSON or text, or what went wrong.
type Answer = Result<String, String>;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct InEnvironment {
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct StartSignIn {
    /// The user's address. It needs no mailbox.
    email: String,
    /// Where the application sends its users, as its SDK makes it. Without one, a request for `redirect_uri` is made.
    authorization_url: Option<String>,
    /// The application's callback, where there is no `authorization_url`. Default: http://localhost:3000/callback
    redirect_uri: Option<String>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct WaitForCode {
    /// The address that is to receive the email.
    email: Option<String>,
    /// The sign-in that it belongs to: `start_sign_in` gives it, and it is in the address of the sign-in page, /login/ID.
    auth_request_id: Option<String>,
    /// Seconds to wait, at most 60. Default: 10
    wait_s: Option<u32>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct EnterCode {
    /// As `start_sign_in` gave it.
    auth_request_id: String,
    /// The code of the email.
    code: String,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct ExplainSignIn {
    /// One sign-in. Without it, the last ones are told.
    auth_request_id: Option<String>,
    /// Only sign-ins of this address, or of addresses with this part.
    email: Option<String>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct Clock {
    /// Seconds to move on; back, when negative.
    advance_s: Option<i64>,
    /// Be this time now, RFC 3339.
    now: Option<String>,
    /// Stand still, or run on.
    frozen: Option<bool>,
    /// Go back to real time, whatever else is asked for.
    #[serde(default)]
    reset: bool,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct AddFault {
    /// The rule. `match`: `path` (`*` stands for any characters), `method`, `grpc_method` or `recipient`. `effect`: an
    /// object with `kind`: `status` (with `status`), `oauth_error`, `grpc_status`, `connection_reset`, `truncated_body`,
    /// `smtp` or `token`. Also `count` (how many times), `nth` (the first to go wrong), `probability` and `latency_ms`.
    rule: Map<String, Value>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct ListUsers {
    /// Part of an address, a name or an external id, of three characters or more.
    query: Option<String>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct AddUser {
    email: String,
    /// Full name.
    name: Option<String>,
    /// Ids or external ids of organizations that exist.
    #[serde(default)]
    organizations: Vec<String>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct MintToken {
    /// Id or address of a user that exists.
    user: String,
    /// The first application when left out.
    client_id: Option<String>,
    /// Separated by spaces. Default: openid profile email offline_access
    scope: Option<String>,
    /// Seconds; negative for a token that has expired already.
    access_token_lifetime_s: Option<i64>,
    /// Laid over the claims of access and ID token.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Name of an isolated environment. Without one, the default environment is meant.
    environment: Option<String>,
}

#[tool_router]
impl Tools {
    pub(super) fn new(options: ServerOptions) -> Self {
        Self { options, browsers: Arc::default(), given: Arc::default(), tool_router: Self::tool_router() }
    }

    /// The variables that an application needs to use this server in Scalekit's place, as lines of a .env file.
    #[tool]
    async fn credentials(&self) -> Answer {
        let server = local_server(&self.options).await.map_err(said)?;
        Ok(render_env(EnvFormat::Dotenv, &server.facts.credentials().variables()))
    }

    /// Begins a sign-in as a browser would, and has the email sent. Then use wait_for_code and enter_code. To use a real
    /// browser instead, open authorization_url of the answer there and use wait_for_code with the address.
    #[tool]
    async fn start_sign_in(&self, Parameters(asked): Parameters<StartSignIn>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let url = match &asked.authorization_url {
            Some(url) => url.clone(),
            None => {
                let environment = control.get("/environment").await.map_err(said)?;
                let redirect_uri = asked.redirect_uri.as_deref().unwrap_or("http://localhost:3000/callback");
                let client_id = environment["client_id"].as_str().unwrap_or_default();
                format!(
                    "{}/oauth/authorize?response_type=code&scope=openid%20profile%20email&client_id={}&redirect_uri={}",
                    control.base(),
                    escaped(client_id),
                    escaped(redirect_uri)
                )
            }
        };
        let url = with_hint(&url, &asked.email)?;
        let browser = Browser::begin(&url, &asked.email).await.map_err(said)?;
        let id = browser.id().unwrap_or_default();
        let answer =
            json!({ "auth_request_id": id, "page_url": browser.page(), "authorization_url": url.as_str() });
        self.browsers.lock().await.insert(id, browser);
        Ok(answer.to_string())
    }

    /// Waits for the email of a sign-in and gives its code and link. No email is given twice, and none of a sign-in that is
    /// over, so that the code is never that of an earlier sign-in. Name the address, the sign-in, or both. Where no email
    /// comes, the error says what happened in the sign-in.
    #[tool]
    async fn wait_for_code(&self, Parameters(asked): Parameters<WaitForCode>) -> Answer {
        if asked.email.is_none() && asked.auth_request_id.is_none() {
            return Err("name an email or an auth_request_id".to_owned());
        }
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let mut query = format!("wait_ms={}", asked.wait_s.unwrap_or(10).min(60) * 1000);
        let whose = asked.email.clone().or(asked.auth_request_id.clone()).unwrap_or_default();
        let key = (asked.environment.unwrap_or_default(), whose);
        if let Some(since) = self.given.lock().await.get(&key) {
            query.push_str(&format!("&since={}", escaped(since)));
        }
        query.push_str("&unused=true");
        for (name, value) in [("to", &asked.email), ("auth_request_id", &asked.auth_request_id)] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        let message = control.get(&format!("/messages/latest?{query}")).await.map_err(said)?;
        if let Some(id) = message["id"].as_str() {
            self.given.lock().await.insert(key, id.to_owned());
        }
        let shown = ["to", "subject", "code", "link", "auth_request_id", "created_at"];
        let shown: Map<String, Value> =
            shown.iter().map(|name| ((*name).to_owned(), message[*name].clone())).collect();
        Ok(Value::Object(shown).to_string())
    }

    /// Enters a code in a sign-in of start_sign_in. Gives the URL by which the application is called back; request it from
    /// the application to finish the sign-in there.
    #[tool]
    async fn enter_code(&self, Parameters(asked): Parameters<EnterCode>) -> Answer {
        let browser = self.browsers.lock().await.get(&asked.auth_request_id).cloned();
        let mut browser = browser.ok_or("there is no such sign-in of start_sign_in")?;
        let entered = browser.enter(asked.code.trim()).await.map_err(said)?;
        self.browsers.lock().await.insert(asked.auth_request_id.clone(), browser);
        match entered {
            Entered::Callback(url) => Ok(json!({ "callback_url": url }).to_string()),
            Entered::Refused => {
                let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
                Err(timelines::timeline(&control, &asked.auth_request_id, None).await.map_err(said)?)
            }
        }
    }

    /// What happened in a sign-in, step by step, and why it failed. Without an id, the last ones are told, those that
    /// failed or are not finished first.
    #[tool]
    async fn explain_sign_in(&self, Parameters(asked): Parameters<ExplainSignIn>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        if let Some(id) = &asked.auth_request_id {
            return timelines::timeline(&control, id, None).await.map_err(said);
        }
        let email = asked.email.map(|email| format!("&email={}", escaped(&email))).unwrap_or_default();
        let mut told = vec![];
        for statuses in ["FAILED,PENDING,INITIATED", "SUCCESS"] {
            let path = format!("/flows?page_size=3&status={statuses}{email}");
            let found = control.get(&path).await.map_err(said)?;
            for flow in found["flows"].as_array().into_iter().flatten() {
                let id = flow["id"].as_str().unwrap_or_default();
                told.push(timelines::timeline(&control, id, None).await.map_err(said)?);
            }
        }
        Ok(if told.is_empty() { "There was no such sign-in.".to_owned() } else { told.join("\n") })
    }

    /// Shows or changes the time by which codes, sessions and tokens expire. Nobody has to wait.
    #[tool]
    async fn clock(&self, Parameters(asked): Parameters<Clock>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let change = [
            ("advance_s", asked.advance_s.map(Value::from)),
            ("now", asked.now.map(Value::from)),
            ("frozen", asked.frozen.map(Value::from)),
        ];
        let change: Map<String, Value> =
            change.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let clock = if asked.reset {
            control.call(Method::DELETE, "/clock", None).await
        } else if change.is_empty() {
            control.get("/clock").await
        } else {
            control.call(Method::PUT, "/clock", Some(&Value::Object(change))).await
        };
        Ok(clock.map_err(said)?.to_string())
    }

    /// Breaks something on purpose: adds a rule by which requests or emails go wrong.
    #[tool]
    async fn add_fault(&self, Parameters(asked): Parameters<AddFault>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let rule = Value::Object(asked.rule);
        Ok(control.call(Method::POST, "/faults", Some(&rule)).await.map_err(said)?.to_string())
    }

    /// Deletes all rules of add_fault.
    #[tool]
    async fn clear_faults(&self, Parameters(asked): Parameters<InEnvironment>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        Ok(control.call(Method::DELETE, "/faults", None).await.map_err(said)?.to_string())
    }

    /// Makes everything as it was seeded: users, sessions, emails, settings, clock and faults.
    #[tool]
    async fn reset(&self, Parameters(asked): Parameters<InEnvironment>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        control.call(Method::POST, "/reset", None).await.map_err(said)?;
        Ok("Everything is as it was seeded.".to_owned())
    }

    /// Lists the users of the environment, newest first.
    #[tool]
    async fn list_users(&self, Parameters(asked): Parameters<ListUsers>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let search = asked.query.map(|text| format!(":search?query={}", escaped(&text))).unwrap_or_default();
        Ok(control.get(&format!("/api/users{search}")).await.map_err(said)?.to_string())
    }

    /// Adds a user. Users also appear with their first sign-in.
    #[tool]
    async fn add_user(&self, Parameters(asked): Parameters<AddUser>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let mut user = json!({ "email": asked.email });
        if let Some(name) = asked.name {
            user["name"] = name.into();
        }
        if !asked.organizations.is_empty() {
            user["organizations"] = asked.organizations.into();
        }
        Ok(control.call(Method::POST, "/users", Some(&user)).await.map_err(said)?.to_string())
    }

    /// Tokens for a user, as if that user had just signed in.
    #[tool]
    async fn mint_token(&self, Parameters(asked): Parameters<MintToken>) -> Answer {
        let control = control_of(&self.options, asked.environment.as_deref()).await.map_err(said)?;
        let mut wanted = json!({ "user": asked.user, "claims": asked.claims });
        let others = [
            ("client_id", asked.client_id.map(Value::from)),
            ("scope", asked.scope.map(Value::from)),
            ("access_token_lifetime_s", asked.access_token_lifetime_s.map(Value::from)),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                wanted[name] = value;
            }
        }
        Ok(control.call(Method::POST, "/tokens", Some(&wanted)).await.map_err(said)?.to_string())
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("vestibule", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }
}

/// What went wrong, for the agent.
fn said(error: impl Into<anyhow::Error>) -> String {
    crate::telemetry::said_once(error.into().as_ref())
}

/// An authorization request that names the address.
fn with_hint(authorization_url: &str, email: &str) -> Result<Url, String> {
    let mut url = Url::parse(authorization_url).map_err(|error| format!("authorization_url: {error}"))?;
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "login_hint")
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("login_hint", email);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_request_names_the_address_once() {
        let url = with_hint(
            "http://localhost:6870/oauth/authorize?a=b%20c&login_hint=old%40x.y",
            "jane+1@example.com",
        );
        assert_eq!(
            url.unwrap().as_str(),
            "http://localhost:6870/oauth/authorize?a=b+c&login_hint=jane%2B1%40example.com"
        );
        assert!(with_hint("/oauth/authorize", "a@b.c").is_err());
    }
}
