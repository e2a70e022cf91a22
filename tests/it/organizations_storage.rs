//! Organizations as they are stored, on both engines: alone in what has to be unique, never changed over somebody else's
//! change, and gone with what belongs to them.

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::email::EmailAddress;
use vestibule::domain::event::{Event, EventType, organization_data};
use vestibule::domain::metadata::Metadata;
use vestibule::domain::organization::{Feature, Organization, Region, SessionPolicy};
use vestibule::domain::page::{PageRequest, Position, Scope};
use vestibule::domain::record_key::RecordKey;
use vestibule::domain::session::Session;
use vestibule::domain::user::User;
use vestibule::storage::{
    ListFilter, Members, OrganizationFilter, PortalLink, Seed, SeedOrganization, SeedUser, Store, StoreError,
    WithUser,
};

use crate::support::{Database, Engine};

const ENV: &str = "env_1";

async fn store_in(database: &Database) -> Store {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    store
}

pub fn event(event_type: EventType, organization: &Organization) -> Event {
    Event {
        id: format!("evt_{}_{}_{}", organization.id, organization.version, event_type.as_str()),
        event_type,
        organization_id: Some(organization.id.clone()),
        occurred_at_ms: organization.updated_at_ms,
        logged_at_ms: organization.updated_at_ms,
        data: organization_data(organization, None),
    }
}

async fn insert(store: &Store, organization: &Organization) -> Result<(), StoreError> {
    let event = event(EventType::OrganizationCreated, organization);
    store.insert_organization(ENV, organization, &event).await
}

async fn update(store: &Store, organization: &Organization) -> Result<bool, StoreError> {
    store.update_organization(ENV, organization, &event(EventType::OrganizationUpdated, organization)).await
}

async fn delete(store: &Store, organization: &Organization, members: Members) -> bool {
    let event = event(EventType::OrganizationDeleted, organization);
    store.delete_organization(ENV, organization, members, &[event], &[], 30).await.unwrap()
}

async fn read(store: &Store, id: &str) -> Option<Organization> {
    store.organization(ENV, &RecordKey::Id(id.into())).await.unwrap()
}

fn plain(id: &str, created_at_ms: i64) -> Organization {
    Organization::new(id.into(), format!("Name of {id}"), created_at_ms)
}

fn acme() -> Organization {
    let mut acme = Organization {
        region: Region::Eu,
        external_id: Some("acme".into()),
        slug: Some("auth.acme.com".into()),
        logo_url: Some("https://acme.example.com/logo.png".into()),
        metadata: Metadata::from([("plan".to_owned(), "pro \" \\ \u{0} é".to_owned())]),
        session_policy: Some(SessionPolicy { absolute_timeout_min: 480, idle_timeout_min: Some(60) }),
        max_allowed_users: Some(0),
        ..plain("org_1", 5)
    };
    acme.features.set(Feature::DirSync, true);
    acme
}

#[rstest]
#[tokio::test]
async fn an_organization_is_read_as_it_was_written_and_its_events_with_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    insert(&store, &acme()).await.unwrap();
    assert_eq!(read(&store, "org_1").await, Some(acme()));
    let by_external_id = store.organization(ENV, &RecordKey::ExternalId("acme".into())).await.unwrap();
    assert_eq!(by_external_id, Some(acme()));
    for other in [RecordKey::Id("acme".into()), RecordKey::ExternalId("org_1".into())] {
        assert_eq!(store.organization(ENV, &other).await.unwrap(), None, "{other:?}");
    }
    assert_eq!(store.organization("env_2", &RecordKey::Id("org_1".into())).await.unwrap(), None);

    let plainer = Organization {
        display_name: "Acme Ltd".into(),
        updated_at_ms: 9,
        region: Region::Eu,
        ..plain("org_1", 5)
    };
    assert!(update(&store, &plainer).await.unwrap());
    assert_eq!(read(&store, "org_1").await, Some(Organization { version: 2, ..plainer.clone() }));
    assert!(!update(&store, &plainer).await.unwrap(), "it has moved on since");
    assert!(!delete(&store, &plainer, Members::Stay).await);
    assert!(delete(&store, &Organization { version: 2, ..plainer.clone() }, Members::Stay).await);
    assert_eq!(read(&store, "org_1").await, None);

    let events = store.events(ENV).await.unwrap();
    let types: Vec<&str> = events.iter().map(|(event_type, _)| event_type.as_str()).collect();
    assert_eq!(types, ["organization.created", "organization.updated", "organization.deleted"]);
    let data: serde_json::Value = serde_json::from_str(&events[1].1).unwrap();
    assert_eq!(data, organization_data(&plainer, None), "what was refused left no event");
}

