//! Webhook endpoints and deliveries as they are stored, on both engines: queued with the change that they tell of, taken by
//! one server at a time, kept by resets as they were configured.

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::clock::ClockSetting;
use vestibule::domain::event::{Event, EventType, organization_data};
use vestibule::domain::organization::Organization;
use vestibule::domain::webhook::{DeliveryAttempt, DeliveryStatus, WebhookDelivery, WebhookEndpoint};
use vestibule::storage::{DeliveryFilter, DueReceiver, EventFilter, SeedWebhook, Store, WebhookRecord};

use crate::support::{Database, Engine};

const ENV: &str = "env_1";

async fn store_in(database: &Database) -> Store {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    store
}

fn record(id: &str, events: &[EventType]) -> WebhookRecord {
    WebhookRecord {
        endpoint: WebhookEndpoint {
            id: id.into(),
            version: 1,
            url: format!("http://{id}.example.com/"),
            events: events.to_vec(),
            description: "d".into(),
            is_enabled: true,
            created_at_ms: 5,
            updated_at_ms: 5,
        },
        sealed_secrets: "sealed".into(),
    }
}

fn event(id: &str, event_type: EventType) -> Event {
    let acme = Organization::new("org_1".into(), "Acme".into(), 5);
    Event {
        id: id.into(),
        event_type,
        organization_id: Some("org_1".into()),
        occurred_at_ms: 7,
        logged_at_ms: 8,
        data: organization_data(&acme, None),
    }
}

/// Makes an organization, and tells of it.
async fn happen(store: &Store, event_id: &str) {
    let organization = Organization::new(event_id.replace("evt", "org"), "Acme".into(), 5);
    let event = event(event_id, EventType::OrganizationCreated);
    store.insert_organization(ENV, &organization, &event).await.unwrap();
}

async fn deliveries(store: &Store) -> Vec<WebhookDelivery> {
    store.deliveries(ENV, &DeliveryFilter { limit: 100, ..DeliveryFilter::default() }).await.unwrap()
}

fn receiver(id: &str) -> DueReceiver {
    DueReceiver { environment_id: ENV.into(), id: id.into(), clock: ClockSetting::default() }
}

#[rstest]
#[tokio::test]
async fn an_event_is_queued_with_its_change_for_the_endpoints_that_want_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let mut disabled = record("whe_off", &[]);
    disabled.endpoint.is_enabled = false;
    for webhook in [
        record("whe_all", &[]),
        record("whe_some", &[EventType::RoleCreated, EventType::OrganizationCreated]),
        record("whe_other", &[EventType::OrganizationUpdated]),
        disabled,
    ] {
        store.insert_webhook(ENV, &webhook).await.unwrap();
    }
    let mut written = store.events_written();
    written.mark_unchanged();
    happen(&store, "evt_1").await;
    assert!(written.has_changed().unwrap());
    let queued = deliveries(&store).await;
    let to: Vec<&str> = queued.iter().map(|delivery| delivery.endpoint_id.as_str()).collect();
    assert_eq!(to, ["whe_all", "whe_some"]);
    let delivery = &queued[0];
    assert_eq!(delivery.body, event("evt_1", EventType::OrganizationCreated).payload(ENV).to_body());
    assert_eq!((delivery.status, delivery.next_attempt_at_ms), (DeliveryStatus::Queued, Some(0)));

    // What is refused tells nobody.
    written.mark_unchanged();
    let organization = Organization { version: 9, ..Organization::new("org_1".into(), "Acme".into(), 5) };
    let refused = event("evt_2", EventType::OrganizationUpdated);
    assert!(!store.update_organization(ENV, &organization, &refused).await.unwrap());
    assert_eq!(deliveries(&store).await.len(), 2);
    assert!(!written.has_changed().unwrap());
}

#[rstest]
#[tokio::test]
async fn an_endpoint_is_changed_over_its_version_and_ends_its_deliveries_when_it_goes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    store.insert_webhook(ENV, &record("whe_1", &[EventType::OrganizationCreated])).await.unwrap();
    let mut changed = record("whe_1", &[]);
    changed.endpoint.description = "other".into();
    assert!(store.update_webhook(ENV, &changed).await.unwrap());
    assert!(!store.update_webhook(ENV, &changed).await.unwrap(), "it has moved on since");
    changed.endpoint.version = 2;
    assert_eq!(store.webhook(ENV, "whe_1").await.unwrap(), Some(changed.clone()));
    assert_eq!(store.webhooks(ENV).await.unwrap(), [changed]);
    assert_eq!(store.webhook("env_2", "whe_1").await.unwrap(), None);
    happen(&store, "evt_1").await;
    assert!(store.delete_webhook(ENV, "whe_1").await.unwrap());
    assert!(!store.delete_webhook(ENV, "whe_1").await.unwrap());
    let left = deliveries(&store).await;
    assert_eq!((left[0].status, left[0].next_attempt_at_ms), (DeliveryStatus::Failed, None));
}

