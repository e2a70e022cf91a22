//! Other providers and emulators, as their registries give them, and the same things done at them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::load::{Client, Turn, on_this_thread};
use super::ours::CALLBACK;
use super::servers::{Process, free_port};

/// Where `bench/run` put them.
fn installed() -> PathBuf {
    std::env::var_os("BENCH_PEERS").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from)
}

/// `oidc-provider` for Node, its adapter in memory.
pub fn oidc_provider() -> Result<Process, String> {
    let port = free_port();
    let mut command = node("oidc-provider.mjs")?;
    Process::start(command.env("PORT", port.to_string()), port, "/.well-known/openid-configuration")
}

/// `oauth2-mock-server` for Node.
pub fn mock_server() -> Result<Process, String> {
    let port = free_port();
    let mut command = node("node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs")?;
    let command = command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    Process::start(command, port, "/.well-known/openid-configuration")
}

/// Firebase's emulator of its authentication, which needs a folder for its configuration.
pub fn firebase(folder: &Path) -> Result<Process, String> {
    let port = free_port();
    let at = |port: u16| json!({ "host": "127.0.0.1", "port": port });
    let emulators = json!({
        "auth": at(port), "hub": at(free_port()), "logging": at(free_port()), "ui": { "enabled": false },
    });
    let file = folder.join("firebase.json");
    std::fs::write(file, json!({ "emulators": emulators }).to_string()).map_err(|e| e.to_string())?;
    let mut command = node("node_modules/firebase-tools/lib/bin/firebase.js")?;
    command.args(["emulators:start", "--only", "auth", "--project", "demo-bench"]).current_dir(folder);
    Process::start(command.env("CI", "1"), port, "/")
}

/// Ory Hydra on PostgreSQL, with a client.
pub fn hydra(database: Option<String>) -> Result<Process, String> {
    let database = database.ok_or("PostgreSQL is not installed")?;
    let program = installed().join("hydra").canonicalize().map_err(|error| format!("hydra: {error}"))?;
    let (port, admin) = (free_port(), free_port());
    let hydra = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .env("DSN", &database)
            .env("SECRETS_SYSTEM", "a secret of thirty-two characters")
            .env("URLS_SELF_ISSUER", format!("http://127.0.0.1:{port}"))
            .env("SERVE_PUBLIC_PORT", port.to_string())
            .env("SERVE_ADMIN_PORT", admin.to_string())
            .env("SERVE_PUBLIC_HOST", "127.0.0.1")
            .env("SERVE_ADMIN_HOST", "127.0.0.1")
            .env("LOG_LEVEL", "error")
            .env("SQA_OPT_OUT", "true");
        command
    };
    let migrated = hydra(&["migrate", "sql", "up", "-e", "--yes"]).output().map_err(|e| e.to_string())?;
    if !migrated.status.success() {
        let said = String::from_utf8_lossy(&migrated.stderr);
        return Err(format!("migrate: {}", said.lines().last().unwrap_or_default()));
    }
    let process = Process::start(&mut hydra(&["serve", "all", "--dev"]), port, "/health/ready")?;
    let admin = format!("127.0.0.1:{admin}");
    let client = json!({
        "client_id": "bench", "client_secret": "bench-secret", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
    });
    on_this_thread(async {
        Client::open(&admin).await.post_json("/admin/clients", "", &client).await.ok();
    });
    Ok(process)
}

/// An application gets a token for itself from Hydra.
pub async fn client_credentials_at_hydra(mut client: Client, _: Turn) -> Client {
    client.post("/oauth2/token", &[("grant_type", "client_credentials"), CLIENT[0], CLIENT[1]]).await.ok();
    client
}

pub async fn keys_at_hydra(mut client: Client, _: Turn) -> Client {
    client.get("/.well-known/jwks.json").await.ok();
    client
}

fn node(script: &str) -> Result<Command, String> {
    let script = installed().join("node").join(script);
    let script = script.canonicalize().map_err(|error| format!("{}: {error}", script.display()))?;
    let mut command = Command::new("node");
    command.arg(script);
    Ok(command)
}

const CLIENT: [(&str, &str); 2] = [("client_id", "bench"), ("client_secret", "bench-secret")];