#[rstest]
#[tokio::test]
async fn external_ids_and_slugs_are_unique_and_free_again_after_deletion(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    insert(&store, &acme()).await.unwrap();
    let same_external_id = Organization { external_id: Some("acme".into()), ..plain("org_2", 6) };
    let same_slug = Organization { slug: Some("auth.acme.com".into()), ..plain("org_2", 6) };
    for (other, column) in [(&same_external_id, "external_id"), (&same_slug, "slug")] {
        let refused = insert(&store, other).await.unwrap_err();
        for named in ["external_id", "slug"] {
            assert_eq!(refused.is_duplicate(named), named == column, "{refused}");
        }
    }
    insert(&store, &plain("org_2", 6)).await.unwrap();
    let refused = update(&store, &same_slug).await.unwrap_err();
    assert!(refused.is_duplicate("slug"), "{refused}");
    assert_eq!(read(&store, "org_2").await, Some(plain("org_2", 6)));
    assert!(delete(&store, &acme(), Members::Stay).await);
    let heir = Organization { slug: Some("auth.acme.com".into()), ..same_external_id };
    assert!(update(&store, &heir).await.unwrap());
}

#[rstest]
#[tokio::test]
async fn of_many_that_want_one_external_id_or_slug_exactly_one_gets_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for column in ["external_id", "slug"] {
        let inserts = (0..100).map(|number| {
            let store = &store;
            async move {
                let value = |name: &str| (name == column).then(|| "wanted".to_owned());
                let organization = Organization {
                    external_id: value("external_id"),
                    slug: value("slug"),
                    ..plain(&format!("org_{column}_{number}"), number)
                };
                insert(store, &organization).await
            }
        });
        let outcomes = join_all(inserts).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{column}");
        assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|error| error.is_duplicate(column)));
    }
    assert_eq!(store.events(ENV).await.unwrap().len(), 2, "who gets nothing leaves no event");
}

#[rstest]
#[tokio::test]
async fn a_list_is_paged_newest_first_filtered_and_searched(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const SCOPE: Scope<'_> = &["organizations"];
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let wanted: Vec<String> = (0..23).rev().map(|number| format!("org_{number:02}")).collect();
    for id in wanted.iter().rev() {
        let number: i64 = id[4..].parse().unwrap();
        // Several of one moment, as under a clock that stands still.
        insert(&store, &plain(id, number / 4)).await.unwrap();
    }
    let none = OrganizationFilter::default();
    let page = |token: String| {
        let (store, none) = (&store, &none);
        async move {
            let request = PageRequest::parse(5, 10, &token, SCOPE).unwrap();
            let found = store.organizations(ENV, none, &request).await.unwrap();
            let total = store.count_organizations(ENV, none).await.unwrap();
            request
                .page(found, total, SCOPE, |o| Position { created_at_ms: o.created_at_ms, id: o.id.clone() })
        }
    };
    let (mut forwards, mut token, mut last) = (vec![], String::new(), String::new());
    loop {
        let found = page(token).await;
        assert_eq!(found.total, 23);
        forwards.extend(found.records.into_iter().map(|o| o.id));
        if found.next_page_token.is_empty() {
            break;
        }
        token = found.next_page_token;
        last.clone_from(&token);
    }
    assert_eq!(forwards, wanted);
    let (mut backwards, mut token) = (vec![], page(last).await.prev_page_token);
    while !token.is_empty() {
        let found = page(token).await;
        backwards.splice(0..0, found.records.into_iter().map(|o| o.id));
        token = found.prev_page_token;
    }
    assert_eq!(backwards, wanted[..20]);

    let request = PageRequest::parse(30, 10, "", SCOPE).unwrap();
    insert(&store, &Organization { external_id: Some("a_b".into()), ..plain("org_90", 90) }).await.unwrap();
    insert(&store, &Organization { slug: Some("shop.acme".into()), ..plain("org_91", 91) }).await.unwrap();
    for (external_id, query, ids) in [
        ("a_b", "", vec!["org_90"]),
        ("a%", "", vec![]),
        ("", "SHOP.AC", vec!["org_91"]),
        ("", "A_B", vec!["org_90"]),
        ("", "name of ORG_2", vec!["org_22", "org_21", "org_20"]),
        ("", "rg_9", vec!["org_91", "org_90"]),
        ("", "nothing", vec![]),
    ] {
        let filter = OrganizationFilter { external_id: external_id.into(), query: query.into() };
        let found = store.organizations(ENV, &filter, &request).await.unwrap();
        assert_eq!(found.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ids, "{filter:?}");
        let count = store.count_organizations(ENV, &filter).await.unwrap();
        assert_eq!(usize::try_from(count).unwrap(), ids.len(), "{filter:?}");
    }
}

