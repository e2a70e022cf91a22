//! Several servers, one PostgreSQL: what works once works once among all of them, and limits hold to the unit.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rstest::rstest;
use sqlx::{Connection as _, PgConnection};

use super::*;

/// Enough for every request to get its turn, on any machine: these tests are about outcomes, not about time.
const PATIENT: &str = "[database]\nmax_connections = 20\ntimeout_s = 30\n";

/// Uses of the same thing at the same time.
const AT_ONCE: usize = 1000;

/// Servers on one database, which share one public URL as behind a load balancer.
async fn replicas(count: usize, toml: &str) -> Option<Vec<Process>> {
    let (_database, url) = database_for(Engine::Postgres).await?;
    let mut servers: Vec<Process> = (0..count).map(|_| Process::new(url.clone(), "")).collect();
    let shared = format!("public_urls = [\"{}\"]\n{toml}", servers[0].url);
    for server in &mut servers {
        server.toml.clone_from(&shared);
        server.launch();
    }
    for server in &servers {
        server.wait_until_ready(Duration::from_secs(30)).await;
    }
    Some(servers)
}

/// Asks as often as wanted at the same time, the servers in turn.
async fn at_once<'s, F: Future<Output = Option<Page>>>(
    servers: &'s [Process],
    times: usize,
    ask: impl Fn(&'s str) -> F,
) -> Vec<Page> {
    let asked = (0..times).map(|i| ask(&servers[i % servers.len()].url));
    let answered = join_all(asked).await;
    answered.into_iter().map(|page| page.expect("an answer")).collect()
}

fn statuses(pages: &[Page]) -> Vec<u16> {
    let mut all: Vec<u16> = pages.iter().map(|p| p.status).collect();
    all.dedup();
    all
}

