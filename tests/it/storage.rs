//! Storage keeps its promises on both engines.

use std::pin::pin;

use futures_util::future::join_all;
use rstest::rstest;
use sqlx::{
    AnyConnection, AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _,
};

use vestibule::domain::auth_request::Hosted;
use vestibule::domain::authorization::{AuthorizationRequest, Parameters, Prompt, RequestedClaims};
use vestibule::domain::email::EmailAddress;
use vestibule::domain::event::EventType;
use vestibule::domain::flow::{About, FlowEvent, FlowStatus};
use vestibule::domain::grant::Grant;
use vestibule::domain::headless::Headless;
use vestibule::domain::record_key::RecordKey;
use vestibule::domain::session::Session;
use vestibule::domain::sign_in_event::SignInEvent;
use vestibule::storage::{
    ClientChanges, ClientRecord, ClientSecretRecord, InboxFilter, Members, Seed, SeedOrganization, SeedUser,
    Store, StoreError, StoredKey,
};

use crate::organizations_storage::event;
use crate::support::{Database, Engine};

const ENV: &str = "env_1";

/// A store with an environment in it.
async fn store_in(database: &Database) -> Store {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    let changes = ClientChanges { put: vec![client("skc_1")], delete: vec![] };
    store.seed_clients(ENV, &changes, 1).await.unwrap();
    store
}

fn client(id: &str) -> ClientRecord {
    ClientRecord {
        id: id.into(),
        version: None,
        position: 0,
        kind: "web".into(),
        name: "App".into(),
        redirect_uris: vec!["https://app.example.com/cb".into()],
        post_logout_redirect_uris: vec![],
        initiate_login_uri: None,
        backchannel_logout_uri: None,
        enforce_pkce: false,
        require_pushed_authorization_requests: true,
        id_token_signed_response_alg: "RS256".into(),
        access_token_lifetime_s: Some(60),
        instant_sign_in: false,
        api_json: "{}".into(),
        branding_json: r##"{"accent_color":"#000000"}"##.into(),
        secrets: vec![
            ClientSecretRecord {
                id: "sks_1".into(),
                hash: Some("h".into()),
                sealed: None,
                suffix: String::new(),
            },
            ClientSecretRecord {
                id: "sks_2".into(),
                hash: None,
                sealed: Some(vec![1]),
                suffix: "abcd".into(),
            },
        ],
    }
}

/// A client as it is read.
fn stored(id: &str, version: i64) -> ClientRecord {
    ClientRecord { version: Some(version), ..client(id) }
}

/// A store in whose environment Jane belongs to two organizations.
pub(crate) async fn store_with_jane(database: &Database) -> Store {
    let store = store_in(database).await;
    let organization = |id: &str| SeedOrganization {
        id: id.into(),
        display_name: format!("Name of {id}"),
        external_id: (id == "org_2").then(|| "second".into()),
        ..SeedOrganization::default()
    };
    let jane = jane("usr_1", &["org_2", "org_1"]);
    let organizations = vec![organization("org_1"), organization("org_2")];
    let seed = Seed { organizations, users: vec![jane], ..Seed::default() };
    store.seed(ENV, &seed, false, 5).await.unwrap();
    store
}

fn jane(id: &str, organization_ids: &[&str]) -> SeedUser {
    SeedUser {
        id: id.into(),
        email: EmailAddress::parse("Jane@example.com").unwrap(),
        name: Some("Jane".into()),
        given_name: None,
        family_name: None,
        picture: None,
        locale: None,
        external_id: None,
        organization_ids: organization_ids.iter().map(|id| (*id).to_owned()).collect(),
        roles: vec![],
    }
}

/// Every statement in the sources, as the compiler reads it.
fn statements() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/storage");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for literal in text.split('"').skip(1).step_by(2) {
            let joined: String = literal.split("\\\n").map(str::trim_start).collect();
            // Statements of tables are put together; those are prepared from the whole.
            if joined.ends_with(' ') || joined.len() < 20 {
                continue;
            }
            if ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|v| joined.starts_with(v)) {
                found.push(joined);
            }
        }
    }
    found.extend(vestibule::storage::table_statements().map(str::to_owned));
    assert!(found.len() > 60, "only {} statements found", found.len());
    found
}