#[rstest]
#[tokio::test]
async fn members_stay_or_go_with_their_last_organization_and_sessions_with_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let organization =
        |id: &str| SeedOrganization { id: id.into(), display_name: id.into(), ..SeedOrganization::default() };
    let user = |id: &str, organization_ids: &[&str]| SeedUser {
        id: id.into(),
        email: EmailAddress::parse(&format!("{id}@example.com")).unwrap(),
        name: None,
        given_name: None,
        family_name: None,
        picture: None,
        locale: None,
        external_id: None,
        organization_ids: organization_ids.iter().map(|id| (*id).to_owned()).collect(),
        roles: vec![],
    };
    let users = [user("usr_1", &["org_1"]), user("usr_2", &["org_1", "org_2"]), user("usr_3", &[])];
    let organizations = ["org_1", "org_2", "org_3"].map(organization).to_vec();
    let seed = Seed { organizations, users: users.to_vec(), ..Seed::default() };
    store.seed(ENV, &seed, false, 5).await.unwrap();
    for user_id in ["usr_1", "usr_2"] {
        let session = Session {
            id: format!("ses_{user_id}"),
            user_id: user_id.into(),
            organization_id: None,
            authenticated_at_ms: 20,
            last_active_at_ms: 20,
            absolute_expires_at_ms: 1_000_000,
            idle_timeout_s: None,
            ended_at_ms: None,
        };
        store.insert_session(ENV, &session, &format!("cookie-{user_id}")).await.unwrap();
    }
    let link = PortalLink {
        id: "link".into(),
        organization_id: "org_1".into(),
        features: vec![Feature::Sso],
        expires_at_ms: 100,
    };
    store.insert_portal_link(ENV, &link).await.unwrap();
    let first = read(&store, "org_1").await.unwrap();
    assert!(delete(&store, &first, Members::GoWithTheirLastOrganization).await);
    assert!(!delete(&store, &first, Members::GoWithTheirLastOrganization).await);
    let filter = ListFilter { limit: 10, ..ListFilter::default() };
    let mut left: Vec<_> = store
        .listed_users(ENV, &filter)
        .await
        .unwrap()
        .into_iter()
        .map(|u| (u.id, u.memberships.into_iter().map(|m| m.organization_id).collect::<Vec<_>>()))
        .collect();
    left.sort();
    assert_eq!(left, [("usr_2".to_owned(), vec!["org_2".to_owned()]), ("usr_3".to_owned(), vec![])]);
    assert_eq!(store.session(ENV, "ses_usr_1").await.unwrap(), None);
    assert!(store.session(ENV, "ses_usr_2").await.unwrap().is_some());
    assert_eq!(store.use_portal_link(ENV, "link", 50).await.unwrap(), None);
    let second = read(&store, "org_2").await.unwrap();
    assert!(delete(&store, &second, Members::Stay).await);
    assert_eq!(store.listed_users(ENV, &filter).await.unwrap().len(), 2);
}

