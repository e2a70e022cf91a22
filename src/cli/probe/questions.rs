//! The questions that can be asked by API calls alone, without an email and without harm, and how.

use std::collections::BTreeMap;

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use super::interruption::Interruption;
use super::made::Made;
use crate::cli::remote::{Answer, Remote, escaped};
use crate::telemetry::said_once;

/// Questions of docs/COMPATIBILITY.md's list of assumptions, and what Vestibule does by default.
pub(super) const QUESTIONS: &[(&str, &str)] = &[
    (TAKEN_VALUE, "refused with 409"),
    (FREED_EXTERNAL_ID, "the external id can be used again"),
    (EXISTING_EMAIL, "refused with 409"),
    (LAST_MEMBERSHIP, "the user stays"),
    (EMAIL_VERIFIED, "false"),
    (EMPTY_MAP, "metadata stay"),
    (DOMAIN_TYPE, "ORGANIZATION_DOMAIN"),
    (DOMAIN_VERIFIED, "VERIFIED, ADMIN"),
    (DEFAULT_ROLES, "admin for creators, member for members"),
    (TAKEN_ROLE, "refused with 409"),
    (UNKNOWN_PERMISSION, "refused with 400"),
    (BAD_PAGE_TOKEN, "refused with 400"),
    (MACHINE_SECRETS, "a third one is refused with 400"),
    (INVALID_TOKEN, "refused with 404"),
    (SAME_BROWSER, "both on"),
    (NO_PAGE_SIZE, "10"),
];

const TAKEN_VALUE: &str = "a value that another record has already (`external_id`, `slug`)";
const FREED_EXTERNAL_ID: &str = "external ids";
const EXISTING_EMAIL: &str = "an address that a user has already, in `CreateUserAndMembership`";
const LAST_MEMBERSHIP: &str = "`DeleteMembership` of the last membership";
const EMAIL_VERIFIED: &str = "`email_verified` of a user made by the API";
const EMPTY_MAP: &str = "empty lists and maps in a change of a user or membership";
const DOMAIN_TYPE: &str = "a domain without a type";
const DOMAIN_VERIFIED: &str = "domains that are made by API";
const DEFAULT_ROLES: &str = "roles of a new environment";
const TAKEN_ROLE: &str = "a role or permission whose name is taken";
const UNKNOWN_PERMISSION: &str = "permissions that do not exist";
const BAD_PAGE_TOKEN: &str = "`page_token`";
const MACHINE_SECRETS: &str = "secrets of a machine client";
const INVALID_TOKEN: &str = "an API token that is unknown, has expired or was invalidated";
const SAME_BROWSER: &str = "defaults of same-browser enforcement and regeneration";
const NO_PAGE_SIZE: &str = "`page_size` of lists";

/// What the name of everything that is made begins with.
const NAME: &str = "vestibule probe";

/// What was found out.
#[derive(Default)]
pub(super) struct Asked {
    /// What the environment does, by question.
    pub(super) answers: BTreeMap<&'static str, String>,
    /// Why some questions could not be asked.
    pub(super) problems: Vec<String>,
}

/// Asks everything, in a fixed order. `mark` is in all names, so that nothing else has them.
pub(super) async fn ask(
    remote: &mut Remote,
    made: &mut Made,
    interruption: &Interruption,
    mark: &str,
) -> Asked {
    let mut asking = Asking { remote, made, interruption, mark, asked: Asked::default() };
    let acme = asking.organizations().await;
    if let Some(acme) = asking.or_problem(acme) {
        let outcome = asking.users(&acme).await;
        asking.or_problem(outcome);
        let outcome = asking.domains(&acme).await;
        asking.or_problem(outcome);
        let outcome = asking.machine_clients(&acme).await;
        asking.or_problem(outcome);
    }
    let outcome = asking.roles().await;
    asking.or_problem(outcome);
    let outcome = asking.api_tokens().await;
    asking.or_problem(outcome);
    let outcome = asking.settings().await;
    asking.or_problem(outcome);
    asking.asked
}

struct Asking<'a> {
    remote: &'a mut Remote,
    made: &'a mut Made,
    interruption: &'a Interruption,
    mark: &'a str,
    asked: Asked,
}

