//! Roles and permissions as they are stored, on both engines: changed one after the other, deleted only where nobody has
//! them, and kept by resets as they were seeded.

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::email::EmailAddress;
use vestibule::domain::event::{Event, EventType, permission_data};
use vestibule::domain::membership::Membership;
use vestibule::domain::page::{PageRequest, Position, Scope};
use vestibule::domain::permission::{Permission, PermissionKind};
use vestibule::domain::record_key::RecordKey;
use vestibule::domain::role::Role;
use vestibule::domain::role_catalog::{RoleCatalog, RoleChange, RoleSeed};
use vestibule::domain::user::User;
use vestibule::storage::{Seed, SeedOrganization, Store, StoreError, WithUser};

use crate::support::{Database, Engine};

const ENV: &str = "env_1";

/// A store with the organizations `org_1` and `org_2`.
async fn store_in(database: &Database) -> Store {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    let organization =
        |id: &str| SeedOrganization { id: id.into(), display_name: id.into(), ..SeedOrganization::default() };
    let organizations = ["org_1", "org_2"].map(organization).to_vec();
    store.seed(ENV, &Seed { organizations, ..Seed::default() }, false, 1).await.unwrap();
    store
}

async fn catalog(store: &Store) -> RoleCatalog {
    store.role_catalog(ENV, None).await.unwrap()
}

/// Changes roles over what is stored; `false`: somebody was faster.
async fn change<T>(store: &Store, owner: Option<&str>, change: impl FnOnce(&mut RoleCatalog) -> T) -> bool {
    let version = store.roles_version(ENV).await.unwrap();
    let before = store.role_catalog(ENV, owner).await.unwrap();
    let mut after = before.clone();
    change(&mut after);
    store.change_roles(ENV, version, &before, &after, &[]).await.unwrap()
}

fn fields(description: &str, extends: Option<&str>, permissions: &[Permission]) -> RoleChange {
    RoleChange {
        display_name: Some("Shown".into()),
        description: Some(description.into()),
        extends: extends.map(str::to_owned),
        permissions: Some(permissions.to_vec()),
    }
}

async fn add_role(store: &Store, owner: Option<&str>, name: &str, extends: Option<&str>) -> bool {
    let id = format!("role_{name}");
    change(store, owner, |catalog| {
        catalog.add(id, name, fields("d", extends, &[]), 5).unwrap();
    })
    .await
}

async fn delete_role(store: &Store, name: &str, heir: Option<&str>) -> bool {
    let version = store.roles_version(ENV).await.unwrap();
    let before = catalog(store).await;
    let mut after = before.clone();
    let removed = after.remove(name, heir).unwrap();
    store.delete_role(ENV, version, &before, &after, &removed, &[]).await.unwrap()
}

async fn add_permission(store: &Store, name: &str) -> Result<bool, StoreError> {
    let permission = Permission::new(format!("perm_{name}"), name.into(), "d".into(), 5);
    let version = store.roles_version(ENV).await.unwrap();
    store
        .insert_permission(ENV, version, &permission, &event(EventType::PermissionCreated, &permission))
        .await
}

fn event(event_type: EventType, permission: &Permission) -> Event {
    Event {
        id: format!("evt_{}_{}_{}", permission.id, permission.version, event_type.as_str()),
        event_type,
        organization_id: None,
        occurred_at_ms: 5,
        logged_at_ms: 5,
        data: permission_data(permission),
    }
}

/// A member of `org_1`, and maybe of `org_2`, with these roles.
async fn member(store: &Store, id: &str, organizations: &[&str], roles: &[&str]) {
    let held = store.role_catalog(ENV, Some("org_1")).await.unwrap();
    let email = EmailAddress::parse(&format!("{id}@example.com")).unwrap();
    let mut user = User::new(id.into(), email, 5);
    for organization in organizations {
        let roles = held.summaries(|role| roles.contains(&role.name.as_str()));
        user.join(Membership {
            roles,
            ..Membership::direct((*organization).into(), (*organization).into(), 5)
        });
    }
    assert!(store.insert_user(ENV, &user, WithUser::default()).await.unwrap());
}

