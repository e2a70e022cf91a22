//! Email domains as they are stored, on both engines.

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::event::{Event, EventType, domain_data};
use vestibule::domain::organization::Organization;
use vestibule::domain::organization_domain::{DomainName, DomainType, OrganizationDomain};
use vestibule::storage::{Members, Store, StoreError};

use crate::organizations_storage;
use crate::support::{Database, Engine};

const ENV: &str = "env_1";

/// A store with the organizations `org_1` and `org_2`.
pub async fn store_in(database: &Database) -> Store {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    for id in ["org_1", "org_2"] {
        let organization = Organization::new(id.into(), id.into(), 1);
        let event = organizations_storage::event(EventType::OrganizationCreated, &organization);
        store.insert_organization(ENV, &organization, &event).await.unwrap();
    }
    store
}

fn domain(id: &str, organization_id: &str, domain_type: DomainType) -> OrganizationDomain {
    OrganizationDomain {
        id: id.into(),
        organization_id: organization_id.into(),
        name: DomainName::parse("acme.com").unwrap(),
        domain_type,
        created_at_ms: 5,
    }
}

fn event(event_type: EventType, domain: &OrganizationDomain) -> Event {
    Event {
        id: format!("evt_{}_{}", event_type.as_str(), domain.id),
        event_type,
        organization_id: Some(domain.organization_id.clone()),
        occurred_at_ms: 5,
        logged_at_ms: 5,
        data: domain_data(ENV, domain),
    }
}

async fn insert(store: &Store, domain: &OrganizationDomain) -> Result<(), StoreError> {
    store.insert_domain(ENV, domain, &event(EventType::DomainCreated, domain)).await
}

async fn listed(store: &Store, organization_id: &str, domain_type: Option<DomainType>) -> Vec<String> {
    let found = store.domains(ENV, organization_id, domain_type, (100, 0)).await.unwrap();
    found.into_iter().map(|domain| domain.id).collect()
}

async fn domain_events(store: &Store) -> Vec<String> {
    let types = store.events(ENV).await.unwrap().into_iter().map(|(event_type, _)| event_type);
    types.filter(|event_type| event_type.starts_with("organization.domain_")).collect()
}

#[rstest]
#[tokio::test]
async fn a_domain_is_read_listed_and_deleted_with_its_events(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let own = domain("dom_2", "org_1", DomainType::OrganizationDomain);
    let open =
        OrganizationDomain { created_at_ms: 4, ..domain("dom_1", "org_1", DomainType::AllowedEmailDomain) };
    for domain in [&own, &open] {
        insert(&store, domain).await.unwrap();
    }
    assert_eq!(store.domain(ENV, "org_1", "dom_2").await.unwrap(), Some(own.clone()));
    assert_eq!(store.domain(ENV, "org_2", "dom_2").await.unwrap(), None);
    assert_eq!(store.domain("env_2", "org_1", "dom_2").await.unwrap(), None);
    assert_eq!(listed(&store, "org_1", None).await, ["dom_1", "dom_2"]);
    assert_eq!(listed(&store, "org_1", Some(DomainType::OrganizationDomain)).await, ["dom_2"]);
    assert_eq!(listed(&store, "org_1", Some(DomainType::AllowedEmailDomain)).await, ["dom_1"]);
    assert_eq!(listed(&store, "org_2", None).await, Vec::<String>::new());
    let second_page = store.domains(ENV, "org_1", None, (1, 1)).await.unwrap();
    assert_eq!(second_page, std::slice::from_ref(&own));
    let deleted = event(EventType::DomainDeleted, &own);
    assert!(store.delete_domain(ENV, &own, &deleted).await.unwrap());
    assert!(!store.delete_domain(ENV, &own, &Event { id: "evt_2".into(), ..deleted }).await.unwrap());
    assert_eq!(
        domain_events(&store).await,
        ["organization.domain_created", "organization.domain_created", "organization.domain_deleted"]
    );
}

#[rstest]
#[tokio::test]
async fn a_domain_is_one_organizations_and_an_allowed_one_any_organizations_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    use DomainType::{AllowedEmailDomain as Allowed, OrganizationDomain as Own};
    let mut outcomes = vec![];
    for (id, organization_id, domain_type) in [
        ("dom_1", "org_1", Own),
        ("dom_2", "org_1", Own),
        ("dom_3", "org_2", Own),
        ("dom_4", "org_1", Allowed),
        ("dom_5", "org_1", Allowed),
        ("dom_6", "org_2", Allowed),
    ] {
        let outcome = insert(&store, &domain(id, organization_id, domain_type)).await;
        outcomes.push(outcome.map_err(|error| error.is_duplicate("domain")));
    }
    assert_eq!(outcomes, [Ok(()), Err(true), Err(true), Ok(()), Err(true), Ok(())]);
    assert_eq!(domain_events(&store).await.len(), 3, "who gets nothing leaves no event");
    let nobodys = insert(&store, &domain("dom_7", "org_3", Allowed)).await;
    assert!(matches!(nobodys, Err(StoreError::MissingParent(_))), "{nobodys:?}");
}

#[rstest]
#[tokio::test]
async fn a_domain_goes_with_its_organization_and_is_free_then(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    insert(&store, &domain("dom_1", "org_1", DomainType::OrganizationDomain)).await.unwrap();
    let first = Organization::new("org_1".into(), "org_1".into(), 1);
    let deleted = organizations_storage::event(EventType::OrganizationDeleted, &first);
    assert!(store.delete_organization(ENV, &first, Members::Stay, &[deleted], &[], 30).await.unwrap());
    assert_eq!(store.domain(ENV, "org_1", "dom_1").await.unwrap(), None);
    insert(&store, &domain("dom_2", "org_2", DomainType::OrganizationDomain)).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn of_many_that_want_one_domain_exactly_one_gets_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(DomainType::OrganizationDomain, DomainType::AllowedEmailDomain)] domain_type: DomainType,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let inserts = (0..100).map(|number| {
        let wanted = domain(&format!("dom_{number}"), "org_1", domain_type);
        let store = &store;
        async move { insert(store, &wanted).await }
    });
    let outcomes = join_all(inserts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|error| error.is_duplicate("domain")));
    assert_eq!(domain_events(&store).await.len(), 1);
}
