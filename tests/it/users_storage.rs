//! Users as they are stored with their memberships, on both engines: never changed over somebody else's change.

use rstest::rstest;
use vestibule::domain::email::EmailAddress;
use vestibule::domain::membership::{Invitation, Membership};
use vestibule::domain::record_key::RecordKey;
use vestibule::domain::role::Role;
use vestibule::domain::user::{User, UserChange};
use vestibule::storage::{Seed, SeedOrganization, Store, StoreError, WithUser};

use crate::support::{Database, Engine};

const ENV: &str = "env_1";

const EXPIRES_AT_MS: i64 = 1000;

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

fn jane() -> User {
    let mut jane = User::new("usr_1".into(), EmailAddress::parse("Jane@example.com").unwrap(), 5);
    let metadata = [("plan".to_owned(), "pro \" \\ é".to_owned())];
    jane.change(UserChange {
        external_id: Some("jane".into()),
        metadata: metadata.clone().into(),
        ..UserChange::default()
    });
    jane.profile.name = Some("Jane".into());
    jane.profile.details.groups = vec!["red".into()];
    jane.profile.details.custom_attributes = metadata.into();
    let roles = Role::initial(1).iter().map(Role::summary).collect();
    jane.join(Membership { roles, ..Membership::direct("org_1".into(), "org_1".into(), 5) });
    let mut invitation = Invitation::new(Some("boss@example.com".into()), EXPIRES_AT_MS, "digest".into());
    invitation.note_resent(7);
    jane.join(Membership::invited("org_2".into(), "org_2".into(), invitation, 6));
    jane
}

async fn read(store: &Store, id: &str) -> Option<User> {
    store.user(ENV, &RecordKey::Id(id.into())).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_user_is_read_as_written_with_memberships_and_roles(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    assert_eq!(store.role_catalog(ENV, None).await.unwrap().roles(), Role::initial(1));
    assert!(store.insert_user(ENV, &jane(), WithUser::default()).await.unwrap());
    assert_eq!(read(&store, "usr_1").await, Some(jane()));
    assert_eq!(store.user(ENV, &RecordKey::ExternalId("jane".into())).await.unwrap(), Some(jane()));
    let invited = Some(("usr_1".to_owned(), "org_2".to_owned()));
    assert_eq!(store.invitation(ENV, "digest").await.unwrap(), invited);
    assert_eq!(store.invitation("env_2", "digest").await.unwrap(), None);
    assert_eq!(store.user("env_2", &RecordKey::Id("usr_1".into())).await.unwrap(), None);
    assert_eq!(store.count_seats(ENV, "org_2", EXPIRES_AT_MS - 1).await.unwrap(), 1);
    assert_eq!(store.count_seats(ENV, "org_2", EXPIRES_AT_MS).await.unwrap(), 0);
    let active = store.organizations_of(ENV, "usr_1").await.unwrap();
    assert_eq!(active.len(), 1, "an invitation is no membership yet");

    let mut after = User { updated_at_ms: 9, ..jane() };
    after.leave("org_2");
    after.membership_mut("org_1").unwrap().remove_role("admin");
    assert!(store.update_user(ENV, &jane(), &after, WithUser::default()).await.unwrap());
    assert!(
        !store.update_user(ENV, &jane(), &after, WithUser::default()).await.unwrap(),
        "the user has moved on since"
    );
    let after = User { version: 2, ..after };
    assert_eq!(read(&store, "usr_1").await, Some(after.clone()));
    assert!(!store.delete_user(ENV, &jane(), &[], &[]).await.unwrap());
    assert!(store.delete_user(ENV, &after, &[], &[]).await.unwrap());
    assert_eq!(read(&store, "usr_1").await, None);
}

#[rstest]
#[tokio::test]
async fn addresses_and_external_ids_are_unique_and_nothing_of_a_refused_user_stays(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_in(&database).await;
    store.insert_user(ENV, &jane(), WithUser::default()).await.unwrap();
    let other =
        |email: &str| User { id: "usr_2".into(), email: EmailAddress::parse(email).unwrap(), ..jane() };
    let same_address = User { external_id: None, ..other("JANE@example.com") };
    for (user, column) in [(same_address, "email"), (other("bob@example.com"), "external_id")] {
        let refused = store.insert_user(ENV, &user, WithUser::default()).await.unwrap_err();
        let is_duplicate =
            |column: &str| refused.is_duplicate(column) || refused.is_duplicate(&format!("{column}_key"));
        assert!(is_duplicate(column), "{refused}");
    }
    let mut lost = User { external_id: None, ..other("bob@example.com") };
    lost.join(Membership::direct("org_9".into(), "org_9".into(), 5));
    let refused = store.insert_user(ENV, &lost, WithUser::default()).await;
    assert!(matches!(refused, Err(StoreError::MissingParent(_))), "{refused:?}");
    assert_eq!(read(&store, "usr_2").await, None);
}
