//! Scalekit's management API with a thousand users and with a million: what is asked for by its key, and a page behind a
//! cursor, take as long; totals and searches look at more.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use super::load::{self, Client, Turn};
use super::servers::Process;
use super::{Bench, ours, rounds_in_turns};

/// The API where it needs no token.
const API: &str = "/_emulator/v1/api";

/// Users, and a tenth as many organizations, of which each user is in one.
const SIZES: [u64; 2] = [1_000, 1_000_000];

pub fn management(bench: &mut Bench) {
    bench.report.title(
        "Management API, one call after the other",
        "| call | 1,000 users | p99 | 1,000,000 users | p99 | ratio |",
    );
    let folders = SIZES.map(|_| tempfile::tempdir().unwrap());
    let servers: Vec<Process> = SIZES
        .iter()
        .zip(&folders)
        .map(|(count, folder)| {
            drop(ours::start(folder.path(), &[]));
            fill(folder.path(), *count);
            ours::start(folder.path(), &[])
        })
        .collect();
    compare(bench, &servers, "headless send and verify, REST", ours::headless);
    compare(bench, &servers, "whole sign-in", ours::sign_in);
    compare(bench, &servers, "CreateUserAndMembership", create);
    compare(bench, &servers, "GetUser", |client, turn| read(client, format!("users/{}", user(turn))));
    compare(bench, &servers, "GetUser by external id", |client, turn| {
        read(client, format!("users:external/{}", any(turn)))
    });
    compare(bench, &servers, "GetOrganization by external id", |client, turn| {
        read(client, format!("organizations:external/{}", any(turn) / 10))
    });
    compare(bench, &servers, "ListOrganizationUsers", |client, turn| {
        read(client, format!("organizations/{}/users?page_size=30", organization(turn)))
    });
    compare(bench, &servers, "ListUsers, 100 on each page, with the total", next_page);
    compare(bench, &servers, "SearchUsers, by a part of an address", |client, turn| {
        read(client, format!("users:search?query={}@example.org", any(turn)))
    });
}

fn compare<F: Future<Output = Client>>(
    bench: &mut Bench,
    servers: &[Process],
    name: &str,
    step: impl Fn(Client, Turn) -> F,
) {
    let rounds = rounds_in_turns(bench.rounds, bench.measure, 1, servers, step);
    let p50_ms = [0, 1].map(|server| rounds.median(server, |o| o.p50_ms));
    let p99_ms = [0, 1].map(|server| rounds.median(server, |o| o.p99_ms));
    bench.report.line(&format!(
        "| {name} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} |",
        p50_ms[0],
        p99_ms[0],
        p50_ms[1],
        p99_ms[1],
        p50_ms[1] / p50_ms[0]
    ));
}

/// The number of a user whom both sizes have.
fn any(turn: Turn) -> u64 {
    (turn.turn as u64).wrapping_mul(7919) % SIZES[0]
}

fn user(turn: Turn) -> String {
    format!("usr_{:018}", any(turn))
}

fn organization(turn: Turn) -> String {
    format!("org_{:018}", any(turn) / 10)
}

async fn read(mut client: Client, path: String) -> Client {
    client.get(&format!("{API}/{path}")).await.ok();
    client
}

async fn create(mut client: Client, turn: Turn) -> Client {
    let path = format!("{API}/organizations/{}/users?send_invitation_email=false", organization(turn));
    client.post_json(&path, "", &json!({ "email": format!("new-{turn}@example.com") })).await.ok();
    client
}

/// The page behind the one before, and the first one behind the last.
async fn next_page(mut client: Client, _: Turn) -> Client {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("page_size", "100")
        .append_pair("page_token", &client.memory)
        .finish();
    let path = format!("{API}/users?{query}");
    let page: Value = client.get(&path).await.ok().json();
    assert!(page["users"].as_array().is_some_and(|users| !users.is_empty()), "{page}");
    client.memory = page["next_page_token"].as_str().unwrap_or_default().to_owned();
    client
}

/// Writes users and organizations into the database of a server that does not run.
fn fill(folder: &Path, users: u64) {
    let url = format!("sqlite://{}", folder.join(".vestibule/vestibule.db").display());
    sqlx::any::install_default_drivers();
    let numbers = |count: u64| {
        format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) ")
    };
    let environment = "(SELECT id FROM environments WHERE kind = 'default')";
    let insert_organizations = format!(
        "INSERT INTO organizations (environment_id, id, display_name, external_id, created_at_ms, updated_at_ms) \
         SELECT {environment}, printf('org_%018d', i), printf('Organization %d', i), printf('%d', i), i, i FROM n"
    );
    let insert_users = format!(
        "INSERT INTO users (environment_id, id, email, email_key, external_id, created_at_ms, updated_at_ms) \
         SELECT {environment}, printf('usr_%018d', i), printf('u%d@example.org', i), printf('u%d@example.org', i), \
         printf('%d', i), i, i FROM n"
    );
    let insert_memberships = format!(
        "INSERT INTO memberships (environment_id, organization_id, user_id, status, created_at_ms) \
         SELECT {environment}, printf('org_%018d', i / 10), printf('usr_%018d', i), 'ACTIVE', i FROM n"
    );
    load::on_this_thread(async {
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        for (count, insert) in
            [(users / 10, insert_organizations), (users, insert_users), (users, insert_memberships)]
        {
            pool.execute(AssertSqlSafe(numbers(count) + &insert)).await.unwrap();
        }
        pool.close().await;
    });
}
