//! The program as a newcomer starts it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary with none of this process's settings.
pub fn vestibule(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", folder)
        .current_dir(folder);
    command
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running server that is killed when dropped.
pub struct Running {
    child: Child,
    pub ready: Value,
}

impl Running {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_at(folder, "localhost:0", arguments)
    }

    /// Starts at an address, such as that of a server before it.
    pub fn start_at(folder: &Path, listen: &str, arguments: &[&str]) -> Self {
        let mut command = vestibule(folder);
        command.args(["--listen", listen, "--ready-file", "ready.json"]).args(arguments);
        Self::of(folder, command)
    }

    /// Starts by a command that writes `ready.json` there.
    pub fn of(folder: &Path, mut command: Command) -> Self {
        let ready_file = folder.join("ready.json");
        let _ = std::fs::remove_file(&ready_file);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A configuration may seed thousands of users.
        let deadline = Instant::now() + Duration::from_mins(1);
        let ready = loop {
            if let Ok(text) = std::fs::read_to_string(&ready_file) {
                break serde_json::from_str(&text).unwrap();
            }
            assert!(Instant::now() < deadline, "no ready file");
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, ready }
    }

    pub fn url(&self) -> &str {
        self.ready["environment_url"].as_str().unwrap()
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.url());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let response = reqwest::get(url).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        })
    }

    /// The status of the answer.
    pub fn post(&self, path: &str, body: &Value) -> u16 {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url())).json(body);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    }

    /// SIGTERM, and what it says until it has ended.
    pub fn stop(mut self) -> (Option<i32>, String) {
        let signalled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        let said = self.rest_of_output();
        (self.child.wait().unwrap().code(), said)
    }

    /// What it says until it has ended, because it was told to in another way.
    pub fn ended(mut self) -> String {
        self.rest_of_output()
    }

    fn rest_of_output(&mut self) -> String {
        let mut said = String::new();
        std::io::Read::read_to_string(self.child.stdout.as_mut().unwrap(), &mut said).unwrap();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut said).unwrap();
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_line_of_a_requests_log_carries_the_requests_id_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "[log]\nformat = \"json\"\n").unwrap();
    let server = Running::start(folder.path(), &[]);
    let client_id = server.ready["client_id"].as_str().unwrap().to_owned();
    let url = format!("{}/oauth/token", server.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let form =
        [("grant_type", "client_credentials"), ("client_id", &client_id), ("client_secret", "of-nobody")];
    for _ in 0..2 {
        let status =
            runtime.block_on(async { reqwest::Client::new().post(&url).form(&form).send().await.unwrap() });
        assert_eq!(status.status().as_u16(), 401);
    }
    let (_, said) = server.stop();
    let lines =
        said.lines().filter(|l| l.starts_with('{')).map(|l| serde_json::from_str::<Value>(l).unwrap());
    let failed: Vec<Value> =
        lines.filter(|l| l["fields"]["message"] == "client authentication failed").collect();
    assert_eq!(failed.len(), 2, "{said}");
    let id = |line: &Value| line["span"]["id"].as_str().unwrap().to_owned();
    assert!(id(&failed[0]).len() >= 32 && id(&failed[0]) != id(&failed[1]), "{failed:?}");
    assert_eq!(
        (&failed[0]["span"]["method"], &failed[0]["span"]["path"]),
        (&"POST".into(), &"/oauth/token".into())
    );
    assert!(!said.contains("of-nobody"), "{said}");
}

#[test]
fn nothing_set_starts_says_what_to_paste_and_stops_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    let ready = server.ready.clone();
    assert_eq!(ready["client_id"], "skc_687000000000000001");
    assert_eq!(ready["spa_client_id"], "spac_687000000000000001");
    assert_eq!((server.get("/health").0, server.get("/live").0), (200, 200));
    let (status, body) = server.get("/ready");
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body).unwrap()["status"].clone()),
        (200, "ready".into())
    );
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains('\x1b'), "colours in a file: {said:?}");
    for word in [
        "SCALEKIT_ENVIRONMENT_URL=http://localhost:",
        "SCALEKIT_CLIENT_ID=skc_",
        "SCALEKIT_CLIENT_SECRET=test_",
        "SCALEKIT_SPA_CLIENT_ID=spac_687000000000000001",
        "/_emulator/inbox",
    ] {
        assert!(said.contains(word), "{word} is missing in {said}");
    }
    assert!(folder.path().join(".vestibule/vestibule.db").is_file());
}