#[rstest]
#[tokio::test]
async fn every_statement_prepares(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(database) = Database::fresh(engine).await else { return };
    database.open().await.migrate().await.unwrap();
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    for statement in statements() {
        // What only PostgreSQL knows is for locks that the embedded engine has no need of.
        if engine == Engine::Sqlite && (statement.contains("pg_") || statement.ends_with("FOR UPDATE")) {
            continue;
        }
        let prepared = connection.prepare(AssertSqlSafe(statement.clone()).into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
    }
}

/// Tables of a schema.
async fn tables_in(connection: &mut PgConnection, schema: &str) -> Vec<String> {
    let query = sqlx::query_scalar(
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = $1 ORDER BY tablename",
    );
    query.bind(schema).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn tables_of_an_application_in_the_same_database_stay_untouched() {
    let Some(database) = Database::fresh(Engine::Postgres).await else { return };
    let mut application = PgConnection::connect(database.application_url()).await.unwrap();
    let theirs = "CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('theirs'); \
                  CREATE TABLE _sqlx_migrations (name TEXT)";
    application.execute(theirs).await.unwrap();
    let store = store_with_jane(&database).await;
    assert!(store.user_summary(ENV, "usr_1").await.unwrap().is_some());
    // Another one in the same database knows nothing of it.
    let other = database.open_schema("other").await;
    other.migrate().await.unwrap();
    assert!(other.user_summary(ENV, "usr_1").await.unwrap().is_none());
    assert_eq!(tables_in(&mut application, "public").await, ["_sqlx_migrations", "users"]);
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM users").fetch_all(&mut application).await.unwrap();
    assert_eq!(names, ["theirs"]);
    let ours = tables_in(&mut application, "vestibule").await;
    assert!(ours.iter().any(|table| table == "users"), "{ours:?}");
    assert_eq!(tables_in(&mut application, "other").await, ours);
}

/// Anything else reads a whole table for every batch, and users wait for it.
#[tokio::test]
async fn rows_to_clean_up_are_found_by_their_time() {
    let database = Database::fresh(Engine::Sqlite).await.unwrap();
    database.open().await.migrate().await.unwrap();
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    let deletions: Vec<String> =
        statements().into_iter().filter(|s| s.starts_with("DELETE") && s.contains("_at_ms < ")).collect();
    assert!(deletions.len() >= 10, "{deletions:?}");
    for statement in deletions {
        let explained = format!("EXPLAIN QUERY PLAN {statement}");
        let plan = sqlx::query(AssertSqlSafe(explained)).bind(1).bind(2).bind(3).fetch_all(&mut connection);
        let plan: Vec<String> = plan.await.unwrap().iter().map(|step| step.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains("_at_ms<?")), "{statement}: {plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{statement}: {plan:?}");
    }
}

#[rstest]
#[tokio::test]
async fn migrations_run_once_however_many_start_together(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let stores = join_all((0..6).map(|_| database.open())).await;
    for outcome in join_all(stores.iter().map(|s| s.migrate())).await {
        outcome.unwrap();
    }
    stores[0].migrate().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn secrets_and_keys_are_made_by_whoever_is_first_and_survive(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let key = |kid: &str| StoredKey {
        sequence: 1,
        kid: kid.into(),
        private_key: vec![0, 255, 7],
        created_at_ms: 1,
        signs_from_ms: 2,
    };
    let kids: Vec<String> = (0..8).map(|i| format!("snk_{i}")).collect();
    let offers = join_all(kids.iter().map(|k| {
        let (store, key) = (store.clone(), key(k));
        async move { store.offer_signing_key(ENV, &key).await.unwrap() }
    }))
    .await;
    assert_eq!(offers.iter().filter(|won| **won).count(), 1);
    for value in [b"one", b"two"] {
        store.offer_server_secret(ENV, "s", value, 1).await.unwrap();
    }
    store.close().await;
    let again = database.open().await;
    assert_eq!(again.server_secret(ENV, "s").await.unwrap().as_deref(), Some(&b"one"[..]));
    let keys = again.signing_keys(ENV).await.unwrap();
    assert_eq!((keys.len(), keys[0].private_key.as_slice()), (1, &[0, 255, 7][..]));
    assert!(again.signing_keys("env_2").await.unwrap().is_empty(), "another environment sees nothing of it");
}

#[rstest]
#[tokio::test]
async fn seeding_twice_changes_nothing_and_finds_users_by_any_spelling(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let organization = SeedOrganization {
        id: "org_1".into(),
        display_name: "Acme".into(),
        external_id: Some("acme".into()),
        ..SeedOrganization::default()
    };
    let user = |id: &str| jane(id, &["org_1"]);
    for (at, id) in [(1, "usr_1"), (2, "usr_2")] {
        let organizations = vec![organization.clone()];
        let seed = Seed { organizations, users: vec![user(id)], ..Seed::default() };
        store.seed(ENV, &seed, false, at).await.unwrap();
    }
    let jane =
        store.user_by_email(ENV, &EmailAddress::parse("jane@EXAMPLE.com").unwrap()).await.unwrap().unwrap();
    assert_eq!((jane.id.as_str(), jane.name.as_deref()), ("usr_1", Some("Jane")));
    assert_eq!(store.organizations_of(ENV, "usr_1").await.unwrap().len(), 1);
    assert_eq!(store.organization_summary(ENV, "acme").await.unwrap().unwrap().id, "org_1");
    assert!(store.user_summary(ENV, "usr_2").await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn a_grant_is_found_with_those_behind_it_and_goes_with_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    let session = session("ses_1");
    store.insert_session(ENV, &session, "cookie").await.unwrap();
    store.insert_grant(ENV, &grant("grt_1", "usr_1", "ses_1"), "code-1", None, 20).await.unwrap();
    let refused = store.insert_grant(ENV, &grant("grt_2", "usr_1", "ses_gone"), "code-2", None, 20).await;
    assert!(matches!(refused, Err(StoreError::MissingParent(_))), "{refused:?}");
    store.insert_grant(ENV, &grant("grt_2", "usr_1", "ses_1"), "code-2", None, 20).await.unwrap();

    let found = store.grant_with_subject_by_code(ENV, "grt_1", "code-1").await.unwrap().unwrap();
    assert_eq!((found.grant.id.as_str(), found.grant.authenticated_at_ms), ("grt_1", 20));
    assert_eq!(found.session, session);
    assert_eq!(Some(found.user), store.user_summary(ENV, "usr_1").await.unwrap());
    assert_eq!(found.organizations, store.organizations_of(ENV, "usr_1").await.unwrap());
    assert_eq!(found.organizations.len(), 2);

    for (environment_id, id) in [(ENV, "grt_3"), ("env_2", "grt_1"), (ENV, "code-1")] {
        assert!(
            store.grant_with_subject(environment_id, id).await.unwrap().is_none(),
            "{environment_id} {id}"
        );
    }
    for (environment_id, id, code) in
        [(ENV, "grt_1", "code-2"), (ENV, "grt_2", "code-1"), ("env_2", "grt_1", "code-1")]
    {
        let found = store.grant_with_subject_by_code(environment_id, id, code).await.unwrap();
        assert!(found.is_none(), "{environment_id} {id} {code}");
    }
    for id in ["org_1", "org_2"] {
        let organization = store.organization(ENV, &RecordKey::Id(id.into())).await.unwrap().unwrap();
        let event = event(EventType::OrganizationDeleted, &organization);
        assert!(
            store.delete_organization(ENV, &organization, Members::Stay, &[event], &[], 30).await.unwrap()
        );
    }
    assert_eq!(store.grant_with_subject(ENV, "grt_2").await.unwrap().unwrap().organizations, []);
    let user = store.user(ENV, &RecordKey::Id("usr_1".into())).await.unwrap().unwrap();
    assert!(store.delete_user(ENV, &user, &[], &[]).await.unwrap());
    assert!(!store.delete_user(ENV, &user, &[], &[]).await.unwrap());
    assert!(store.grant_with_subject(ENV, "grt_2").await.unwrap().is_none());
    assert!(store.grant(ENV, "grt_1").await.unwrap().is_none());
    assert_eq!(store.session(ENV, "ses_1").await.unwrap(), None);
}

/// PostgreSQL plans by guesses until it has statistics of a new table.
#[tokio::test]
async fn a_grant_is_found_without_reading_other_users_in_a_new_database() {
    const USERS: usize = 300;
    let Some(database) = Database::fresh(Engine::Postgres).await else { return };
    let store = store_in(&database).await;
    let users: Vec<SeedUser> = (0..USERS).map(|n| jane(&format!("usr_{n}"), &[])).collect();
    let users = users.into_iter().enumerate().map(|(n, user)| SeedUser {
        email: EmailAddress::parse(&format!("user{n}@example.com")).unwrap(),
        ..user
    });
    let seed = Seed { users: users.collect(), ..Seed::default() };
    store.seed(ENV, &seed, false, 10).await.unwrap();
    for n in 0..USERS {
        let (user, id) = (format!("usr_{n}"), format!("ses_{n}"));
        store.insert_session(ENV, &Session { user_id: user.clone(), ..session(&id) }, &id).await.unwrap();
        store.insert_grant(ENV, &grant(&format!("grt_{n}"), &user, &id), &id, None, 20).await.unwrap();
    }
    store.close().await;
    let store = database.open().await;
    store.analyze_new_tables().await.unwrap();
    store.close().await;
    let before = rows_read(&database, "users").await;
    let store = database.open().await;
    for n in 0..20 {
        let id = format!("grt_{n}");
        assert!(store.grant_with_subject(ENV, &id).await.unwrap().is_some());
        assert!(store.grant(ENV, &id).await.unwrap().is_some());
    }
    store.close().await;
    let read = rows_read(&database, "users").await - before;
    assert!(read <= 20, "{read} rows of users were read for 20 grants");
}

/// Rows of a table that were read by all connections that are closed.
async fn rows_read(database: &Database, table: &str) -> i64 {
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    // A server process reports its numbers when it ends.
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut connection).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    let read = "SELECT COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = $1";
    sqlx::query_scalar(read).bind(table).fetch_one(&mut connection).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_session_is_found_by_its_own_cookie_only(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    for (id, cookie) in [("ses_1", "cookie-1"), ("ses_2", "cookie-2")] {
        store.insert_session(ENV, &session(id), cookie).await.unwrap();
    }
    assert_eq!(store.session_by_cookie(ENV, "ses_1", "cookie-1").await.unwrap(), Some(session("ses_1")));
    for (environment_id, id, cookie) in
        [(ENV, "ses_1", "cookie-2"), (ENV, "ses_3", "cookie-1"), ("env_2", "ses_1", "cookie-1")]
    {
        let found = store.session_by_cookie(environment_id, id, cookie).await.unwrap();
        assert_eq!(found, None, "{environment_id} {id} {cookie}");
    }
}

#[rstest]
#[tokio::test]
async fn a_used_code_is_kept_until_the_last_token_of_it_has_expired(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    store.insert_session(ENV, &session("ses_1"), "cookie").await.unwrap();
    for id in ["grt_1", "grt_2"] {
        store.insert_grant(ENV, &grant(id, "usr_1", "ses_1"), id, None, 20).await.unwrap();
    }
    // As expected, and after the lifetime of tokens was raised.
    for (id, refresh_expires_at_ms) in [("grt_1", 150), ("grt_2", 300)] {
        let used = Grant { refresh_expires_at_ms, ..grant(id, "usr_1", "ses_1") };
        assert!(store.consume_code(ENV, &used, 30).await.unwrap(), "{id}");
        assert!(!store.consume_code(ENV, &used, 30).await.unwrap(), "{id} is used");
    }
    let left = async |before_ms| {
        store.delete_expired(ENV, before_ms, 10).await.unwrap();
        let is_left = async |id| store.grant(ENV, id).await.unwrap().is_some();
        (is_left("grt_1").await, is_left("grt_2").await)
    };
    assert_eq!(left(200).await, (true, true));
    assert_eq!(left(201).await, (false, true));
    assert_eq!(left(301).await, (false, false));
}

pub(crate) fn session(id: &str) -> Session {
    Session {
        id: id.into(),
        user_id: "usr_1".into(),
        organization_id: None,
        authenticated_at_ms: 10,
        last_active_at_ms: 10,
        absolute_expires_at_ms: 1000,
        idle_timeout_s: None,
        ended_at_ms: None,
    }
}

pub(crate) fn grant(id: &str, user_id: &str, session_id: &str) -> Grant {
    Grant {
        issuer: "http://localhost:6870".to_owned(),
        id: id.into(),
        user_id: user_id.into(),
        session_id: session_id.into(),
        organization_id: None,
        custom_claims: serde_json::Map::new(),
        authenticated_at_ms: 20,
        code_expires_at_ms: 100,
        code_used_at_ms: None,
        refresh_generation: None,
        refresh_rotated_at_ms: 20,
        refresh_expires_at_ms: 100,
        revoked_at_ms: None,
        kept_until_ms: 200,
        authorization: AuthorizationRequest {
            client_id: "skc_1".into(),
            redirect_uri: "http://localhost/cb".into(),
            scope: vec!["openid".into()],
            state: None,
            nonce: None,
            login_hint: None,
            prompt: Prompt::Auto,
            max_age_s: None,
            id_token_hint: None,
            code_challenge: None,
            organization_id: None,
            claims: RequestedClaims::default(),
            language: None,
        },
    }
}

#[rstest]
#[tokio::test]
async fn expired_rows_are_deleted_and_living_ones_stay(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for i in 0..10 {
        store.revoke_token(ENV, &format!("tkn_{i}"), i).await.unwrap();
    }
    assert_eq!(store.delete_expired(ENV, 5, 3).await.unwrap(), 3, "no more than a batch at a time");
    assert_eq!(store.delete_expired(ENV, 5, 3).await.unwrap(), 2);
    assert_eq!(store.delete_expired(ENV, 5, 3).await.unwrap(), 0);
    assert!(store.is_token_revoked(ENV, "tkn_5").await.unwrap());
    assert!(!store.is_token_revoked(ENV, "tkn_4").await.unwrap());
}

#[rstest]
#[tokio::test]
async fn an_empty_inbox_is_no_error(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let filter = InboxFilter { limit: 10, ..InboxFilter::default() };
    assert!(store.messages(ENV, &filter).await.unwrap().is_empty());
    assert_eq!(store.delete_messages(ENV, None).await.unwrap(), 0);
}

fn rejected(attempt: i64) -> SignInEvent {
    SignInEvent::CodeRejected { attempt: u32::try_from(attempt).unwrap(), of: 5, closed: false }
}

#[rstest]
#[tokio::test]
async fn steps_of_a_sign_in_that_are_logged_again_stand_there_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let event = |n: i64, flow_id: &str, about: About| FlowEvent {
        environment_id: ENV.into(),
        id: format!("{n:020}"),
        flow_id: flow_id.into(),
        about,
        event: rejected(n),
        at_ms: n,
        logged_at_ms: n,
    };
    let first = event(1, "flow", About::default().email("jane@example.com"));
    let second = event(2, "flow", About::status(FlowStatus::Failed));
    let other = event(3, "other", About::default());
    store.log_flows(&[first.clone(), other]).await.unwrap();
    // Where nobody knows whether steps were written, they come again, behind others that were noted meanwhile.
    store.log_flows(&[second, first]).await.unwrap();
    // The sign-in was refused by then: what comes later changes neither that nor why.
    store.log_flows(&[event(4, "flow", About::status(FlowStatus::Success))]).await.unwrap();
    let steps = store.flow_steps(ENV, "flow").await.unwrap();
    let found: Vec<SignInEvent> = steps.iter().map(|s| s.event.clone()).collect();
    assert_eq!(found, [rejected(1), rejected(2), rejected(4)]);
    assert_eq!(steps.iter().map(|s| s.at_ms).collect::<Vec<_>>(), [1, 2, 4]);
    let flow = store.flow(ENV, "flow").await.unwrap().unwrap();
    assert_eq!((flow.email.as_deref(), flow.status), (Some("jane@example.com"), FlowStatus::Failed));
    assert_eq!((flow.started_at_ms, flow.changed_at_ms, flow.last_event), (1, 2, rejected(2)));
    assert_eq!(store.flow_steps(ENV, "other").await.unwrap().len(), 1);
    assert_eq!(
        store.delete_flows(ENV, 4, 10).await.unwrap(),
        3,
        "one row of steps for each, and the other sign-in"
    );
    assert_eq!(store.flow_steps(ENV, "flow").await.unwrap().len(), 1);
}

/// Writes that come at the same time share a commit on the embedded engine.
#[rstest]
#[tokio::test]
async fn writes_that_come_together_stand_or_fall_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let parameters = Parameters::new(vec![]);
    // Every request is pushed twice at once, and then used twice at once.
    let digest = |n: usize| format!("digest_{}", n / 2);
    let pushed = join_all((0..40).map(|n| {
        let (store, parameters) = (&store, &parameters);
        async move { store.insert_pushed_request(ENV, &digest(n), "skc_1", parameters, 9).await }
    }));
    let pushed = pushed.await;
    let refused = pushed.iter().filter(|p| matches!(p, Err(StoreError::Exists(_)))).count();
    assert_eq!((pushed.iter().filter(|p| p.is_ok()).count(), refused), (20, 20), "{pushed:?}");
    let used = join_all((0..40).map(|n| {
        let store = &store;
        async move { store.use_pushed_request(ENV, &digest(n), "skc_1", 1).await.unwrap().is_some() }
    }));
    for (number, pair) in used.await.chunks(2).enumerate() {
        assert!(pair[0] != pair[1], "request {number} was used {pair:?}");
    }
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_done_whole_or_not_at_all_and_holds_nobody_up() {
    let database = Database::fresh(Engine::Sqlite).await.unwrap();
    let store = store_in(&database).await;
    let parameters = Parameters::new(vec![]);
    let mut other = AnyConnection::connect(&database.connect_url()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    {
        let mut pushing = pin!(store.insert_pushed_request(ENV, "left", "skc_1", &parameters, 9));
        assert!(futures_util::poll!(pushing.as_mut()).is_pending());
    }
    other.execute("ROLLBACK").await.unwrap();
    store.insert_pushed_request(ENV, "stayed", "skc_1", &parameters, 9).await.unwrap();
    assert!(store.use_pushed_request(ENV, "stayed", "skc_1", 1).await.unwrap().is_some());
}

/// Tables that belong to an environment, as the database knows them.
async fn tables_of_environments(connection: &mut AnyConnection, engine: Engine) -> Vec<String> {
    let query = match engine {
        Engine::Sqlite => {
            "SELECT CAST(m.name AS TEXT) AS name FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND c.name = 'environment_id'"
        }
        Engine::Postgres => {
            "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.columns \
             WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND column_name = 'environment_id'"
        }
    };
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get("name")).collect()
}

/// What a database in use holds, written by hand: the migrations have to keep it, and a deletion takes all of it.
const ROWS: &[&str] = &[
    "INSERT INTO server_secrets VALUES ('env_1', 's', 'value', 1)",
    "INSERT INTO signing_keys VALUES ('env_1', 1, 'kid', 'key', 1, 1)",
    "INSERT INTO auth_requests (environment_id, id, client_id, version, stage, authorization_json, browser_digest, \
     issuer, attempts_at_ms, created_at_ms, expires_at_ms) \
     VALUES ('env_1', 'ar', 'skc_1', 0, 'awaiting_email', '{}', '', '', '', 0, 0)",
    "INSERT INTO pushed_requests VALUES ('env_1', 'digest', 'skc_1', '[]', NULL, 1)",
    "INSERT INTO mail_budgets VALUES ('env_1', 'jane', 1, '1', 1)",
    "INSERT INTO failed_attempts VALUES ('env_1', 'jane', 1, '1', 1)",
    "INSERT INTO revoked_tokens VALUES ('env_1', 'jti', 1)",
    "INSERT INTO session_clients VALUES ('env_1', 'ses_1', 'skc_1', '', 'usr_1', NULL, 0, 0, 'delivered', NULL, 1)",
    "INSERT INTO messages VALUES ('env_1', 'msg', 'j', 'j', '', '', '', NULL, NULL, 'ar', 'signin', 'person', 1, NULL, NULL, NULL, NULL)",
    "INSERT INTO outbox VALUES ('env_1', 'msg', 'j', 'sealed', 'ar', 0, 1, 1)",
    "INSERT INTO fault_rules VALUES ('env_1', 'flt', '{}', 0, 0, 1)",
    "INSERT INTO flows VALUES ('env_1', 'flow', NULL, NULL, NULL, NULL, 'SUCCESS', '{}', 1, 1, 1)",
    "INSERT INTO flow_steps VALUES ('env_1', 'flow', 'id', '[]', 1)",
    "INSERT INTO membership_roles VALUES ('env_1', 'usr_1', 'org_1', 'role_0000000000000000001')",
    "INSERT INTO portal_links VALUES ('env_1', 'link', 'org_1', '[]', NULL, 1)",
    "INSERT INTO domains VALUES ('env_1', 'dom', 'org_1', 'acme.com', 'ORGANIZATION_DOMAIN', 1)",
    "INSERT INTO organization_clients VALUES ('env_1', 'm2morg_1', 1, 'org_1', '', '', '[]', '[]', '[]', 0, '[]', 1, 1)",
    "INSERT INTO api_tokens VALUES ('env_1', 'apit_1', 1, 'org_1', 'usr_1', NULL, '{}', '', '', 1, NULL, NULL)",
    "INSERT INTO role_bases VALUES ('env_1', 'role_0000000000000000001', 'role_0000000000000000002')",
    "INSERT INTO organization_default_roles VALUES ('env_1', 'org_1', 'role_0000000000000000001')",
    "INSERT INTO events VALUES ('env_1', 'evt', 'organization.created', 'org_1', '{}', 1, 1)",
    "INSERT INTO webhook_endpoints VALUES ('env_1', 'whe', 1, 'http://a.io/', '[]', '', 1, 'sealed', 1, 1)",
    "INSERT INTO webhook_deliveries VALUES ('env_1', 'whe', 'evt', 'organization.created', '{}', 'QUEUED', 0, 0, 0, 0, '[]', 1, 1)",
    "INSERT INTO interceptors VALUES ('env_1', 'icp', 1, 'Ask', '', 'PRE_SIGNUP', 'http://a.io/', 1000, 'FAIL_OPEN', 1, \
     'sealed', 1, 1)",
    "INSERT INTO interceptor_calls VALUES ('env_1', 'icpc', 'icp', 'Ask', 'PRE_SIGNUP', NULL, '{}', 'ALLOW', '{}', 1, 1)",
];

async fn count(connection: &mut AnyConnection, table: &str) -> i64 {
    let query = format!("SELECT COUNT(*) FROM {table} WHERE environment_id IN ('env_1', 'env_1~seed')");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(connection).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn an_environment_takes_everything_in_it_along_when_it_is_deleted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    store.insert_session(ENV, &session("ses_1"), "cookie").await.unwrap();
    store.insert_grant(ENV, &grant("grt_1", "usr_1", "ses_1"), "code", None, 20).await.unwrap();
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    for statement in ROWS {
        connection.execute(*statement).await.unwrap();
    }
    // A start of a later version migrates a database with data in it.
    store.migrate().await.unwrap();
    let tables = tables_of_environments(&mut connection, engine).await;
    assert!(tables.len() >= 19, "{tables:?}");
    for table in &tables {
        assert!(count(&mut connection, table).await > 0, "{table} is empty: add a row of it to ROWS");
    }
    assert!(store.delete_environment(ENV).await.unwrap());
    assert!(!store.delete_environment(ENV).await.unwrap());
    for table in &tables {
        assert_eq!(count(&mut connection, table).await, 0, "{table}");
    }
    // Steps of its sign-ins that were on their way are nobody's any more, and hold up nobody else's.
    let event = FlowEvent {
        environment_id: ENV.into(),
        id: "1".into(),
        flow_id: "flow".into(),
        about: About::default(),
        event: rejected(1),
        at_ms: 1,
        logged_at_ms: 1,
    };
    store.log_flows(&[event]).await.unwrap();
    assert!(store.flow_steps(ENV, "flow").await.unwrap().is_empty());
}

#[rstest]
#[case::stage("UPDATE auth_requests SET stage = 'somewhere'")]
#[case::passwordless_type("UPDATE auth_requests SET passwordless_type = 'SMS'")]
#[case::recipient("UPDATE messages SET recipient_kind = 'robot'")]
#[case::kind_of_email("UPDATE messages SET kind = 'other'")]
#[case::outcome("UPDATE session_clients SET outcome = 'maybe'")]
#[case::status("UPDATE flows SET status = 'GONE'")]
#[case::kind_of_environment("UPDATE environments SET kind = 'other'")]
#[case::isolated_environment_without_a_name("UPDATE environments SET kind = 'isolated'")]
#[case::template_of_nothing("UPDATE environments SET template_of = NULL")]
#[case::kind_of_client("UPDATE clients SET kind = 'robot'")]
#[case::secret_without_a_value("UPDATE client_secrets SET hash = NULL, sealed = NULL")]
#[case::grant_of_no_client("UPDATE grants SET client_id = 'skc_2'")]
#[case::session_of_nobody("UPDATE sessions SET user_id = 'usr_2'")]
#[case::region("UPDATE organizations SET region_code = 'MOON'")]
#[case::idle_timeout_alone("UPDATE organizations SET idle_session_timeout_min = 1")]
#[case::type_of_event("UPDATE events SET type = 'organization.moved'")]
#[case::status_of_delivery("UPDATE webhook_deliveries SET status = 'LOST'")]
#[case::delivery_that_is_over_and_waits("UPDATE webhook_deliveries SET status = 'SUCCESS'")]
#[case::webhook_half_enabled("UPDATE webhook_endpoints SET is_enabled = 2")]
#[case::trigger_of_interceptor("UPDATE interceptors SET trigger_point = 'POST_SIGNUP'")]
#[case::policy_of_interceptor("UPDATE interceptors SET failure_policy = 'FAIL'")]
#[case::result_of_interceptor("UPDATE interceptor_calls SET result = 'MAYBE'")]
#[case::type_of_domain("UPDATE domains SET domain_type = 'SITE'")]
#[case::domain_of_nothing("UPDATE domains SET organization_id = 'org_3'")]
#[case::client_of_nothing("UPDATE organization_clients SET organization_id = 'org_3'")]
#[case::negative_expiry("UPDATE organization_clients SET expiry_s = -1")]
#[case::token_of_nothing("UPDATE api_tokens SET user_id = NULL, organization_id = 'org_3'")]
#[case::token_of_no_member("UPDATE api_tokens SET user_id = 'usr_2'")]
#[case::default_role_of_an_organization_for_all(
    "UPDATE roles SET organization_id = 'org_1' WHERE is_default_creator = 1"
)]
#[case::role_that_extends_itself("UPDATE role_bases SET base_role_id = role_id")]
#[case::role_of_nothing("UPDATE roles SET organization_id = 'org_3' WHERE is_default_creator = 0")]
#[case::permission_of_nothing(
    "UPDATE role_permissions SET permission_id = 'perm_1' \
    WHERE role_id = 'role_0000000000000000002' AND permission_id = 'perm_0000000000000000001'"
)]
#[case::member_of_nothing("UPDATE memberships SET organization_id = 'org_3' WHERE organization_id = 'org_1'")]
#[tokio::test]
async fn the_schema_refuses_what_makes_no_sense(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[case] statement: &'static str,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    store.insert_session(ENV, &session("ses_1"), "cookie").await.unwrap();
    store.insert_grant(ENV, &grant("grt_1", "usr_1", "ses_1"), "code", None, 20).await.unwrap();
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    for row in ROWS {
        connection.execute(*row).await.unwrap();
    }
    let error = connection.execute(statement).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert!(error.is_check_violation() || error.is_foreign_key_violation(), "{error}");
}

