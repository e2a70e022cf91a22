//! Webhooks when servers die, receivers misbehave and events are many: every event that happened is delivered, and nothing
//! else is.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rstest::rstest;
use serde_json::json;
use tokio::task::JoinHandle;

use super::*;
use crate::support::receiver::{Received, Receiver, Respond};

/// Callers who keep the server busy.
const WORKERS: usize = 6;

/// What a server that died had taken is free again within this time; the rest is for slow machines.
const HANDED_OVER_WITHIN: Duration = Duration::from_mins(1);

/// A server whose events go to a receiver, without waits between attempts. Every request gets its turn, on any machine.
fn telling(receiver: &Receiver) -> String {
    format!(
        "[database]\ntimeout_s = 30\n[delivery]\nretry_percent = 0\n[[webhooks]]\nurl = \"{}\"\nevents = [\"organization.created\"]\n",
        receiver.url
    )
}

/// Refuses one of so many requests, but no event so often that it is given up.
fn failing_one_of(count: usize) -> impl FnMut(&Received) -> Respond + Send {
    let (mut number, mut refused) = (0, HashMap::<String, usize>::new());
    move |request| {
        number += 1;
        let refusals = refused.entry(request.header("webhook-id").to_owned()).or_default();
        let is_refused = number % count == 0 && *refusals < 3;
        *refusals += usize::from(is_refused);
        Respond::With(if is_refused { 503 } else { 200 })
    }
}

/// Makes an organization; `None`: there was no answer. Of two with the same `external_id` one is refused.
async fn make_organization(client: &Client, server: &str, external_id: &str) -> Option<Page> {
    let body = json!({ "display_name": "Acme", "external_id": external_id });
    ask(client.post(format!("{server}/_emulator/v1/api/organizations")).json(&body)).await
}

/// Makes organizations until the server dies, and notes the ids of those that it acknowledged. Every other call is
/// refused, after its event was written.
async fn keep_busy(server: &str, worker: usize, round: usize, made: &Mutex<Vec<String>>) {
    let client = client();
    for turn in 0.. {
        let external_id = format!("{round}-{worker}-{}", turn / 2);
        let Some(page) = make_organization(&client, server, &external_id).await else { return };
        if page.status == 201 {
            made.lock().unwrap().push(text(&page.json()["organization"], "id"));
        }
    }
}

/// The ids of all organizations that events tell of: those that were not there from the start.
async fn organizations(server: &str) -> HashSet<String> {
    let client = client();
    let (mut ids, mut token) = (HashSet::new(), String::new());
    loop {
        let query = [("page_size", "30"), ("page_token", token.as_str())];
        let url = format!("{server}/_emulator/v1/api/organizations");
        let page = ask(client.get(url).query(&query)).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let list = page.json();
        let listed = list["organizations"].as_array().unwrap();
        let told = listed.iter().filter(|organization| organization["external_id"].is_string());
        ids.extend(told.map(|organization| text(organization, "id")));
        token = list["next_page_token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return ids;
        }
    }
}

/// The organization that a webhook tells of.
fn organization_of(request: &Received) -> String {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    text(&body["data"], "id")
}

/// The organizations that webhooks told of, each with the ids of its events.
fn told(receiver: &Receiver) -> HashMap<String, HashSet<String>> {
    let mut told: HashMap<String, HashSet<String>> = HashMap::new();
    for request in receiver.received() {
        told.entry(organization_of(&request)).or_default().insert(request.header("webhook-id").to_owned());
    }
    told
}