/// Takes a delivery until 2,000 ms, if nobody has it.
async fn lease(store: &Store, delivery: &WebhookDelivery) -> Vec<WebhookDelivery> {
    store.lease_deliveries(ENV, vec![delivery.clone()], 2_000).await.unwrap()
}

async fn conclude(store: &Store, delivery: WebhookDelivery) {
    store.conclude_deliveries(&[(ENV.to_owned(), delivery)]).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_delivery_is_taken_once_and_by_another_when_the_lease_is_over(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    store.insert_webhook(ENV, &record("whe_1", &[])).await.unwrap();
    happen(&store, "evt_1").await;
    let waiting: Vec<String> =
        store.endpoints_with_deliveries().await.unwrap().into_iter().map(|due| due.id).collect();
    assert_eq!(waiting, ["whe_1"]);
    let due = async |now_ms, machine_ms| {
        store.due_deliveries(&receiver("whe_1"), now_ms, machine_ms, 10).await.unwrap()
    };
    // Even by a clock that shows 1970.
    let mut delivery = due(0, 1_000).await.remove(0);
    let leases = join_all((0..10).map(|_| lease(&store, &delivery))).await;
    let taken: Vec<WebhookDelivery> = leases.into_iter().flatten().collect();
    delivery.attempts += 1;
    assert_eq!(taken, [delivery.clone()]);
    assert!(due(0, 1_999).await.is_empty());
    assert_eq!(due(0, 2_000).await, [delivery.clone()], "whoever took it may be gone");

    let failed = DeliveryAttempt { number: 1, reason: Some("HTTP 500".into()), ..DeliveryAttempt::default() };
    delivery.conclude(failed, 10_000, 100);
    conclude(&store, delivery.clone()).await;
    assert_eq!(deliveries(&store).await, [delivery.clone()]);
    assert!(due(14_999, 1_000).await.is_empty());
    assert_eq!(due(15_000, 1_000).await, [delivery.clone()]);

    assert_eq!(lease(&store, &delivery).await.len(), 1);
    // Somebody who took it before the last lease changes nothing any more.
    conclude(&store, WebhookDelivery { failures: 5, ..delivery.clone() }).await;
    assert_eq!(deliveries(&store).await[0].failures, 1);
    delivery.attempts += 1;
    delivery.conclude(
        DeliveryAttempt { number: 2, status: Some(200), ..DeliveryAttempt::default() },
        20_000,
        100,
    );
    conclude(&store, delivery.clone()).await;
    assert_eq!(deliveries(&store).await[0].status, DeliveryStatus::Success);
    assert!(store.endpoints_with_deliveries().await.unwrap().is_empty());
    assert!(lease(&store, &delivery).await.is_empty(), "it is over");
}

#[rstest]
#[tokio::test]
async fn what_failed_is_sent_again_from_the_first_attempt_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    store.insert_webhook(ENV, &record("whe_1", &[])).await.unwrap();
    for (event_id, status) in [
        ("evt_1", DeliveryStatus::Failed),
        ("evt_2", DeliveryStatus::Success),
        ("evt_3", DeliveryStatus::Failed),
    ] {
        happen(&store, event_id).await;
        let filter =
            DeliveryFilter { event_id: Some(event_id.into()), limit: 1, ..DeliveryFilter::default() };
        let mut delivery = store.deliveries(ENV, &filter).await.unwrap().remove(0);
        (delivery.status, delivery.failures, delivery.next_attempt_at_ms) = (status, 6, None);
        conclude(&store, delivery.clone()).await;
    }
    let failed = Some(DeliveryStatus::Failed);
    let replay = async |event_id, status| {
        store.replay_deliveries(ENV, "whe_1", event_id, status, 1_000).await.unwrap()
    };
    assert_eq!(replay(None, failed).await, 2);
    assert_eq!(replay(Some("evt_2"), None).await, 1);
    assert_eq!(replay(Some("evt_9"), None).await, 0);
    for delivery in deliveries(&store).await {
        let stands = (delivery.status, delivery.failures, delivery.next_attempt_at_ms);
        assert_eq!(stands, (DeliveryStatus::Queued, 0, Some(0)));
    }
    let leased = deliveries(&store).await.remove(0);
    assert_eq!(lease(&store, &leased).await.len(), 1);
    assert_eq!(replay(Some(leased.event_id.as_str()), None).await, 0, "it is being tried");
}