async fn roles_of(store: &Store, id: &str) -> Vec<Vec<String>> {
    let user = store.user(ENV, &RecordKey::Id(id.into())).await.unwrap().unwrap();
    let names = |m: Membership| m.roles.into_iter().map(|role| role.name).collect();
    user.memberships.into_iter().map(names).collect()
}

#[rstest]
#[tokio::test]
async fn roles_are_read_as_written_those_of_an_organization_behind_the_environments(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    assert_eq!(catalog(&store).await.roles(), Role::initial(1));
    assert_eq!(store.all_permissions(ENV).await.unwrap(), Permission::initial(1));
    assert!(add_permission(&store, "read:documents").await.unwrap());
    let read = store.permission(ENV, "read:documents").await.unwrap().unwrap();
    let scalekit = Permission::initial(1)[3].clone();

    let version = store.roles_version(ENV).await.unwrap();
    let before = catalog(&store).await;
    let mut after = before.clone();
    let given = fields("\" \\ é", Some("member"), &[read.clone(), scalekit.clone()]);
    after.add("role_editor".into(), "editor", given, 5).unwrap();
    after.set_defaults(Some("member"), Some("admin")).unwrap();
    assert!(store.change_roles(ENV, version, &before, &after, &[]).await.unwrap());
    assert!(
        !store.change_roles(ENV, version, &before, &after, &[]).await.unwrap(),
        "roles have moved on since"
    );
    let found = catalog(&store).await;
    let dependents = |name: &str| found.find(name).unwrap().dependents;
    assert_eq!(["admin", "member", "editor"].map(dependents), [0, 1, 0]);
    let editor = found.find("editor").unwrap();
    assert_eq!(editor, after.find("editor").unwrap());
    assert_eq!(editor.permissions, [scalekit, read.clone()]);
    assert_eq!(found.default_creator().unwrap().name, "member");
    assert_eq!(found.default_member().unwrap().name, "admin");

    assert!(add_role(&store, Some("org_1"), "buyer", Some("editor")).await);
    assert!(
        change(&store, Some("org_1"), |c| c.set_organization_default("buyer").map(|_| ()).unwrap()).await
    );
    let acme = store.role_catalog(ENV, Some("org_1")).await.unwrap();
    let names: Vec<&str> = acme.roles().iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["admin", "member", "editor", "buyer"]);
    assert_eq!(acme.default_member().unwrap().name, "buyer");
    let access = acme.access(["role_buyer"]);
    assert_eq!(access.role_names(), ["buyer", "editor", "member"]);
    assert_eq!(access.permission_names(), ["read:documents"]);
    assert_eq!(store.role_catalog(ENV, Some("org_2")).await.unwrap().roles(), catalog(&store).await.roles());
    assert!(store.is_role_of_organization(ENV, "buyer").await.unwrap());
    assert!(!store.is_role_of_organization(ENV, "editor").await.unwrap());
    let dependents = store.dependent_roles(ENV, "role_editor").await.unwrap();
    assert_eq!(dependents.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["buyer"]);

    // A permission goes from all roles; a role with the organization it belongs to.
    assert!(store.delete_permission(ENV, &read, &event(EventType::PermissionDeleted, &read)).await.unwrap());
    assert!(!store.delete_permission(ENV, &read, &event(EventType::PermissionDeleted, &read)).await.unwrap());
    assert_eq!(catalog(&store).await.find("editor").unwrap().permissions.len(), 1);
    assert!(change(&store, Some("org_1"), |c| c.remove("buyer", None).map(|_| ()).unwrap()).await);
    let acme = store.role_catalog(ENV, Some("org_1")).await.unwrap();
    assert_eq!(acme.default_member().unwrap().name, "admin", "the environment's again");
}

