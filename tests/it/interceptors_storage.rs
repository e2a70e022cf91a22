//! Interceptors and their calls as they are stored, on both engines.

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::domain::interceptor::{CallResult, FailurePolicy, Interceptor, InterceptorCall, TriggerPoint};
use vestibule::domain::webhook::DeliveryAttempt;
use vestibule::storage::{CallFilter, InterceptorChange, InterceptorRecord, Store};

use crate::support::{Database, Engine};

const ENV: &str = "env_1";

async fn store_in(database: &Database) -> Store {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    store
}

fn record(id: &str, created_at_ms: i64) -> InterceptorRecord {
    InterceptorRecord {
        interceptor: Interceptor {
            id: id.into(),
            version: 1,
            display_name: format!("Name of {id}"),
            description: "d".into(),
            trigger_point: TriggerPoint::PreSignup,
            url: format!("http://{id}.example.com/"),
            timeout_ms: 500,
            failure_policy: FailurePolicy::FailClosed,
            is_enabled: true,
            created_at_ms,
            updated_at_ms: created_at_ms,
        },
        sealed_secrets: "sealed".into(),
    }
}

/// Changes interceptors over the environment's record as it is now.
async fn change(store: &Store, change: InterceptorChange<'_>) -> Option<bool> {
    let environment = store.environment_record(ENV).await.unwrap().unwrap();
    store.change_interceptors(&environment, change, 9).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn interceptors_are_listed_oldest_first_and_every_change_is_one_of_their_environment(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let (old, new) = (record("icp_b", 5), record("icp_a", 6));
    let before = store.environment_record(ENV).await.unwrap().unwrap();
    assert_eq!(change(&store, InterceptorChange::Insert(&new)).await, Some(true));
    assert_eq!(change(&store, InterceptorChange::Insert(&old)).await, Some(true));
    assert_eq!(store.interceptors(ENV).await.unwrap(), [old.clone(), new.clone()]);
    let after = store.environment_record(ENV).await.unwrap().unwrap();
    assert_eq!(after.version, before.version + 2);
    let stale = store.change_interceptors(&before, InterceptorChange::Delete("icp_a"), 9).await.unwrap();
    assert_eq!(stale, None, "the environment was changed since it was read");

    let mut changed = old.clone();
    changed.interceptor.is_enabled = false;
    changed.interceptor.failure_policy = FailurePolicy::FailOpen;
    changed.sealed_secrets = "other".into();
    assert_eq!(change(&store, InterceptorChange::Update(&changed)).await, Some(true));
    assert_eq!(change(&store, InterceptorChange::Update(&changed)).await, Some(false), "of an old version");
    changed.interceptor.version = 2;
    assert_eq!(store.interceptors(ENV).await.unwrap(), [changed, new]);
    assert_eq!(change(&store, InterceptorChange::Delete("icp_b")).await, Some(true));
    assert_eq!(change(&store, InterceptorChange::Delete("icp_b")).await, Some(false));
    assert_eq!(store.interceptors(ENV).await.unwrap().len(), 1);
}

#[rstest]
#[tokio::test]
async fn configured_interceptors_come_back_with_a_reset(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let (kept, gone) = (record("icp_1", 5), record("icp_2", 6));
    store.seed_interceptors(ENV, &[kept.clone(), gone], &[], 7).await.unwrap();
    assert_eq!(store.template_interceptors(ENV).await.unwrap().len(), 2);
    store.seed_interceptors(ENV, &[], &["icp_2".to_owned()], 8).await.unwrap();
    assert_eq!(store.interceptors(ENV).await.unwrap().len(), 1);
    change(&store, InterceptorChange::Delete("icp_1")).await;
    change(&store, InterceptorChange::Insert(&record("icp_3", 9))).await;
    let environment = store.environment_record(ENV).await.unwrap().unwrap();
    assert!(store.reset(&environment, false, false, 10).await.unwrap());
    let left: Vec<String> =
        store.interceptors(ENV).await.unwrap().into_iter().map(|record| record.interceptor.id).collect();
    assert_eq!(left, ["icp_1"]);
}

#[rstest]
#[tokio::test]
async fn calls_are_filtered_and_go_when_they_are_old(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let call = |id: &str, result: CallResult, flow_id: Option<&str>| InterceptorCall {
        id: id.into(),
        interceptor_id: "icp_1".into(),
        display_name: "Check".into(),
        trigger_point: TriggerPoint::PreSessionCreation,
        flow_id: flow_id.map(str::to_owned),
        body: json!({ "é": 1 }).to_string(),
        result,
        attempt: DeliveryAttempt { number: 1, status: Some(200), ..DeliveryAttempt::default() },
        created_at_ms: 3,
    };
    let calls = [
        call("icpc_1", CallResult::Allow, Some("flow_1")),
        call("icpc_2", CallResult::Deny, None),
        call("icpc_3", CallResult::Failed, Some("flow_1")),
    ];
    for (logged_at_ms, call) in (10..).zip(&calls) {
        store.log_interceptor_call(ENV, call, logged_at_ms).await.unwrap();
    }
    let listed = async |filter: CallFilter| {
        store.interceptor_calls(ENV, &CallFilter { limit: 10, ..filter }).await.unwrap()
    };
    let all = listed(CallFilter::default()).await;
    assert_eq!(all.first(), Some(&calls[2]), "the newest first");
    assert_eq!(serde_json::from_str::<Value>(&all[0].body).unwrap(), json!({ "é": 1 }));
    let of_flow = listed(CallFilter { flow_id: Some("flow_1".into()), ..CallFilter::default() }).await;
    assert_eq!(of_flow.len(), 2);
    let denied = listed(CallFilter { result: Some(CallResult::Deny), ..CallFilter::default() }).await;
    assert_eq!(denied, [calls[1].clone()]);
    assert!(
        listed(CallFilter { interceptor_id: Some("icp_2".into()), ..CallFilter::default() }).await.is_empty()
    );
    assert_eq!(store.delete_interceptor_calls(ENV, 12, 10).await.unwrap(), 2);
    assert_eq!(listed(CallFilter::default()).await, [calls[2].clone()]);
}