#[test]
fn keys_are_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::start(folder.path(), &[]);
    let keys = first.get("/keys").1;
    first.stop();
    let second = Running::start(folder.path(), &[]);
    assert_eq!(second.get("/keys").1, keys);
    second.stop();
}

#[test]
fn ephemeral_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    assert_eq!(server.get("/keys").0, 200);
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn listening_elsewhere_with_the_well_known_credentials_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = vestibule(folder.path()).args(["--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("VESTIBULE_CLIENT_SECRET"), "{}", text(&refused));
}

#[test]
fn production_mode_without_a_master_key_is_warned_about_at_every_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_own\"\n\
                    client_secret = \"a secret of our own\"\n[smtp]\nhost = \"127.0.0.1\"\nport = 1\n";
    let with_key = format!("master_key = \"a master key of our own\"\n{settings}");
    for (text, is_warned) in [(settings, true), (settings, true), (with_key.as_str(), false)] {
        std::fs::write(folder.path().join("vestibule.toml"), text).unwrap();
        let (_, said) = Running::start(folder.path(), &[]).stop();
        assert_eq!(said.contains("master_key is not set"), is_warned, "{said}");
    }
}

#[test]
fn in_production_a_proxy_that_is_not_trusted_is_warned_about_once() {
    let settings = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_own\"\n\
                    client_secret = \"a secret of our own\"\n[smtp]\nhost = \"127.0.0.1\"\nport = 1\n";
    let trusting = format!("trusted_proxies = [\"127.0.0.1\", \"::1\"]\n{settings}");
    let development = String::new();
    for (text, header, warnings) in [
        (settings, "x-forwarded-for", 1),
        (settings, "forwarded", 1),
        (settings, "x-request-id", 0),
        (&trusting, "x-forwarded-for", 0),
        (&development, "x-forwarded-for", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vestibule.toml"), text).unwrap();
        let server = Running::start(folder.path(), &[]);
        let url = format!("http://{}/oauth/authorize", server.ready["listen"].as_str().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for _ in 0..2 {
            let request = reqwest::Client::new().get(&url).header(header, "for=192.0.2.1");
            runtime.block_on(async { request.send().await.unwrap() });
        }
        let (_, said) = server.stop();
        assert_eq!(said.matches("is not in trusted_proxies").count(), warnings, "{header}: {said}");
        assert_eq!(said.matches("set VESTIBULE_TRUSTED_PROXIES=").count(), warnings, "{header}: {said}");
    }
}

#[test]
fn browsers_that_ask_for_an_icon_get_it_and_the_log_says_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let (status, icon) = server.get("/favicon.ico");
    assert_eq!(status, 200);
    assert!(icon.contains("<svg"), "{icon}");
    assert_eq!(server.get("/nothing.ico").0, 404);
    let (_, said) = server.stop();
    assert!(!said.contains("favicon"), "{said}");
    assert_eq!(said.matches("not emulated").count(), 1, "of the other one alone: {said}");
}

/// What a server writes to its log at a terminal, which `script` of util-linux is.
#[cfg(target_os = "linux")]
fn log_at_a_terminal(no_color: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_vestibule");
    let line = format!("exec {program} --listen localhost:0 --ready-file ready.json --ephemeral");
    let mut command = vestibule(folder.path());
    let environment: Vec<_> =
        command.get_envs().map(|(n, v)| (n.to_owned(), v.map(ToOwned::to_owned))).collect();
    command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "terminal.txt"]).current_dir(folder.path());
    command.env_clear().envs(environment.into_iter().filter_map(|(n, v)| Some((n, v?))));
    command.env("VESTIBULE_LOG__FILTER", "vestibule=debug").stdin(Stdio::null());
    command.envs(no_color.map(|value| ("NO_COLOR", value)));
    let server = Running::of(folder.path(), command);
    assert_eq!(server.get("/keys").0, 200);
    let id = server.ready["pid"].to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let said = server.ended();
    assert!(said.contains("answered"), "{said}");
    said
}