/// The authorization codes that were given; every other answer has to be a refusal.
fn codes(pages: &[Page]) -> Vec<String> {
    assert!(pages.iter().all(|p| p.status < 500), "{:?}", statuses(pages));
    pages.iter().filter_map(|p| p.answer("code")).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_uses_at_once_succeed_exactly_once(#[values(2, 3)] count: usize) {
    let Some(servers) = replicas(count, PATIENT).await else { return };
    let (first, last) = (&servers[0].url, &servers[count - 1].url);
    let client = client();
    for _ in 0..rounds("VESTIBULE_TEST_RACES", 1) {
        // A code; one server sent the email and all of them know it.
        let visitor = Visitor::new();
        let path = visitor.started(first).await;
        let code = text(&visitor.mail(last).await.unwrap(), "code");
        let given =
            codes(&at_once(&servers, AT_ONCE, |server| visitor.enter_code(server, &path, &code)).await);
        assert_eq!(given.len(), 1);

        // A magic link.
        let visitor = Visitor::new();
        visitor.started(last).await;
        let link = text(&visitor.mail(first).await.unwrap(), "link");
        let given = codes(&at_once(&servers, AT_ONCE, |server| visitor.follow(server, &link)).await);
        assert_eq!(given.len(), 1);

        // Its authorization code. The others are theft, which revokes what the first use gave.
        let pages = at_once(&servers, AT_ONCE, |server| exchange(&client, server, &given[0])).await;
        let won: Vec<&Page> = pages.iter().filter(|p| p.status == 200).collect();
        assert_eq!(won.len(), 1, "{:?}", statuses(&pages));
        assert!(pages.iter().all(|p| matches!(p.status, 200 | 400)), "{:?}", statuses(&pages));
        assert!(!is_active(&client, last, &text(&won[0].json(), "access_token")).await);

        // A refresh token. Repeats within the grace get the same successor, and one member of the family lives.
        let old = text(&Visitor::new().tokens(first).await, "refresh_token");
        let pages = at_once(&servers, AT_ONCE, |server| refresh(&client, server, &old)).await;
        assert!(pages.iter().all(|p| p.status == 200), "{:?}", statuses(&pages));
        let successors: HashSet<String> = pages.iter().map(|p| text(&p.json(), "refresh_token")).collect();
        assert_eq!(successors.len(), 1);
        let next = refresh(&client, last, successors.iter().next().unwrap()).await.unwrap();
        let newest = text(&next.json(), "refresh_token");
        assert_eq!(refresh(&client, first, &old).await.unwrap().status, 400, "two generations old");
        assert_eq!(
            refresh(&client, last, &newest).await.unwrap().status,
            400,
            "and so the family is revoked"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_to_the_unit_over_three_servers() {
    let Some(servers) = replicas(3, PATIENT).await else { return };
    let visitor = Visitor::new();
    let path = visitor.started(&servers[0].url).await;
    let code = text(&visitor.mail(&servers[2].url).await.unwrap(), "code");
    let wrong = crate::support::person::other_than(&code);
    let pages = at_once(&servers, 200, |server| visitor.enter_code(server, &path, &wrong)).await;
    assert!(pages.iter().all(|p| p.status == 303 && p.answer("code").is_none()), "{:?}", statuses(&pages));
    let mut connection = PgConnection::connect(servers[0].database_url.as_ref().unwrap()).await.unwrap();
    let judged: String = sqlx::query_scalar("SELECT attempts_at_ms FROM auth_requests WHERE id = $1")
        .bind(path.rsplit('/').next().unwrap())
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(judged.split(',').count(), 5, "{judged}");
    let right = visitor.enter_code(&servers[1].url, &path, &code).await.unwrap();
    assert_eq!((right.status, right.answer("code")), (303, None));

    // The same address in many browsers.
    let address = new_address();
    let many = (0..60).map(|i| {
        let other = Visitor { browser: client(), address: address.clone() };
        let server = &servers[i % 3].url;
        async move { other.start(server).await.unwrap().status }
    });
    let started = join_all(many).await;
    assert!(started.iter().all(|s| *s == 303), "{started:?}");
    let listed = client().get(format!("{}/_emulator/v1/messages", servers[1].url)).query(&[("to", &address)]);
    assert_eq!(
        ask(listed).await.unwrap().json()["messages"].as_array().unwrap().len(),
        2,
        "two emails a minute"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_settings_agree_on_all_servers() {
    let Some(servers) = replicas(3, "").await else { return };
    let client = client();
    let mut keys = HashSet::new();
    for server in &servers {
        keys.insert(ask(client.get(format!("{}/keys", server.url))).await.unwrap().body);
    }
    assert_eq!(keys.len(), 1, "servers that start together on an empty database make one key");
    // A change that is answered holds everywhere.
    for (i, server) in servers.iter().enumerate() {
        let name = format!("Name {i}");
        let change = serde_json::json!({ "branding": { "name": name } });
        let changed =
            ask(client.patch(format!("{}/_emulator/v1/settings", server.url)).json(&change)).await.unwrap();
        assert_eq!(changed.status, 200, "{}", changed.body);
        for other in &servers {
            let shown = ask(client.get(format!("{}/_emulator/v1/settings", other.url))).await.unwrap();
            assert!(shown.body.contains(&name), "{}", shown.body);
        }
    }
}

/// A load balancer: it sends requests to servers that are ready, and passes over one that takes no connection.
struct Balancer {
    servers: Vec<(String, AtomicBool)>,
    turn: AtomicUsize,
    is_over: AtomicBool,
}

impl Balancer {
    /// Asks the servers again and again whether they are ready.
    async fn watch(&self) {
        let client = client();
        while !self.is_over.load(Ordering::Relaxed) {
            for (server, is_ready) in &self.servers {
                let asked = client.get(format!("{server}/ready")).send().await;
                is_ready.store(asked.is_ok_and(|a| a.status() == 200), Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One request, at the next server whose turn it is.
    async fn send(&self, build: impl Fn(&str) -> RequestBuilder) -> Result<Page, String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let (server, is_ready) = &self.servers[turn % self.servers.len()];
            if !is_ready.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            match build(server).timeout(PATIENCE).send().await {
                Ok(response) => return Ok(Page::of(response).await),
                Err(error) if error.is_connect() => {}
                Err(error) => return Err(format!("a request was cut off: {error:?}")),
            }
        }
        Err("no server takes connections".to_owned())
    }
}

/// A whole sign-in over whichever servers there are.
async fn balanced_sign_in(balancer: &Balancer) -> Result<(), String> {
    // Load balancers ask for a new connection where a kept one may just be closing.
    let browser = Client::builder()
        .cookie_store(true)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .resolve("localhost", ([127, 0, 0, 1], 0).into())
        .build()
        .unwrap();
    let address = new_address();
    let query = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", "openid offline_access"),
        ("login_hint", address.as_str()),
    ];
    let page = balancer.send(|s| browser.get(format!("{s}/oauth/authorize")).query(&query)).await?;
    let path = path_of(&page).ok_or_else(|| format!("{} {}", page.status, page.body))?;
    let mail = [("to", address.as_str()), ("wait_ms", "2000")];
    let latest = |s: &str| browser.get(format!("{s}/_emulator/v1/messages/latest")).query(&mail);
    let mut page = balancer.send(latest).await?;
    while page.status == 404 {
        // A server that stops tells those who wait for an email at once.
        page = balancer.send(latest).await?;
    }
    let code = text(&page.json(), "code");
    let enter = |s: &str| browser.post(format!("{s}{path}/code")).form(&[("code", &code)]);
    let page = balancer.send(enter).await?;
    let code = page.answer("code").ok_or_else(|| format!("{} {}", page.status, page.body))?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
    ];
    let page = balancer.send(|s| browser.post(format!("{s}/oauth/token")).form(&form)).await?;
    if page.status == 200 { Ok(()) } else { Err(format!("{} {}", page.status, page.body)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_no_sign_in() {
    let Some(mut servers) = replicas(3, "shutdown_delay_s = 1").await else { return };
    let urls = servers.iter().map(|s| (s.url.clone(), AtomicBool::new(true)));
    let balancer = Arc::new(Balancer {
        servers: urls.collect(),
        turn: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let watching = balancer.clone();
    let watch = tokio::spawn(async move { watching.watch().await });
    let load = (0..6).map(|_| {
        let balancer = balancer.clone();
        tokio::spawn(async move {
            let mut outcomes = vec![];
            while !balancer.is_over.load(Ordering::Relaxed) {
                outcomes.push(balanced_sign_in(&balancer).await);
            }
            outcomes
        })
    });
    let load: Vec<_> = load.collect();
    for _ in 0..rounds("VESTIBULE_TEST_RESTARTS", 1) {
        for server in &mut servers {
            server.stop().await;
            server.start().await;
            while !balancer.servers.iter().all(|(_, is_ready)| is_ready.load(Ordering::Relaxed)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    balancer.is_over.store(true, Ordering::Relaxed);
    watch.await.unwrap();
    let outcomes: Vec<Result<(), String>> = futures_util::stream::iter(load)
        .then(|worker| async { worker.await.unwrap() })
        .flat_map(futures_util::stream::iter)
        .collect()
        .await;
    let lost: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    eprintln!("{} sign-ins during the restarts", outcomes.len());
    assert!(lost.is_empty() && outcomes.len() > 10, "{} of {} lost: {lost:?}", lost.len(), outcomes.len());
}
