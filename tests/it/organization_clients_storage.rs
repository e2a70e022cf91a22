//! Machine clients of organizations as they are stored, on both engines.

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::event::EventType;
use vestibule::domain::organization::Organization;
use vestibule::domain::organization_client::{CustomClaim, OrganizationClient, OrganizationClientSecret};
use vestibule::domain::page::{PageRequest, Position, Scope};
use vestibule::storage::{Members, Store, StoreError};

use crate::domains_storage::store_in;
use crate::organizations_storage;
use crate::support::{Database, Engine};

const ENV: &str = "env_1";

fn secret(id: &str) -> OrganizationClientSecret {
    OrganizationClientSecret {
        id: id.into(),
        digest: "digest".into(),
        suffix: "last".into(),
        created_at_ms: 5,
    }
}

fn client(id: &str, organization_id: &str) -> OrganizationClient {
    OrganizationClient {
        name: "Robot \u{e9}".into(),
        description: "\" \\ '".into(),
        scopes: vec!["write".into(), "read".into()],
        audience: vec!["my-own-api".into()],
        custom_claims: vec![CustomClaim { key: "wksp_id".into(), value: "\u{0}".into() }],
        expiry_s: 3600,
        ..OrganizationClient::new(id.into(), organization_id.into(), secret("sks_1"), 5)
    }
}

async fn read(store: &Store, id: &str) -> Option<OrganizationClient> {
    store.organization_client(ENV, id).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_client_is_read_as_it_was_written_and_changed_over_its_version_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let robot = client("m2morg_1", "org_1");
    store.insert_organization_client(ENV, &robot).await.unwrap();
    assert_eq!(read(&store, "m2morg_1").await, Some(robot.clone()));
    assert_eq!(store.organization_client("env_2", "m2morg_1").await.unwrap(), None);
    let nobodys = store.insert_organization_client(ENV, &client("m2morg_2", "org_3")).await;
    assert!(matches!(nobodys, Err(StoreError::MissingParent(_))), "{nobodys:?}");

    let changed = OrganizationClient {
        name: String::new(),
        secrets: vec![secret("sks_1"), secret("sks_2")],
        updated_at_ms: 9,
        ..robot
    };
    assert!(store.update_organization_client(ENV, &changed).await.unwrap());
    assert!(!store.update_organization_client(ENV, &changed).await.unwrap(), "it has moved on since");
    assert_eq!(read(&store, "m2morg_1").await, Some(OrganizationClient { version: 2, ..changed }));

    assert!(!store.delete_organization_client(ENV, "org_2", "m2morg_1").await.unwrap());
    assert!(store.delete_organization_client(ENV, "org_1", "m2morg_1").await.unwrap());
    assert!(!store.delete_organization_client(ENV, "org_1", "m2morg_1").await.unwrap());
    assert_eq!(read(&store, "m2morg_1").await, None);
}

#[rstest]
#[tokio::test]
async fn clients_go_with_their_organization(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for (id, organization_id) in [("m2morg_1", "org_1"), ("m2morg_2", "org_2")] {
        store.insert_organization_client(ENV, &client(id, organization_id)).await.unwrap();
    }
    let first = Organization::new("org_1".into(), "org_1".into(), 1);
    let deleted = organizations_storage::event(EventType::OrganizationDeleted, &first);
    assert!(store.delete_organization(ENV, &first, Members::Stay, &[deleted], &[], 30).await.unwrap());
    assert_eq!(read(&store, "m2morg_1").await, None);
    assert!(read(&store, "m2morg_2").await.is_some());
}

#[rstest]
#[tokio::test]
async fn a_list_is_paged_newest_first_and_of_one_organization(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const SCOPE: Scope<'_> = &["organization_clients", "org_1"];
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let mut wanted = vec![];
    for number in 0..11 {
        // Several of one moment, as under a clock that stands still.
        let id = format!("m2morg_{number:02}");
        let client = OrganizationClient { created_at_ms: number / 4, ..client(&id, "org_1") };
        store.insert_organization_client(ENV, &client).await.unwrap();
        wanted.insert(0, id);
    }
    store.insert_organization_client(ENV, &client("m2morg_90", "org_2")).await.unwrap();
    let page = async |token: &str| {
        let request = PageRequest::parse(3, 30, token, SCOPE).unwrap();
        let found = store.organization_clients(ENV, "org_1", &request).await.unwrap();
        let total = store.count_organization_clients(ENV, "org_1").await.unwrap();
        request.page(found, total, SCOPE, |c| Position { created_at_ms: c.created_at_ms, id: c.id.clone() })
    };
    let (mut seen, mut token, mut last) = (vec![], String::new(), String::new());
    loop {
        let found = page(&token).await;
        assert_eq!(found.total, 11);
        seen.extend(found.records.into_iter().map(|client| client.id));
        if found.next_page_token.is_empty() {
            break;
        }
        token = found.next_page_token;
        last.clone_from(&token);
    }
    assert_eq!(seen, wanted);
    let before_last = page(&page(&last).await.prev_page_token).await;
    assert_eq!(before_last.records.into_iter().map(|c| c.id).collect::<Vec<_>>(), wanted[6..9]);
}

#[rstest]
#[tokio::test]
async fn of_many_changes_over_one_version_exactly_one_is_written(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    store.insert_organization_client(ENV, &client("m2morg_1", "org_1")).await.unwrap();
    let changes = (0..100).map(|number| {
        let store = &store;
        async move {
            let changed = OrganizationClient { expiry_s: number, ..client("m2morg_1", "org_1") };
            store.update_organization_client(ENV, &changed).await.unwrap()
        }
    });
    assert_eq!(join_all(changes).await.into_iter().filter(|is_done| *is_done).count(), 1);
}