#[rstest]
#[tokio::test]
async fn sessions_end_with_the_organization_that_they_are_in_and_others_go_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let organization =
        |id: &str| SeedOrganization { id: id.into(), display_name: id.into(), ..SeedOrganization::default() };
    let user = |id: &str| SeedUser {
        id: id.into(),
        email: EmailAddress::parse(&format!("{id}@example.com")).unwrap(),
        name: None,
        given_name: None,
        family_name: None,
        picture: None,
        locale: None,
        external_id: None,
        organization_ids: vec!["org_1".to_owned(), "org_2".to_owned()],
        roles: vec![],
    };
    let organizations = ["org_1", "org_2"].map(organization).to_vec();
    let seed = Seed { organizations, users: vec![user("usr_1"), user("usr_2")], ..Seed::default() };
    store.seed(ENV, &seed, false, 5).await.unwrap();
    for (id, user_id, organization_id) in [
        ("ses_1", "usr_1", Some("org_1")),
        ("ses_2", "usr_1", Some("org_2")),
        ("ses_3", "usr_2", Some("org_1")),
        ("ses_4", "usr_2", None),
    ] {
        let session = Session {
            id: id.into(),
            user_id: user_id.into(),
            organization_id: organization_id.map(str::to_owned),
            authenticated_at_ms: 20,
            last_active_at_ms: 20,
            absolute_expires_at_ms: 1_000_000,
            idle_timeout_s: None,
            ended_at_ms: None,
        };
        store.insert_session(ENV, &session, &format!("cookie-{id}")).await.unwrap();
    }
    let ended = async || {
        let mut ended = vec![];
        for id in ["ses_1", "ses_2", "ses_3", "ses_4"] {
            if store.session(ENV, id).await.unwrap().unwrap().ended_at_ms.is_some() {
                ended.push(id);
            }
        }
        ended
    };
    let before = store.user(ENV, &RecordKey::Id("usr_1".into())).await.unwrap().unwrap();
    let mut after = User { updated_at_ms: 25, ..before.clone() };
    assert!(after.leave("org_1"));
    assert!(store.update_user(ENV, &before, &after, WithUser::default()).await.unwrap());
    assert_eq!(ended().await, ["ses_1"]);
    let first = read(&store, "org_1").await.unwrap();
    assert!(delete(&store, &first, Members::Stay).await);
    assert_eq!(ended().await, ["ses_1", "ses_3"]);
    assert_eq!(store.session(ENV, "ses_1").await.unwrap().unwrap().ended_at_ms, Some(25), "not once more");
}

#[rstest]
#[tokio::test]
async fn a_portal_link_opens_once_and_within_its_time(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    insert(&store, &acme()).await.unwrap();
    let link = |id: &str, organization_id: &str| PortalLink {
        id: id.into(),
        organization_id: organization_id.into(),
        features: vec![Feature::DirSync, Feature::Sso],
        expires_at_ms: 100,
    };
    for id in ["first", "second"] {
        store.insert_portal_link(ENV, &link(id, "org_1")).await.unwrap();
    }
    let refused = store.insert_portal_link(ENV, &link("third", "org_9")).await;
    assert!(matches!(refused, Err(StoreError::MissingParent(_))), "{refused:?}");
    let opened = store.use_portal_link(ENV, "first", 99).await.unwrap().unwrap();
    assert_eq!(
        (opened.organization.as_str(), opened.features),
        ("Name of org_1", vec![Feature::DirSync, Feature::Sso])
    );
    assert_eq!(store.use_portal_link(ENV, "first", 99).await.unwrap(), None);
    assert_eq!(store.use_portal_link(ENV, "second", 100).await.unwrap(), None);
    assert_eq!(store.use_portal_link(ENV, "unknown", 1).await.unwrap(), None);
    assert_eq!(store.delete_expired(ENV, 101, 10).await.unwrap(), 2);
}