#[rstest]
#[tokio::test]
async fn a_role_in_use_goes_only_where_its_members_get_another_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for (name, extends) in [("old", None), ("new", None), ("child", Some("old"))] {
        assert!(add_role(&store, None, name, extends).await);
    }
    member(&store, "usr_1", &["org_1", "org_2"], &["old"]).await;
    member(&store, "usr_2", &["org_1"], &["old", "new"]).await;
    assert!(store.is_role_held(ENV, "role_old").await.unwrap());
    let count = async |owner| store.count_role_users(ENV, owner, "role_old", 6).await.unwrap();
    assert_eq!((count(None).await, count(Some("org_1")).await, count(Some("org_2")).await), (2, 2, 1));
    assert!(change(&store, None, |c| c.remove_base("child").unwrap()).await);
    assert!(!delete_role(&store, "old", None).await, "somebody has it");
    assert!(
        change(&store, None, |c| c.change("child", fields("", Some("old"), &[])).map(|_| ()).unwrap()).await
    );
    assert!(delete_role(&store, "old", Some("new")).await);
    assert_eq!(roles_of(&store, "usr_1").await, [["new"], ["new"]]);
    assert_eq!(roles_of(&store, "usr_2").await, [["new"]]);
    let left = catalog(&store).await;
    assert_eq!(left.base(left.find("child").unwrap()).unwrap().name, "new");
    assert!(delete_role(&store, "child", None).await);
}

#[rstest]
#[tokio::test]
async fn of_many_that_want_one_name_exactly_one_gets_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let version = store.roles_version(ENV).await.unwrap();
    let before = catalog(&store).await;
    let additions = (0..100).map(|number| {
        let (store, before) = (&store, &before);
        async move {
            let mut after = before.clone();
            after.add(format!("role_{number}"), "wanted", RoleChange::default(), 5).unwrap();
            store.change_roles(ENV, version, before, &after, &[]).await.unwrap()
        }
    });
    assert_eq!(join_all(additions).await.into_iter().filter(|is_done| *is_done).count(), 1);
    let version = store.roles_version(ENV).await.unwrap();
    let additions = (0..100).map(|number| {
        let permission = Permission::new(format!("perm_{number}"), "wanted".into(), String::new(), 5);
        let store = &store;
        async move {
            let event = event(EventType::PermissionCreated, &permission);
            store.insert_permission(ENV, version, &permission, &event).await.unwrap()
        }
    });
    assert_eq!(join_all(additions).await.into_iter().filter(|is_done| *is_done).count(), 1);
    let twice = add_permission(&store, "wanted").await.unwrap_err();
    assert!(twice.is_duplicate("name"), "{twice}");
    assert_eq!(store.events(ENV).await.unwrap().len(), 1, "who gets nothing leaves no event");
}

#[rstest]
#[tokio::test]
async fn whoever_is_given_a_role_while_it_is_deleted_has_it_or_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for round in 0..20 {
        let name = format!("role{round}");
        assert!(add_role(&store, None, &name, None).await);
        let held = catalog(&store).await.summaries(|role| role.name == name);
        let id = format!("usr_{round}");
        let mut user = User::new(id.clone(), EmailAddress::parse(&format!("{id}@example.com")).unwrap(), 5);
        user.join(Membership { roles: held, ..Membership::direct("org_1".into(), "org_1".into(), 5) });
        let (is_deleted, is_given) = tokio::join!(
            delete_role(&store, &name, None),
            store.insert_user(ENV, &user, WithUser::default())
        );
        match is_given {
            Ok(true) => assert!(!is_deleted && roles_of(&store, &id).await == [[name.as_str()]]),
            Err(StoreError::MissingParent(_)) => assert!(is_deleted),
            other => panic!("{other:?}"),
        }
    }
}

