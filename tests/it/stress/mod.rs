//! What holds when servers are many, die, or lose what they stand on. The servers are real processes.

mod cascades;
mod clock;
mod crashes;
mod mails;
mod outages;
mod proxy;
mod replicas;
mod unread;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, redirect};
use serde_json::Value;

use crate::support::person::Page;
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Database, Engine};

/// Longer than any wait that the server promises to end, which is about ten seconds; the rest is for slow machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// A number of rounds, which the environment may raise.
fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server in a process of its own, always on the same port. It is killed when this is dropped.
struct Process {
    folder: tempfile::TempDir,
    toml: String,
    database_url: Option<String>,
    pub port: u16,
    pub url: String,
    child: Option<Child>,
    /// Words before the program, such as a shell that sets limits.
    wrapper: Vec<&'static str>,
}

impl Process {
    /// `None` as database: SQLite in the folder of the process.
    fn new(database_url: Option<String>, toml: &str) -> Self {
        let port = free_port();
        Self {
            folder: tempfile::tempdir().unwrap(),
            toml: toml.to_owned(),
            database_url,
            port,
            url: format!("http://localhost:{port}"),
            child: None,
            wrapper: vec![],
        }
    }

    async fn running(database_url: Option<String>, toml: &str) -> Self {
        let mut process = Self::new(database_url, toml);
        process.start().await;
        process
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Starts it without waiting.
    fn launch(&mut self) {
        std::fs::write(self.folder.path().join("vestibule.toml"), &self.toml).unwrap();
        let program = env!("CARGO_BIN_EXE_vestibule");
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file(&self.log()));
        if let Some(url) = &self.database_url {
            command.env("DATABASE_URL", url);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// Starts it, waits until it is ready and tells how long that took.
    async fn start(&mut self) -> Duration {
        let began = Instant::now();
        self.launch();
        self.wait_until_ready(Duration::from_secs(30)).await;
        began.elapsed()
    }

    async fn wait_until_ready(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let client = client();
        while !self.is_ready(&client).await {
            assert!(Instant::now() < deadline, "not ready: {}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn is_ready(&self, client: &Client) -> bool {
        let asked = client.get(format!("{}/ready", self.url)).timeout(Duration::from_secs(5)).send().await;
        asked.is_ok_and(|answer| answer.status() == 200)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// kill -9.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and the end.
    async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.said());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_file(path: &Path) -> Stdio {
    std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().into()
}

/// Database and its URL for [`Process::new`]; `None`: there is no PostgreSQL, and the test is noted as skipped.
async fn database_for(engine: Engine) -> Option<(Database, Option<String>)> {
    let database = Database::fresh(engine).await?;
    let url = (engine == Engine::Postgres).then(|| database.connect_url());
    Some((database, url))
}

/// A browser without cookies yet, which follows no redirect.
fn client() -> Client {
    let builder = Client::builder().cookie_store(true).redirect(redirect::Policy::none());
    // No proxy and no name to resolve twice: these tests make thousands of them.
    builder.no_proxy().resolve("localhost", ([127, 0, 0, 1], 0).into()).build().unwrap()
}

/// An address that nobody had before.
fn new_address() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("person{}@example.com", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// `None`: there was no whole answer.
async fn ask(request: RequestBuilder) -> Option<Page> {
    let response = request.timeout(PATIENCE).send().await.ok()?;
    let (status, headers, url) =
        (response.status().as_u16(), response.headers().clone(), response.url().clone());
    let body = response.text().await.ok()?;
    let location = headers.get("location").map(|l| l.to_str().unwrap().to_owned());
    Some(Page { status, location, headers, body, url: url.into() })
}

/// Somebody who signs in, at any of the servers.
#[derive(Clone)]
struct Visitor {
    browser: Client,
    address: String,
}

impl Visitor {
    fn new() -> Self {
        Self { browser: client(), address: new_address() }
    }

    /// Opens the sign-in, which sends an email.
    async fn start(&self, server: &str) -> Option<Page> {
        let query = [
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("scope", "openid email offline_access"),
            ("state", "af0ifjsldkj"),
            ("login_hint", self.address.as_str()),
        ];
        ask(self.browser.get(format!("{server}/oauth/authorize")).query(&query)).await
    }

    /// The same, where it has to succeed; returns the path of its page.
    async fn started(&self, server: &str) -> String {
        let page = self.start(server).await.unwrap();
        path_of(&page).unwrap_or_else(|| panic!("{} {:?} {}", page.status, page.location, page.body))
    }

    /// The newest email to the address.
    async fn mail(&self, server: &str) -> Option<Value> {
        let query = [("to", self.address.as_str()), ("wait_ms", "2000")];
        let page =
            ask(self.browser.get(format!("{server}/_emulator/v1/messages/latest")).query(&query)).await?;
        (page.status == 200).then(|| page.json())
    }

    async fn enter_code(&self, server: &str, path: &str, code: &str) -> Option<Page> {
        ask(self.browser.post(format!("{server}{path}/code")).form(&[("code", code)])).await
    }

    async fn follow(&self, server: &str, link: &str) -> Option<Page> {
        let token = link.split("link_token=").nth(1).unwrap();
        ask(self.browser.post(format!("{server}/login/link")).form(&[("link_token", token)])).await
    }

    /// A whole sign-in by code.
    async fn tokens(&self, server: &str) -> Value {
        let path = self.started(server).await;
        let code = self.mail(server).await.unwrap()["code"].as_str().unwrap().to_owned();
        let page = self.enter_code(server, &path, &code).await.unwrap();
        let code = page.answer("code").unwrap_or_else(|| panic!("{}", page.body));
        exchange(&self.browser, server, &code).await.unwrap().json()
    }
}

/// Path of the sign-in that an authorization was answered with.
fn path_of(page: &Page) -> Option<String> {
    let path = url::Url::parse(page.location.as_deref()?).unwrap().path().to_owned();
    path.starts_with("/login/").then_some(path)
}

async fn token_request(client: &Client, server: &str, path: &str, form: &[(&str, &str)]) -> Option<Page> {
    let mut all = vec![("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    all.extend_from_slice(form);
    ask(client.post(format!("{server}{path}")).form(&all)).await
}

async fn exchange(client: &Client, server: &str, code: &str) -> Option<Page> {
    let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    token_request(client, server, "/oauth/token", &form).await
}

async fn refresh(client: &Client, server: &str, token: &str) -> Option<Page> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    token_request(client, server, "/oauth/token", &form).await
}

async fn is_active(client: &Client, server: &str, token: &str) -> bool {
    let page = token_request(client, server, "/oauth/introspect", &[("token", token)]).await.unwrap();
    page.json()["active"] == true
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