/// An application gets a token for itself, from either of the two for Node.
pub async fn client_credentials(mut client: Client, _: Turn) -> Client {
    client.post("/token", &[("grant_type", "client_credentials"), CLIENT[0], CLIENT[1]]).await.ok();
    client
}

pub async fn keys(mut client: Client, _: Turn) -> Client {
    client.get("/jwks").await.ok();
    client
}

async fn exchange(client: &mut Client, code: &str) -> serde_json::Value {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        CLIENT[0],
        CLIENT[1],
    ];
    client.post("/token", &form).await.ok().json()
}

/// A person signs in at oidc-provider: authorize, name, consent, exchange. There is no email.
pub async fn sign_in_at_oidc_provider(mut client: Client, turn: Turn) -> Client {
    tokens(&mut client, turn).await;
    client
}

async fn tokens(client: &mut Client, turn: Turn) -> serde_json::Value {
    client.forget();
    let query = "response_type=code&client_id=bench&scope=openid&state=af0ifjsldkj";
    let back = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>();
    let login = client.get(&format!("/auth?{query}&redirect_uri={back}")).await.next();
    let name = format!("person-{turn}");
    let form = [("prompt", "login"), ("login", &name), ("password", "any")];
    let resume = client.post(&login, &form).await.next();
    let consent = client.get(&resume).await.next();
    let resume = client.post(&consent, &[("prompt", "consent")]).await.next();
    let code = client.get(&resume).await.parameter("code");
    exchange(client, &code).await
}

pub async fn refresh(mut client: Client, turn: Turn) -> Client {
    if client.memory.is_empty() {
        client.memory = tokens(&mut client, turn).await["refresh_token"].as_str().unwrap().to_owned();
    }
    let token = client.memory.clone();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &token), CLIENT[0], CLIENT[1]];
    let tokens = client.post("/token", &form).await.ok().json();
    client.memory = tokens["refresh_token"].as_str().unwrap().to_owned();
    client
}

pub async fn introspection(mut client: Client, turn: Turn) -> Client {
    if client.memory.is_empty() {
        client.memory = tokens(&mut client, turn).await["access_token"].as_str().unwrap().to_owned();
    }
    let token = client.memory.clone();
    let said = client.post("/token/introspection", &[("token", &token), CLIENT[0], CLIENT[1]]).await.ok();
    assert_eq!(said.json()["active"], true);
    client
}

pub async fn userinfo(mut client: Client, turn: Turn) -> Client {
    if client.memory.is_empty() {
        let tokens = tokens(&mut client, turn).await;
        client.memory = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    }
    let authorization = client.memory.clone();
    client.get_with("/me", &authorization).await.ok();
    client
}

/// Somebody signs in at oauth2-mock-server, which asks nobody: authorize, exchange.
pub async fn sign_in_at_mock_server(mut client: Client, _: Turn) -> Client {
    let back = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>();
    let query = format!("response_type=code&client_id=bench&scope=openid&state=x&redirect_uri={back}");
    let code = client.get(&format!("/authorize?{query}")).await.parameter("code");
    exchange(&mut client, &code).await;
    client
}

/// A person signs in by a link at Firebase's emulator: send, read all emails, use the link.
pub async fn sign_in_at_firebase(mut client: Client, turn: Turn) -> Client {
    let accounts = "/identitytoolkit.googleapis.com/v1/accounts";
    let address = format!("person-{turn}@example.com");
    let send = json!({ "requestType": "EMAIL_SIGNIN", "email": address, "continueUrl": "http://localhost/" });
    client.post_json(&format!("{accounts}:sendOobCode?key=any"), "", &send).await.ok();
    let mails = client.get("/emulator/v1/projects/demo-bench/oobCodes").await.ok().json();
    let mail = mails["oobCodes"].as_array().unwrap().iter().rfind(|m| m["email"] == address.as_str());
    let proof = json!({ "email": address, "oobCode": mail.unwrap()["oobCode"] });
    let tokens =
        client.post_json(&format!("{accounts}:signInWithEmailLink?key=any"), "", &proof).await.ok().json();
    assert!(tokens["idToken"].is_string());
    client
}