/// A reference without an index makes every deletion read the whole table that refers.
#[tokio::test]
async fn every_reference_has_an_index() {
    let database = Database::fresh(Engine::Sqlite).await.unwrap();
    let _store = store_in(&database).await;
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    let references = sqlx::query(
        "SELECT CAST(m.name AS TEXT) AS child, CAST(group_concat(f.\"from\" || ' = ?', ' AND ') AS TEXT) AS condition \
         FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' GROUP BY m.name, f.id",
    );
    let references = references.fetch_all(&mut connection).await.unwrap();
    assert!(references.len() >= 18, "{}", references.len());
    for reference in references {
        let (child, condition): (String, String) = (reference.get("child"), reference.get("condition"));
        let explained = format!("EXPLAIN QUERY PLAN SELECT 1 FROM {child} WHERE {condition}");
        let plan = sqlx::query(AssertSqlSafe(explained)).bind("").bind("").fetch_all(&mut connection);
        let plan: Vec<String> = plan.await.unwrap().iter().map(|step| step.get("detail")).collect();
        let columns = condition.matches('?').count();
        assert!(
            plan.iter().any(|step| step.starts_with("SEARCH") && step.matches("=?").count() == columns),
            "{child}: {condition}: {plan:?}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn clients_are_rows_with_secrets_of_their_own(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    let clients = async || store.clients(ENV).await.unwrap();
    assert_eq!(clients().await, [stored("skc_1", 1)]);
    store.insert_session(ENV, &session("ses_1"), "cookie").await.unwrap();
    store.insert_grant(ENV, &grant("grt_1", "usr_1", "ses_1"), "code", None, 20).await.unwrap();

    let first = stored("skc_1", 1);
    let changed =
        ClientRecord { name: "Other".into(), secrets: first.secrets[1..].to_vec(), ..first.clone() };
    let second = ClientRecord { position: 1, ..client("skc_2") };
    let changes = ClientChanges { put: vec![changed.clone(), second.clone()], delete: vec![] };
    let record = store.environment_record(ENV).await.unwrap().unwrap();
    assert!(store.change_clients(&record, &changes, 2).await.unwrap());
    assert!(!store.change_clients(&record, &changes, 2).await.unwrap(), "somebody was faster");
    let now = [
        ClientRecord { version: Some(2), ..changed.clone() },
        ClientRecord { version: Some(1), ..second.clone() },
    ];
    assert_eq!(clients().await, now);
    // Nothing is written over a client that changed since it was read, nor over one that is there already.
    let record = store.environment_record(ENV).await.unwrap().unwrap();
    for stale in [changed, second] {
        let changes = ClientChanges { put: vec![stale], delete: vec![] };
        assert!(!store.change_clients(&record, &changes, 2).await.unwrap());
    }
    assert_eq!(clients().await, now);
    assert!(store.grant(ENV, "grt_1").await.unwrap().is_some(), "what was granted stays");
    assert_eq!(store.template_clients(ENV).await.unwrap(), [stored("skc_1", 1)], "what a reset goes back to");

    let record = store.environment_record(ENV).await.unwrap().unwrap();
    let deletion = ClientChanges { put: vec![], delete: vec!["skc_1".into()] };
    assert!(store.change_clients(&record, &deletion, 3).await.unwrap());
    assert_eq!(store.grant(ENV, "grt_1").await.unwrap(), None, "what was granted to it went with it");

    let record = store.environment_record(ENV).await.unwrap().unwrap();
    assert!(store.reset(&record, true, false, 4).await.unwrap());
    assert_eq!(clients().await.len(), 1);
    let record = store.environment_record(ENV).await.unwrap().unwrap();
    assert!(store.reset(&record, false, false, 5).await.unwrap());
    assert_eq!(clients().await, [stored("skc_1", 1)]);
}

/// Columns of JSON, as another version of this program may have written them.
#[rstest]
#[tokio::test]
async fn stored_json_of_another_version_is_read(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    store.insert_session(ENV, &session("ses_1"), "cookie").await.unwrap();
    let granted = grant("grt_1", "usr_1", "ses_1");
    store.insert_grant(ENV, &granted, "code", None, 20).await.unwrap();
    let mut connection = AnyConnection::connect(&database.connect_url()).await.unwrap();
    for row in ROWS {
        connection.execute(*row).await.unwrap();
    }
    let bare = r#"{ "client_id": "skc_1", "redirect_uri": "http://localhost/cb" }"#;
    let of_tomorrow = r#"{ "client_id": "skc_1", "redirect_uri": "http://localhost/cb", "scope": ["openid"],
        "acr_values": ["1"], "claims": { "userinfo": ["email"], "transformed": 1 } }"#;
    for (json, claims) in [(bare, vec![]), (of_tomorrow, vec!["email".to_owned()])] {
        for table in ["grants", "auth_requests"] {
            let update = format!("UPDATE {table} SET authorization_json = $1");
            sqlx::query(AssertSqlSafe(update)).bind(json).execute(&mut connection).await.unwrap();
        }
        let read = store.grant(ENV, "grt_1").await.unwrap().unwrap().authorization;
        assert_eq!((read.prompt, read.claims.userinfo), (Prompt::Auto, claims), "{json}");
        let request = store.auth_request::<Hosted>(ENV, "ar").await.unwrap().unwrap();
        assert_eq!(request.origin.authorization.client_id, "skc_1");
    }
    for json in [
        r#"{ "client_id": "skc_1" }"#,
        r#"{ "client_id": "skc_1", "template": "SIGNUP", "phone_number": "+1", "template_variables": [["a", "b"]] }"#,
    ] {
        let update = sqlx::query("UPDATE auth_requests SET headless_json = $1").bind(json);
        update.execute(&mut connection).await.unwrap();
        let request = store.auth_request::<Headless>(ENV, "ar").await.unwrap().unwrap();
        assert_eq!(request.origin.client_id, "skc_1", "{json}");
    }
    for (json, latency_ms) in [
        ("{}", None),
        (
            r#"{ "latency_ms": 5, "match": { "path": "/x", "header": "h" }, "jitter": 1,
            "effect": { "kind": "status", "status": 500, "colour": "red" } }"#,
            Some(5),
        ),
    ] {
        let update = sqlx::query("UPDATE fault_rules SET rule_json = $1").bind(json);
        update.execute(&mut connection).await.unwrap();
        assert_eq!(store.faults(ENV).await.unwrap()[0].rule.latency_ms, latency_ms, "{json}");
    }
    for (json, is_frozen) in [
        ("{}", false),
        (r#"{ "state": { "state": "frozen", "at_ms": 1, "zone": "UTC" }, "speed": 2 }"#, true),
    ] {
        let update = sqlx::query("UPDATE environments SET clock_json = $1").bind(json);
        update.execute(&mut connection).await.unwrap();
        let record = store.environment_record(ENV).await.unwrap().unwrap();
        assert_eq!(record.clock.is_frozen(), is_frozen, "{json}");
    }
    for json in [
        r#"[{ "id": "1", "at_ms": 1, "kind": "code_accepted" }]"#,
        r#"[{ "id": "1", "at_ms": 1, "kind": "passkey_used", "data": { "key": "k" }, "device": 1 }]"#,
        r#"[{ "id": "1", "at_ms": 1, "kind": "code_rejected", "data": { "attempt": 1 } }]"#,
    ] {
        let update = sqlx::query("UPDATE flow_steps SET steps_json = $1").bind(json);
        update.execute(&mut connection).await.unwrap();
        assert_eq!(store.flow_steps(ENV, "flow").await.unwrap().len(), 1, "{json}");
    }
    for json in [r#"{ "kind": "code_accepted" }"#, r#"{ "kind": "passkey_used", "data": {}, "device": 1 }"#] {
        let update = sqlx::query("UPDATE flows SET last_event_json = $1").bind(json);
        update.execute(&mut connection).await.unwrap();
        assert!(store.flow(ENV, "flow").await.unwrap().is_some(), "{json}");
    }
}
