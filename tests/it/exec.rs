//! `vestibule exec` and `vestibule dev`: a server beside a command.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::command_line::{text, vestibule};

/// Longer than any of this takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A script as the command.
fn command(folder: &Path, before: &[&str], script: &str) -> Command {
    let mut command = vestibule(folder);
    command.args(before).args(["--", "sh", "-c", script]).env("PROGRAM", env!("CARGO_BIN_EXE_vestibule"));
    command
}

fn exec(folder: &Path, before: &[&str], script: &str) -> Output {
    command(folder, &[&["exec"], before].concat(), script).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The text of a file, once it is there.
fn wait_for(path: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = std::fs::read_to_string(path)
            && text.ends_with('\n')
        {
            return text.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_command_finds_a_server_on_a_free_port_and_its_code_is_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo $SCALEKIT_ENVIRONMENT_URL $SCALEKIT_CLIENT_ID; $PROGRAM healthcheck --url $SCALEKIT_ENVIRONMENT_URL; exit 7";
    let ran = exec(folder.path(), &[], script);
    assert_eq!(ran.status.code(), Some(7), "{}", text(&ran));
    let said = printed(&ran);
    let (first, second) = said.split_once('\n').unwrap();
    assert!(first.starts_with("http://localhost:") && first.ends_with("skc_687000000000000001"), "{said}");
    assert!(!first.contains(":6870 "), "{said}");
    assert_eq!(second, "ready\n", "and nothing else is said");
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new(), "nothing is kept");
    assert!(text(&exec(folder.path(), &[], "true")).is_empty());
}

#[test]
fn variables_of_tls_are_there_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo \"$SCALEKIT_ENVIRONMENT_URL $NODE_EXTRA_CA_CERTS\"; test -z \"$NODE_EXTRA_CA_CERTS\" || grep -c BEGIN $NODE_EXTRA_CA_CERTS";
    let plain = printed(&exec(folder.path(), &[], script));
    assert!(plain.starts_with("http://localhost:") && plain.trim().split(' ').count() == 1, "{plain}");
    let over_tls = printed(&exec(folder.path(), &["--tls"], script));
    assert!(over_tls.starts_with("https://localhost:") && over_tls.ends_with("\n1\n"), "{over_tls}");
}

#[test]
fn the_server_of_a_command_leaves_alone_what_is_configured_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = format!(
        "listen = \"{address}\"\npublic_urls = [\"http://{address}\"]\nready_file = \"ready.json\"\n"
    );
    std::fs::write(folder.path().join("vestibule.toml"), settings).unwrap();
    std::fs::write(folder.path().join("ready.json"), "of another").unwrap();
    let mut command = command(folder.path(), &["exec"], "echo $DATABASE_URL $SCALEKIT_ENVIRONMENT_URL");
    command.env("DATABASE_URL", "postgres://localhost/of-the-application");
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    let said = printed(&ran);
    assert!(said.starts_with("postgres://localhost/of-the-application http://localhost:"), "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("ready.json")).unwrap(), "of another");
    assert!(!folder.path().join(".vestibule").exists());
}

#[test]
fn a_command_that_cannot_be_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ran = vestibule(folder.path()).args(["exec", "no-such-command"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(127));
    assert!(text(&ran).contains("cannot run no-such-command"), "{}", text(&ran));
}

#[test]
fn a_server_that_cannot_start_runs_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let ran = exec(folder.path(), &["--listen", &port], "touch ran");
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran).contains("cannot listen on"), "{}", text(&ran));
    assert!(!folder.path().join("ran").exists());
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn signals_are_passed_on_and_the_command_ends_as_it_likes() {
    let folder = tempfile::tempdir().unwrap();
    for (script, code) in [
        ("trap 'exit 9' TERM; echo $$ >pid.new; mv pid.new pid; while :; do sleep 0.02; done", Some(9)),
        // As shells have it: 128 and the number of SIGTERM.
        ("echo $$ >pid.new; mv pid.new pid; exec sleep 600", Some(143)),
    ] {
        let running = spawn(command(folder.path(), &["exec"], script));
        wait_for(&folder.path().join("pid"));
        let id = running.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), code, "{script}: {}", text(&ended));
        std::fs::remove_file(folder.path().join("pid")).unwrap();
        assert_eq!(entries(folder.path()), Vec::<PathBuf>::new());
    }
}

/// A sign-in with a wrong code, as the command under test might do it.
fn sign_in_wrongly(url: &str, email: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = reqwest::Client::builder()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let query = format!("response_type=code&client_id=skc_687000000000000001&redirect_uri=http://localhost:3000/cb&login_hint={email}");
        let begun = browser.get(format!("{url}/oauth/authorize?{query}")).send().await.unwrap();
        let page = begun.headers()["location"].to_str().unwrap().to_owned();
        let wrong = browser.post(format!("{page}/code")).form(&[("code", "000000")]).send().await.unwrap();
        assert!(wrong.status().as_u16() < 500, "{wrong:?}");
    });
}

#[test]
fn a_command_that_fails_is_followed_by_the_timelines_of_the_sign_ins_that_did() {
    let folder = tempfile::tempdir().unwrap();
    let (url_file, go) = (folder.path().join("url"), folder.path().join("go"));
    let script = "echo $SCALEKIT_ENVIRONMENT_URL >url.new; mv url.new url; while [ ! -e go ]; do sleep 0.02; done; exit $(cat go)";
    for (code, is_told) in [(1, true), (0, false)] {
        let running = spawn(command(folder.path(), &["exec"], script));
        sign_in_wrongly(&wait_for(&url_file), "jane@example.com");
        std::fs::remove_file(&url_file).unwrap();
        std::fs::write(folder.path().join("go.new"), code.to_string()).unwrap();
        std::fs::rename(folder.path().join("go.new"), &go).unwrap();
        let ended = running.wait_with_output().unwrap();
        std::fs::remove_file(&go).unwrap();
        assert_eq!(ended.status.code(), Some(code));
        let said = String::from_utf8_lossy(&ended.stderr);
        for words in ["1 sign-in did not succeed", "jane@example.com", "Wrong code"] {
            assert_eq!(said.contains(words), is_told, "{words}: {said}");
        }
    }
}

#[test]
fn dev_keeps_the_data_and_other_commands_find_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let run = |script: &str| {
        let ran = command(folder.path(), &["dev", "--listen", "localhost:0"], script).output().unwrap();
        assert!(ran.status.success(), "{}", text(&ran));
        ran
    };
    let ran =
        run("echo $SCALEKIT_ENVIRONMENT_URL; $PROGRAM env | head -n 1; $PROGRAM keys list --json | grep kid");
    let said = printed(&ran);
    let mut lines = said.lines();
    let url = lines.next().unwrap();
    assert_eq!(lines.next(), Some(format!("SCALEKIT_ENVIRONMENT_URL={url}").as_str()));
    assert!(String::from_utf8_lossy(&ran.stderr).contains(&format!("{url}/dashboard")), "{}", text(&ran));
    let again = printed(&run("$PROGRAM keys list --json | grep kid"));
    assert_eq!(Some(again.trim()), lines.next().map(str::trim), "the same key");
    assert!(!folder.path().join(".vestibule/server.json").exists());
}
