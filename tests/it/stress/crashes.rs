//! kill -9 at any moment: nothing that was used works again, nothing that was acknowledged is lost, and the server is
//! back within a second.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};

use rstest::rstest;
use tokio::task::JoinHandle;

use super::*;

/// Users who keep the server busy.
const WORKERS: usize = 6;

/// What the server acknowledged before it died.
#[derive(Default)]
struct Ledger {
    /// Sign-ins that were completed, with what completed them.
    codes: Vec<(Visitor, String, String)>,
    links: Vec<(Visitor, String)>,
    /// Authorization codes that were exchanged.
    exchanged: Vec<String>,
    /// Refresh tokens that were rotated.
    rotated: Vec<String>,
    /// The newest tokens of a person, where no rotation was under way.
    signed_in: Vec<Value>,
}

/// Signs in again and again until the server dies, and writes down what it acknowledged.
async fn keep_busy(server: &str, ledger: &Mutex<Ledger>) {
    for turn in 0.. {
        if sign_in(server, ledger, turn % 2 == 0).await.is_none() {
            return;
        }
    }
}

async fn sign_in(server: &str, ledger: &Mutex<Ledger>, by_code: bool) -> Option<()> {
    let visitor = Visitor::new();
    let path = path_of(&visitor.start(server).await?)?;
    let mail = visitor.mail(server).await?;
    let done = if by_code {
        let code = text(&mail, "code");
        let done = visitor.enter_code(server, &path, &code).await?;
        ledger.lock().unwrap().codes.push((visitor.clone(), path, code));
        done
    } else {
        let link = text(&mail, "link");
        let done = visitor.follow(server, &link).await?;
        ledger.lock().unwrap().links.push((visitor.clone(), link));
        done
    };
    let code = done.answer("code").unwrap_or_else(|| panic!("{} {}", done.status, done.body));
    let mut tokens = exchange(&visitor.browser, server, &code).await?.json();
    ledger.lock().unwrap().exchanged.push(code);
    for _ in 0..2 {
        let old = text(&tokens, "refresh_token");
        let Some(page) = refresh(&visitor.browser, server, &old).await else {
            // Nobody knows whether it was rotated; the access token is good in any case.
            tokens["refresh_token"] = Value::Null;
            ledger.lock().unwrap().signed_in.push(tokens);
            return None;
        };
        assert_eq!(page.status, 200, "{}", page.body);
        tokens = page.json();
        ledger.lock().unwrap().rotated.push(old);
    }
    ledger.lock().unwrap().signed_in.push(tokens);
    Some(())
}

/// Everything in the ledger has to be as it was acknowledged.
async fn check(server: &str, ledger: Ledger) {
    let client = client();
    for tokens in &ledger.signed_in {
        assert!(is_active(&client, server, &text(tokens, "access_token")).await, "a sign-in was lost");
        if let Some(token) = tokens["refresh_token"].as_str() {
            let page = refresh(&client, server, token).await.unwrap();
            assert_eq!(page.status, 200, "a refresh token was lost: {}", page.body);
        }
    }
    for (visitor, path, code) in &ledger.codes {
        let page = visitor.enter_code(server, path, code).await.unwrap();
        assert_eq!(page.answer("code"), None, "a code worked twice");
        assert!(page.status < 500, "{}", page.body);
    }
    for (visitor, link) in &ledger.links {
        let page = visitor.follow(server, link).await.unwrap();
        assert_eq!(page.answer("code"), None, "a link worked twice");
        assert!(page.status < 500, "{}", page.body);
    }
    for code in &ledger.exchanged {
        let page = exchange(&client, server, code).await.unwrap();
        assert_eq!(page.status, 400, "an authorization code worked twice: {}", page.body);
    }
    for token in &ledger.rotated {
        let page = refresh(&client, server, token).await.unwrap();
        assert_eq!(page.status, 400, "a rotated refresh token worked again: {}", page.body);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_and_lets_nothing_be_used_twice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some((_database, url)) = database_for(engine).await else { return };
    // No grace, so that a rotated token is refused at once.
    let toml = "[tokens]\nrefresh_grace_s = 0\n[limits]\nmails_per_address = 0";
    let mut server = Process::running(url, toml).await;
    let mut starts = vec![];
    let mut acknowledged = 0;
    for _ in 0..rounds("VESTIBULE_TEST_CRASHES", 5) {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let busy: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (url, ledger) = (server.url.clone(), ledger.clone());
                tokio::spawn(async move { keep_busy(&url, &ledger).await })
            })
            .collect();
        // At any moment of its work: seeded by the system.
        while ledger.lock().unwrap().codes.is_empty() && !busy.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let moment_ms = 200 + RandomState::new().hash_one(starts.len()) % 600;
        tokio::time::sleep(Duration::from_millis(moment_ms)).await;
        server.kill();
        for worker in busy {
            worker.await.unwrap();
        }
        starts.push(server.start().await);
        let ledger = std::mem::take(&mut *ledger.lock().unwrap());
        acknowledged += ledger.codes.len() + ledger.links.len();
        check(&server.url, ledger).await;
    }
    starts.sort();
    let (median, longest) = (starts[starts.len() / 2], starts[starts.len() - 1]);
    eprintln!(
        "{} kills, {acknowledged} sign-ins, ready again after {median:?}, at most {longest:?}",
        starts.len()
    );
    assert!(acknowledged > 0, "the server was never busy");
    // A second is promised; an unoptimized build beside other tests takes longer.
    assert!(median < Duration::from_secs(5), "{starts:?}");
}