#[test]
#[cfg(target_os = "linux")]
fn the_log_is_coloured_at_a_terminal_alone_and_not_where_no_color_is_set() {
    const ESCAPE: char = '\u{1b}';
    assert!(log_at_a_terminal(None).contains(ESCAPE));
    assert!(log_at_a_terminal(Some("")).contains(ESCAPE), "empty counts as not set (no-color.org)");
    assert!(!log_at_a_terminal(Some("1")).contains(ESCAPE));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "[log]\nfilter = \"vestibule=debug\"\n").unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    assert_eq!(server.get("/keys").0, 200);
    let (_, said) = server.stop();
    assert!(said.contains("answered") && !said.contains(ESCAPE), "{said}");
}

#[test]
fn a_taken_port_is_said_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = vestibule(folder.path()).args(["--ephemeral", "--listen", &address]).output().unwrap();
    assert!(text(&refused).contains("cannot listen on") && !refused.status.success(), "{}", text(&refused));
}

#[test]
fn a_port_alone_is_one_of_localhost() {
    let folder = tempfile::tempdir().unwrap();
    // Free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Running::start_at(folder.path(), &port.to_string(), &["--ephemeral"]);
    assert_eq!(server.url(), format!("http://localhost:{port}"));
    server.stop();
    let mut command = vestibule(folder.path());
    command.args(["--port", &port.to_string(), "--ephemeral", "--ready-file", "ready.json"]);
    command.env("VESTIBULE_LISTEN", "127.0.0.1:1");
    let server = Running::of(folder.path(), command);
    assert_eq!(server.url(), format!("http://127.0.0.1:{port}"), "of the address that is configured");
}

#[test]
fn a_flag_of_another_program_leads_to_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, hint) in [
        (&["--host", "0.0.0.0"][..], "--listen HOST:PORT"),
        (&["start"], "`vestibule` alone runs the server"),
    ] {
        let refused = vestibule(folder.path()).args(arguments).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused).contains(hint), "{}", text(&refused));
    }
}

#[test]
fn a_second_listener_speaks_tls_alone() {
    use std::io::Read as _;
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--listen-tls", "127.0.0.1:0"]);
    let address = server.ready["listen_tls"].as_str().unwrap();
    let mut plain = std::net::TcpStream::connect(address).unwrap();
    plain.write_all(b"GET /keys HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut said = String::new();
    let _ = plain.read_to_string(&mut said);
    assert_eq!(said, "", "plaintext is hung up on");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let ca = std::fs::read(server.ready["ca_file"].as_str().unwrap()).unwrap();
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut tls = crate::support::grpc::tls_over(tcp, &ca, &[]).await.unwrap();
        let request = format!(
            "GET /.well-known/openid-configuration HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            address.replace("127.0.0.1", "localhost")
        );
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        let _ = tls.read_to_string(&mut said).await;
        let port = address.rsplit(':').next().unwrap();
        assert!(said.contains(&format!(r#""issuer":"https://localhost:{port}""#)), "{said}");
    });
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_certificate_without_its_key_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "[tls]\ncertificate = \"none.pem\"\n").unwrap();
    let checked = vestibule(folder.path()).args(["config", "check"]).output().unwrap();
    let said = text(&checked);
    assert!(said.contains("there is no such file") && said.contains("needed together"), "{said}");
}

#[test]
fn the_clock_moves_for_tests_and_bad_input_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let put = |body: &str| {
        let request = reqwest::Client::new()
            .put(format!("{}/_emulator/v1/clock", server.url()))
            .header("content-type", "application/json")
            .body(body.to_owned());
        runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        })
    };
    assert_eq!(put(r#"{"advance_s":600}"#).1["ahead_s"], 600);
    for wrong in [
        "",
        "{}",
        r#"{"advance_s":-315360001}"#,
        r#"{"advance_s":"1"}"#,
        r#"{"advance":1}"#,
        r#"{"advance_s":1e300}"#,
    ] {
        let (status, body) = put(wrong);
        assert_eq!((status, &body["error"]), (400, &"invalid_request".into()), "{wrong}");
    }
    let (_, shown) = server.get("/_emulator/v1/clock");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["ahead_s"], 600);
}