#[rstest]
#[tokio::test]
async fn permissions_are_paged_newest_first_by_kind(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const SCOPE: Scope<'_> = &["permissions"];
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    for name in ["skill", "read:a", "read:b"] {
        assert!(add_permission(&store, name).await.unwrap());
    }
    for (kind, names, total) in [
        (PermissionKind::Environment, vec!["skill", "read:b", "read:a"], 3),
        (PermissionKind::Scalekit, vec!["sk_org_session_policy_manage", "sk_org_session_policy_read"], 12),
        (PermissionKind::All, vec!["skill", "read:b", "read:a", "sk_org_session_policy_manage"], 15),
    ] {
        let (mut seen, mut token) = (vec![], String::new());
        loop {
            let request = PageRequest::parse(2, 50, &token, SCOPE).unwrap();
            let found = store.permissions(ENV, kind, &request).await.unwrap();
            assert_eq!(store.count_permissions(ENV, kind).await.unwrap(), total);
            let page = request
                .page(found, total, SCOPE, |p| Position { created_at_ms: p.created_at_ms, id: p.id.clone() });
            seen.extend(page.records.into_iter().map(|permission| permission.name));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), usize::try_from(total).unwrap());
        assert_eq!(seen[..names.len()], names, "{kind:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_reset_brings_back_seeded_roles_and_permissions(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    let role = |name: &str, extends: Option<&str>, permissions: &[&str]| RoleSeed {
        name: name.into(),
        extends: extends.map(str::to_owned),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        ..RoleSeed::default()
    };
    let permission = |name: &str| Permission::new(format!("perm_{name}"), name.into(), "seeded".into(), 2);
    let seed = Seed {
        permissions: vec![permission("read"), permission("write")],
        roles: vec![role("editor", Some("viewer"), &["write"]), role("viewer", Some("member"), &["read"])],
        ..Seed::default()
    };
    store.seed(ENV, &seed, false, 2).await.unwrap();
    let seeded = (catalog(&store).await, store.all_permissions(ENV).await.unwrap());
    let access = |c: &RoleCatalog| c.access([c.find("editor").unwrap().id.as_str()]).permission_names();
    assert_eq!(access(&seeded.0), ["write", "read"]);
    store.seed(ENV, &seed, false, 3).await.unwrap();
    assert_eq!((catalog(&store).await, store.all_permissions(ENV).await.unwrap()), seeded, "twice is once");

    member(&store, "usr_1", &["org_1"], &["editor"]).await;
    assert!(add_role(&store, None, "passing", Some("editor")).await);
    assert!(add_role(&store, Some("org_1"), "buyer", Some("viewer")).await);
    assert!(
        change(&store, Some("org_1"), |c| c.set_organization_default("buyer").map(|_| ()).unwrap()).await
    );
    assert!(change(&store, None, |c| c.remove_base("editor").unwrap()).await);
    assert!(change(&store, None, |c| c.set_defaults(Some("viewer"), Some("passing")).unwrap()).await);
    assert!(change(&store, None, |c| c.remove_permission("viewer", "read").unwrap()).await);
    let read = store.permission(ENV, "read").await.unwrap().unwrap();
    assert!(store.delete_permission(ENV, &read, &event(EventType::PermissionDeleted, &read)).await.unwrap());
    assert!(add_permission(&store, "passing").await.unwrap());
    assert!(delete_role(&store, "editor", Some("viewer")).await);

    let version = store.roles_version(ENV).await.unwrap();
    let record = store.environment_record(ENV).await.unwrap().unwrap();
    assert!(store.reset(&record, false, false, 4).await.unwrap());
    assert_eq!((catalog(&store).await, store.all_permissions(ENV).await.unwrap()), seeded);
    let acme = store.role_catalog(ENV, Some("org_1")).await.unwrap();
    assert_eq!((acme.roles().len(), acme.organization_default_id()), (4, None));
    assert!(store.roles_version(ENV).await.unwrap() > version, "who read before it is out of date");
}