impl Asking<'_> {
    /// Other questions are asked where some cannot be.
    fn or_problem<T>(&mut self, outcome: anyhow::Result<T>) -> Option<T> {
        outcome.map_err(|error| self.asked.problems.push(said_once(error.as_ref()))).ok()
    }

    /// A name in ids.
    fn key(&self) -> String {
        format!("vestibule_probe_{}", self.mark)
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        self.interruption.check()?;
        self.remote.call(method, path, body).await
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.interruption.check()?;
        self.remote.get(path).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, Some(body)).await
    }

    fn note(&mut self, question: &'static str, answer: impl Into<String>) {
        self.asked.answers.insert(question, answer.into());
    }

    /// Makes a record that the questions need; `kind` is that of the answer's field.
    async fn make(&mut self, path: &str, body: &Value, kind: &str, id: &str) -> anyhow::Result<String> {
        let answer = self.post(path, body).await?;
        match answer.body[kind][id].as_str() {
            Some(id) if answer.is_success() => Ok(id.to_owned()),
            _ => bail!("{path} makes no {kind} ({}): {}", answer.status, answer.message()),
        }
    }

    /// Organizations, of which the first one stays until the end.
    async fn organizations(&mut self) -> anyhow::Result<String> {
        let key = self.key();
        let fields = json!({ "display_name": NAME, "external_id": key });
        let acme = self.make("/organizations", &fields, "organization", "id").await?;
        self.made.add(format!("/organizations/{acme}"));
        let twin = self.post("/organizations", &fields).await?;
        if let Some(id) = twin.body["organization"]["id"].as_str() {
            self.made.add(format!("/organizations/{id}"));
        }
        self.note(TAKEN_VALUE, outcome(&twin));

        let fields = json!({ "display_name": NAME, "external_id": format!("{key}_2") });
        let first = self.make("/organizations", &fields, "organization", "id").await?;
        let path = format!("/organizations/{first}");
        self.made.add(path.clone());
        self.call(Method::DELETE, &path, None).await?;
        let second = self.post("/organizations", &fields).await?;
        if let Some(id) = second.body["organization"]["id"].as_str() {
            self.made.add(format!("/organizations/{id}"));
        }
        let is_free = second.is_success() && second.body["organization"]["id"] != first.as_str();
        self.note(
            FREED_EXTERNAL_ID,
            if is_free { "the external id can be used again".to_owned() } else { outcome(&second) },
        );
        let list = self.get("/organizations").await?;
        let count = list["organizations"].as_array().map_or(0, Vec::len);
        // A list that one page holds tells nothing.
        if list["next_page_token"].as_str().is_some_and(|token| !token.is_empty()) {
            self.note(NO_PAGE_SIZE, count.to_string());
        }
        let bad_token = self.call(Method::GET, "/organizations?page_token=nobody", None).await?;
        self.note(BAD_PAGE_TOKEN, outcome(&bad_token));
        Ok(acme)
    }

    async fn users(&mut self, acme: &str) -> anyhow::Result<()> {
        let path = format!("/organizations/{acme}/users?send_invitation_email=false");
        let email = format!("vestibule.probe.{}@example.com", self.mark);
        let fields = json!({ "email": email, "metadata": { "made_by": NAME } });
        let user = self.make(&path, &fields, "user", "id").await?;
        self.made.add(format!("/users/{user}"));
        let shown = self.get(&format!("/users/{user}")).await?["user"].clone();
        let verified = shown["user_profile"]["email_verified"].as_bool().unwrap_or_default();
        self.note(EMAIL_VERIFIED, verified.to_string());

        let second =
            self.make("/organizations", &json!({ "display_name": NAME }), "organization", "id").await?;
        self.made.add(format!("/organizations/{second}"));
        let path = format!("/organizations/{second}/users?send_invitation_email=false");
        let again = self.post(&path, &fields).await?;
        if let Some(id) = again.body["user"]["id"].as_str() {
            self.made.add(format!("/users/{id}"));
        }
        self.note(EXISTING_EMAIL, outcome(&again));

        let change = json!({ "metadata": {} });
        self.call(Method::PATCH, &format!("/users/{user}"), Some(&change)).await?;
        let shown = self.get(&format!("/users/{user}")).await?["user"].clone();
        let stays = shown["metadata"]["made_by"] == NAME;
        self.note(EMPTY_MAP, if stays { "metadata stay" } else { "metadata are emptied" });

        for organization in [second.as_str(), acme] {
            let path = format!("/memberships/organizations/{organization}/users/{user}");
            self.call(Method::DELETE, &path, None).await?;
        }
        let left = self.call(Method::GET, &format!("/users/{user}"), None).await?;
        let text = if left.is_success() { "the user stays".to_owned() } else { outcome(&left) };
        self.note(LAST_MEMBERSHIP, text);
        Ok(())
    }

    async fn domains(&mut self, acme: &str) -> anyhow::Result<()> {
        let path = format!("/organizations/{acme}/domains");
        let domain = format!("vestibule-probe-{}.example.com", self.mark);
        let answer = self.post(&path, &json!({ "domain": domain })).await?;
        let domain = &answer.body["domain"];
        if !answer.is_success() {
            let text = outcome(&answer);
            self.note(DOMAIN_TYPE, text.clone());
            self.note(DOMAIN_VERIFIED, text);
            return Ok(());
        }
        let text = |field: &str| domain[field].as_str().unwrap_or("nothing").to_owned();
        let (domain_type, status, method) =
            (text("domain_type"), text("verification_status"), text("verification_method"));
        self.note(DOMAIN_TYPE, domain_type);
        self.note(DOMAIN_VERIFIED, format!("{status}, {method}"));
        Ok(())
    }

    async fn roles(&mut self) -> anyhow::Result<()> {
        let list = self.get("/roles").await?["roles"].clone();
        let default = |flag: &str| {
            let mut with_flag = list.as_array().into_iter().flatten().filter(|role| role[flag] == true);
            with_flag.next().and_then(|role| role["name"].as_str()).unwrap_or("none").to_owned()
        };
        let (creator, member) = (default("default_creator"), default("default_member"));
        self.note(DEFAULT_ROLES, format!("{creator} for creators, {member} for members"));
        let key = self.key();
        let fields = json!({ "name": key, "display_name": NAME });
        self.make("/roles", &fields, "role", "name").await?;
        self.made.add(format!("/roles/{key}"));
        let twin = self.post("/roles", &fields).await?;
        self.note(TAKEN_ROLE, outcome(&twin));
        let name = format!("{key}_2");
        let unknown =
            json!({ "name": name, "display_name": NAME, "permissions": [format!("{key}:unknown")] });
        let answer = self.post("/roles", &unknown).await?;
        if answer.is_success() {
            self.made.add(format!("/roles/{name}"));
        }
        self.note(UNKNOWN_PERMISSION, outcome(&answer));
        Ok(())
    }

    async fn machine_clients(&mut self, acme: &str) -> anyhow::Result<()> {
        let path = format!("/organizations/{acme}/clients");
        let client = self.make(&path, &json!({ "name": NAME }), "client", "client_id").await?;
        let path = format!("{path}/{client}");
        self.made.add(path.clone());
        let secrets = format!("{path}/secrets");
        self.call(Method::POST, &secrets, None).await?;
        let third = self.call(Method::POST, &secrets, None).await?;
        let text = if third.is_success() {
            "a third one is made".to_owned()
        } else {
            format!("a third one is {}", outcome(&third))
        };
        self.note(MACHINE_SECRETS, text);
        Ok(())
    }

    async fn api_tokens(&mut self) -> anyhow::Result<()> {
        let answer = self.post("/tokens:validate", &json!({ "token": "sk_of_nobody" })).await?;
        self.note(INVALID_TOKEN, outcome(&answer));
        Ok(())
    }

    async fn settings(&mut self) -> anyhow::Result<()> {
        let list = self.get("/connections").await?["connections"].clone();
        let connections = list.as_array().into_iter().flatten();
        let Some(id) = connections.filter(|c| c["type"] == "PASSWORDLESS").find_map(|c| c["id"].as_str())
        else {
            return Ok(());
        };
        let connection = self.get(&format!("/connections/{}", escaped(id))).await?["connection"].clone();
        let config = &connection["passwordless_config"];
        let is_on = |field: &str| config[field].as_bool().unwrap_or_default();
        let text = match (
            is_on("enforce_same_browser_origin"),
            is_on("regenerate_passwordless_credentials_on_resend"),
        ) {
            (true, true) => "both on",
            (true, false) => "enforcement on, regeneration off",
            (false, true) => "enforcement off, regeneration on",
            (false, false) => "both off",
        };
        self.note(SAME_BROWSER, text);
        Ok(())
    }
}

/// An answer in words that two environments have in common.
fn outcome(answer: &Answer) -> String {
    if answer.is_success() { "accepted".to_owned() } else { format!("refused with {}", answer.status) }
}