#[test]
fn config_check_names_every_mistake_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "modus = 1\n[passwordless]\nvalidity_s = 5\n")
        .unwrap();
    let checked = vestibule(folder.path())
        .args(["config", "check"])
        .env("VESTIBULE_LOG__FORMAT", "xml")
        .output()
        .unwrap();
    let said = text(&checked);
    assert_eq!(checked.status.code(), Some(1));
    for word in [
        "3 mistakes",
        "vestibule.toml:1: modus is not a setting",
        "vestibule.toml:3: passwordless.validity_s",
        "VESTIBULE_LOG__FORMAT",
    ] {
        assert!(said.contains(word), "{word} is missing in {said}");
    }
    std::fs::write(folder.path().join("vestibule.toml"), "mode = \"development\"\n").unwrap();
    assert!(vestibule(folder.path()).args(["config", "check"]).output().unwrap().status.success());
}

#[test]
fn the_example_file_is_printed_and_valid() {
    let folder = tempfile::tempdir().unwrap();
    let example = vestibule(folder.path()).args(["config", "example"]).output().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), &example.stdout).unwrap();
    assert!(vestibule(folder.path()).args(["config", "check"]).output().unwrap().status.success());
}

#[test]
fn a_hashed_secret_authenticates() {
    let folder = tempfile::tempdir().unwrap();
    let mut hash = vestibule(folder.path())
        .args(["config", "hash-secret"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hash.stdin.take().unwrap().write_all(b"open sesame\n").unwrap();
    let hashed = String::from_utf8(hash.wait_with_output().unwrap().stdout).unwrap();
    let toml = format!("[[clients]]\nclient_id = \"app\"\nclient_secret_argon2 = '{}'\n", hashed.trim());
    std::fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (secret, status) in [("open sesame", 200), ("open sesam", 401)] {
        let form = [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", secret)];
        let url = format!("{}/oauth/token", server.url());
        let got = runtime.block_on(async {
            reqwest::Client::new().post(url).form(&form).send().await.unwrap().status().as_u16()
        });
        assert_eq!(got, status, "{secret}");
    }
}

#[test]
fn keys_are_listed_and_rotated_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    let rotated = vestibule(folder.path()).args(["keys", "rotate"]).output().unwrap();
    assert!(rotated.status.success(), "{}", text(&rotated));
    assert!(
        text(&rotated).contains("is published by every server within 10 s and signs from 2"),
        "{rotated:?}"
    );
    let listed = vestibule(folder.path()).args(["keys", "list"]).output().unwrap();
    assert_eq!(text(&listed).lines().count(), 2, "{}", text(&listed));
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.get("/keys").1.matches("\"kid\"").count() < 2 {
        assert!(Instant::now() < deadline, "the server does not publish the new key");
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();
}

#[test]
fn sigterm_answers_what_is_under_way_and_lets_nobody_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let url = format!("{}/_emulator/v1/messages/latest?to=nobody@example.com&wait_ms=60000", server.url());
    let address = server.ready["listen"].as_str().unwrap().to_owned();
    let mut waiting = std::net::TcpStream::connect(address).unwrap();
    let path = url.split_once("/_emulator").unwrap().1;
    write!(waiting, "GET /_emulator{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    // Once another request is answered on a later connection, this one has been taken up.
    assert_eq!(server.get("/health").0, 200);
    let started = Instant::now();
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for the email");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut waiting, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn healthcheck_tells_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let url = server.url().to_owned();
    assert!(vestibule(folder.path()).args(["healthcheck", "--url", &url]).output().unwrap().status.success());
    server.stop();
    assert!(
        !vestibule(folder.path()).args(["healthcheck", "--url", &url]).output().unwrap().status.success()
    );
}

#[test]
fn a_database_that_is_down_at_the_start_is_waited_for_and_told() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago: there is no ready file to learn it from while the database is down.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = vestibule(folder.path())
        .args(["--listen", &address, "--database-url", "postgres://nobody@127.0.0.1:1/none"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Running { child, ready: Value::Null };
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.child.stderr.take().unwrap()));
    let line = lines.find(|l| l.as_ref().is_ok_and(|l| l.contains("cannot start yet"))).unwrap().unwrap();
    assert!(line.contains("database"), "{line}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = |path: &str| {
        let url = format!("http://{address}{path}");
        runtime.block_on(async { reqwest::get(url).await.unwrap().status().as_u16() })
    };
    let told = [status("/live"), status("/health"), status("/ready"), status("/keys")];
    assert_eq!(told, [200, 503, 503, 503]);
    assert!(server.child.try_wait().unwrap().is_none(), "it went on trying");
}
