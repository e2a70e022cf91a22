//! Vestibule, and what applications and users do at it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::auth::passwordless::verify_password_less_request::AuthCredential;
use vestibule::api::pb::scalekit::v1::auth::passwordless::{
    SendPasswordlessRequest, SendPasswordlessResponse, VerifyPasswordLessRequest, VerifyPasswordLessResponse,
};
use vestibule::config::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};

use super::load::{Client, Turn};
use super::servers::{Process, free_port};

/// Where the application waits for users.
pub const CALLBACK: &str = "http://localhost:3000/cb";

/// The program under measurement.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");

const CLIENT: [(&str, &str); 2] =
    [("client_id", DEFAULT_CLIENT_ID), ("client_secret", DEFAULT_CLIENT_SECRET)];

/// Starts the program with one worker, so that about one core is its own and the load has another. What it keeps, it
/// keeps in the folder.
pub fn start(folder: &Path, settings: &[(&str, &str)]) -> Process {
    start_program(Path::new(PROGRAM), folder, settings)
}

/// The same with another build of it.
pub fn start_program(program: &Path, folder: &Path, settings: &[(&str, &str)]) -> Process {
    let port = free_port();
    let mut command = Command::new(program);
    command
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .current_dir(folder)
        .env("VESTIBULE_WORKERS", "1")
        .env("VESTIBULE_PASSWORDLESS__TYPE", "OTP")
        .env("VESTIBULE_LIMITS__MAILS_PER_ADDRESS", "0")
        .envs(settings.iter().copied());
    Process::start(&mut command, port, "/.well-known/openid-configuration").unwrap()
}

pub async fn keys(mut client: Client, _: Turn) -> Client {
    client.get("/keys").await.ok();
    client
}

/// An application gets a token for itself.
pub async fn client_credentials(mut client: Client, _: Turn) -> Client {
    let form = [("grant_type", "client_credentials"), CLIENT[0], CLIENT[1]];
    client.post("/oauth/token", &form).await.ok();
    client
}

/// The person signs in once, and stays with what they got.
async fn remember(client: &mut Client, turn: Turn, part: &str, scope: &str) {
    if client.memory.is_empty() {
        let tokens = tokens(client, &format!("{part}-{turn}@example.com"), scope).await;
        client.memory = tokens[part].as_str().unwrap().to_owned();
    }
}

pub async fn refresh(mut client: Client, turn: Turn) -> Client {
    remember(&mut client, turn, "refresh_token", "openid offline_access").await;
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", client.memory.as_str()), CLIENT[0], CLIENT[1]];
    let form = form.map(|(name, value)| (name, value.to_owned()));
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let tokens = client.post("/oauth/token", &form).await.ok().json();
    client.memory = tokens["refresh_token"].as_str().unwrap().to_owned();
    client
}

pub async fn introspection(mut client: Client, turn: Turn) -> Client {
    remember(&mut client, turn, "access_token", "openid").await;
    let token = client.memory.clone();
    let said = client.post("/oauth/introspect", &[("token", &token), CLIENT[0], CLIENT[1]]).await.ok();
    assert_eq!(said.json()["active"], true);
    client
}

pub async fn userinfo(mut client: Client, turn: Turn) -> Client {
    remember(&mut client, turn, "access_token", "openid email").await;
    let authorization = format!("Bearer {}", client.memory);
    client.get_with("/userinfo", &authorization).await.ok();
    client
}

/// A person signs in: authorize and send, read the email, type the code, exchange it.
pub async fn sign_in(mut client: Client, turn: Turn) -> Client {
    tokens(&mut client, &format!("person-{turn}@example.com"), "openid email").await;
    client
}

/// Signs a new person in; returns what the token endpoint gave.
async fn tokens(client: &mut Client, address: &str, scope: &str) -> Value {
    client.forget();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", DEFAULT_CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("scope", scope),
            ("state", "af0ifjsldkj"),
            ("login_hint", address),
        ])
        .finish();
    let page = client.get(&format!("/oauth/authorize?{query}")).await.next();
    let typed = code_of(client, address).await;
    let typed = [("code", typed.as_str())];
    let code = client.post(&format!("{page}/code"), &typed).await.parameter("code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        CLIENT[0],
        CLIENT[1],
    ];
    client.post("/oauth/token", &form).await.ok().json()
}

/// The application has a token for itself.
async fn authorized(client: &mut Client) -> String {
    if client.memory.is_empty() {
        let form = [("grant_type", "client_credentials"), CLIENT[0], CLIENT[1]];
        let tokens = client.post("/oauth/token", &form).await.ok().json();
        client.memory = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    }
    client.memory.clone()
}

async fn code_of(client: &mut Client, address: &str) -> String {
    let mail = client.get(&format!("/_emulator/v1/messages/latest?to={address}")).await.ok().json();
    mail["code"].as_str().unwrap().to_owned()
}

/// Headless sign-in over REST: send, read the email, verify.
pub async fn headless(mut client: Client, turn: Turn) -> Client {
    let (passwordless, authorization) = ("/api/v1/passwordless/email", authorized(&mut client).await);
    let address = format!("headless-{turn}@example.com");
    let send = json!({ "email": address });
    let sent = client.post_json(&format!("{passwordless}/send"), &authorization, &send).await.ok().json();
    let code = code_of(&mut client, &address).await;
    let verify = json!({ "code": code, "auth_request_id": sent["auth_request_id"] });
    client.post_json(&format!("{passwordless}/verify"), &authorization, &verify).await.ok();
    client
}

/// The same over gRPC, as the SDKs do it; the email is read over HTTP/1.1.
pub async fn headless_by_grpc(mut client: Client, turn: Turn) -> Client {
    let authorization = authorized(&mut client).await;
    let service = "/scalekit.v1.auth.passwordless.PasswordlessService";
    let email = format!("grpc-{turn}@example.com");
    let send = SendPasswordlessRequest { email: email.clone(), ..SendPasswordlessRequest::default() };
    let sent: SendPasswordlessResponse =
        client.call(&format!("{service}/SendPasswordlessEmail"), &authorization, &send).await;
    let verify = VerifyPasswordLessRequest {
        auth_credential: Some(AuthCredential::Code(code_of(&mut client, &email).await)),
        auth_request_id: Some(sent.auth_request_id),
    };
    let proven: VerifyPasswordLessResponse =
        client.call(&format!("{service}/VerifyPasswordlessEmail"), &authorization, &verify).await;
    assert_eq!(proven.email, email);
    client
}