/// Waits until every one of these was told of.
async fn until_told(receiver: &Receiver, wanted: &HashSet<String>, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let told = told(receiver);
        let missing: Vec<&String> = wanted.iter().filter(|id| !told.contains_key(*id)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {} were never told: {missing:?}",
            missing.len(),
            wanted.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_tells_of_everything_that_happened_and_of_nothing_else(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some((_database, url)) = database_for(engine).await else { return };
    let receiver = Receiver::start().await;
    receiver.responds_by(failing_one_of(5));
    let mut server = Process::running(url, &telling(&receiver)).await;
    let acknowledged = Arc::new(Mutex::new(vec![]));
    let in_ci = std::env::var_os("CI").is_some();
    let kills = rounds("VESTIBULE_TEST_CRASHES", if in_ci { 20 } else { 5 });
    for round in 0..kills {
        let before = acknowledged.lock().unwrap().len();
        let busy: Vec<JoinHandle<()>> = (0..WORKERS)
            .map(|worker| {
                let (url, made) = (server.url.clone(), acknowledged.clone());
                tokio::spawn(async move { keep_busy(&url, worker, round, &made).await })
            })
            .collect();
        while acknowledged.lock().unwrap().len() == before && !busy.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // At any moment of its work: seeded by the system.
        tokio::time::sleep(Duration::from_millis(RandomState::new().hash_one(round) % 500)).await;
        server.kill();
        for worker in busy {
            worker.await.unwrap();
        }
        server.start().await;
    }
    let happened = organizations(&server.url).await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    assert!(acknowledged.iter().all(|id| happened.contains(id)), "what was acknowledged is there");
    until_told(&receiver, &happened, HANDED_OVER_WITHIN).await;
    let told = told(&receiver);
    for (id, events) in &told {
        assert!(happened.contains(id), "{id} was told and did not happen");
        assert_eq!(events.len(), 1, "repeats are recognised by the id of the event: {events:?}");
    }
    eprintln!(
        "{kills} kills, {} of {} organizations acknowledged, {} requests",
        acknowledged.len(),
        happened.len(),
        receiver.received().len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_servers_deliveries_are_taken_over() {
    let Some((_database, url)) = database_for(Engine::Postgres).await else { return };
    let receiver = Receiver::start().await;
    receiver.responds([Respond::Hang]);
    let mut one = Process::running(url.clone(), &telling(&receiver)).await;
    make_organization(&client(), &one.url, "1").await.unwrap();
    while receiver.received().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = Process::running(url, &telling(&receiver)).await;
    one.kill();
    let died = Instant::now();
    while receiver.received().len() < 2 {
        assert!(died.elapsed() < HANDED_OVER_WITHIN, "{}", other.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("taken over {:?} after the death", died.elapsed());
    let [first, again] = receiver.received().try_into().unwrap_or_else(|all: Vec<_>| panic!("{}", all.len()));
    assert_eq!(first.header("webhook-id"), again.header("webhook-id"));
}

/// What a server may leave behind at one endpoint when it dies: eight attempts, sixteen results that wait and as many that are
/// being written.
const LEFT_BEHIND: usize = 8 + 16 + 16;

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_deliver_each_event_once_until_one_of_them_dies() {
    let Some((_database, url)) = database_for(Engine::Postgres).await else { return };
    let receiver = Receiver::start().await;
    let mut servers = vec![];
    for _ in 0..3 {
        servers.push(Process::running(url.clone(), &telling(&receiver)).await);
    }
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let mut happened = make_many(&urls, 150).await;
    until_told(&receiver, &happened, HANDED_OVER_WITHIN).await;
    assert_eq!(receiver.received().len(), 150, "no event was delivered twice");

    // The third does no more than deliver: it dies while the others make events.
    let dying = servers.pop().unwrap();
    let (first, second) = (servers[0].url.clone(), servers[1].url.clone());
    let making = tokio::spawn(async move { make_more(&[&first, &second], 150, 150).await });
    while receiver.received().len() < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(dying);
    happened.extend(making.await.unwrap());
    until_told(&receiver, &happened, HANDED_OVER_WITHIN).await;
    let repeats = receiver.received().len() - happened.len();
    assert!(repeats <= LEFT_BEHIND, "{repeats} were delivered again");
}

/// How each kind of bad receiver stands in the log. All of them at once, since what hangs takes its ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_trickle_reset_or_flood_are_told_apart() {
    let server = Process::running(None, "").await;
    let client = client();
    let control = format!("{}/_emulator/v1/webhooks", server.url);
    let mut receivers = vec![];
    for (respond, status, reason) in [
        (Respond::Hang, Value::Null, json!("no answer within 10 s")),
        (Respond::Reset, Value::Null, json!("the answer broke off")),
        (Respond::Close, Value::Null, json!("the answer broke off")),
        (Respond::Trickle(200), json!(200), Value::Null),
        (Respond::Trickle(500), json!(500), json!("HTTP 500")),
        (Respond::WithBody(200, "x".repeat(10 << 20)), json!(200), Value::Null),
        (Respond::With(301), json!(301), json!("HTTP 301: redirects are not followed")),
    ] {
        let receiver = Receiver::start().await;
        receiver.responds([respond.clone()]);
        let made = ask(client.post(&control).json(&json!({ "url": receiver.url }))).await.unwrap().json();
        receivers.push((receiver, text(&made, "id"), respond, status, reason));
    }
    make_organization(&client, &server.url, "1").await.unwrap();
    for (_, id, respond, status, reason) in &receivers {
        let deadline = Instant::now() + PATIENCE;
        let attempt = loop {
            let page = ask(client.get(format!("{control}/{id}/deliveries"))).await.unwrap();
            let attempt = page.json()["deliveries"][0]["log"][0].clone();
            if attempt.is_object() {
                break attempt;
            }
            assert!(Instant::now() < deadline, "{respond:?}: {}", page.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let kept = attempt["response_body"].as_str().unwrap().len();
        assert!(kept <= 4096, "{kept} bytes are kept");
        assert_eq!((&attempt["status"], &attempt["reason"]), (status, reason), "{attempt}");
    }
}

/// Memory that the process takes, in KiB.
fn resident_kib(process: &Process) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// Makes organizations, several at a time, in turns through each of these servers, and gives their ids.
async fn make_many(servers: &[&str], count: usize) -> HashSet<String> {
    make_more(servers, 0, count).await
}

/// Makes organizations beside those that were made before.
async fn make_more(servers: &[&str], before: usize, count: usize) -> HashSet<String> {
    let next = Arc::new(AtomicU64::new(before as u64));
    let workers: Vec<JoinHandle<Vec<String>>> = (0..WORKERS)
        .map(|worker| {
            let (server, next) = (servers[worker % servers.len()].to_owned(), next.clone());
            tokio::spawn(async move {
                let (client, mut made) = (client(), vec![]);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= (before + count) as u64 {
                        return made;
                    }
                    let page = make_organization(&client, &server, &number.to_string()).await.unwrap();
                    assert_eq!(page.status, 201, "{}", page.body);
                    made.push(text(&page.json()["organization"], "id"));
                }
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for worker in workers {
        ids.extend(worker.await.unwrap());
    }
    ids
}

/// How long sign-ins take until it is over, in order.
async fn sign_in_until(server: &str, is_over: &AtomicBool) -> Vec<Duration> {
    let mut took = vec![];
    while !is_over.load(Ordering::Relaxed) || took.is_empty() {
        let begun = Instant::now();
        Visitor::new().tokens(server).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn many_events_to_a_receiver_that_fails_a_third_of_them_all_arrive(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some((_database, url)) = database_for(engine).await else { return };
    let receiver = Receiver::start().await;
    receiver.responds_by(failing_one_of(3));
    let count = rounds("VESTIBULE_TEST_EVENTS", 300);
    let toml = format!("{}[limits]\nmails_per_address = 0\n", telling(&receiver));
    let server = Process::running(url, &toml).await;
    // What caches take is taken by now.
    Visitor::new().tokens(&server.url).await;
    let before_kib = resident_kib(&server);
    let (begun, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let signing_in = {
        let (url, is_over) = (server.url.clone(), is_over.clone());
        tokio::spawn(async move { sign_in_until(&url, &is_over).await })
    };
    let happened = make_many(&[&server.url], count).await;
    let made = begun.elapsed();
    assert_eq!(happened.len(), count);
    until_told(&receiver, &happened, PATIENCE + Duration::from_millis(100) * u32::try_from(count).unwrap())
        .await;
    // Told is not delivered yet: what was refused comes again.
    let client = client();
    loop {
        let url = format!("{}/_emulator/v1/webhooks", server.url);
        let id = text(&ask(client.get(&url)).await.unwrap().json()["webhooks"][0], "id");
        let mut open = 0;
        for status in ["QUEUED", "RETRYING", "FAILED"] {
            let query = [("status", status)];
            let page = ask(client.get(format!("{url}/{id}/deliveries")).query(&query)).await.unwrap().json();
            open += page["deliveries"].as_array().unwrap().len();
        }
        if open == 0 {
            break;
        }
        assert!(begun.elapsed() < made * 4 + PATIENCE, "{open} wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let delivered = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let took = signing_in.await.unwrap();
    let grown_kib = resident_kib(&server) - before_kib;
    eprintln!(
        "{count} events in {made:?}, delivered after {delivered:?} with {} requests; {} sign-ins, median {:?}, p99 {:?}; \
         {grown_kib} KiB more memory than {before_kib}",
        receiver.received().len(),
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
    );
    assert!(grown_kib < 64 << 10, "{grown_kib} KiB for {count} events");
}