#[rstest]
#[tokio::test]
async fn configured_endpoints_keep_the_secret_that_was_made_for_them_and_come_back_with_a_reset(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let seed = |id: &str, secret: &str, has_own_secret| SeedWebhook {
        record: WebhookRecord { sealed_secrets: secret.into(), ..record(id, &[]) },
        has_own_secret,
    };
    store.seed_webhooks(ENV, &[seed("whe_1", "first", false), seed("whe_2", "own", true)]).await.unwrap();
    store
        .seed_webhooks(ENV, &[seed("whe_1", "second", false), seed("whe_2", "changed", true)])
        .await
        .unwrap();
    let secrets = async || {
        let records = store.webhooks(ENV).await.unwrap();
        records.into_iter().map(|record| (record.endpoint.id, record.sealed_secrets)).collect::<Vec<_>>()
    };
    let configured = [("whe_1".to_owned(), "first".to_owned()), ("whe_2".to_owned(), "changed".to_owned())];
    assert_eq!(secrets().await, configured);

    store.delete_webhook(ENV, "whe_1").await.unwrap();
    store.insert_webhook(ENV, &record("whe_made", &[])).await.unwrap();
    happen(&store, "evt_1").await;
    let stored = store.environment_record(ENV).await.unwrap().unwrap();
    assert!(store.reset(&stored, false, false, 9).await.unwrap());
    assert_eq!(secrets().await, configured);
    assert!(deliveries(&store).await.is_empty());

    store.seed_webhooks(ENV, &[seed("whe_2", "changed", true)]).await.unwrap();
    assert_eq!(secrets().await, configured[1..], "what is not configured any more goes");
}

#[rstest]
#[tokio::test]
async fn events_are_listed_by_type_and_age(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for event_id in ["evt_1", "evt_2", "evt_3"] {
        happen(&store, event_id).await;
    }
    let ids = async |filter: EventFilter| {
        let found = store.listed_events(ENV, &filter).await.unwrap();
        found.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let all = EventFilter { limit: 10, ..EventFilter::default() };
    assert_eq!(ids(all.clone()).await, ["evt_3", "evt_2", "evt_1"]);
    assert_eq!(ids(EventFilter { after_id: Some("evt_2".into()), ..all.clone() }).await, ["evt_3"]);
    assert_eq!(ids(EventFilter { offset: 1, limit: 1, ..all.clone() }).await, ["evt_2"]);
    let oldest = EventFilter { is_oldest_first: true, limit: 2, ..EventFilter::default() };
    assert_eq!(ids(oldest.clone()).await, ["evt_1", "evt_2"]);
    assert_eq!(ids(EventFilter { after_id: Some("evt_2".into()), ..oldest }).await, ["evt_3"]);
    let none: [&str; 0] = [];
    assert_eq!(ids(EventFilter { event_type: Some(EventType::RoleCreated), ..all.clone() }).await, none);
    assert_eq!(ids(EventFilter { organization_id: Some("org_9".into()), ..all }).await, none);
    let listed = store.listed_events(ENV, &EventFilter { limit: 1, ..EventFilter::default() }).await.unwrap();
    assert_eq!(listed, [event("evt_3", EventType::OrganizationCreated)]);
}

#[rstest]
#[tokio::test]
async fn old_deliveries_go_and_those_that_wait_stay(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    store.insert_webhook(ENV, &record("whe_1", &[])).await.unwrap();
    happen(&store, "evt_1").await;
    assert_eq!(store.delete_deliveries(ENV, 100, 10).await.unwrap(), 0, "it waits");
    store.delete_webhook(ENV, "whe_1").await.unwrap();
    assert_eq!(store.delete_deliveries(ENV, 8, 10).await.unwrap(), 0, "it is not old");
    assert_eq!(store.delete_deliveries(ENV, 9, 10).await.unwrap(), 1);
}
