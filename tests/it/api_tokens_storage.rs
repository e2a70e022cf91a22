//! API tokens as they are stored, on both engines.

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::api_token::{ApiToken, ApiTokenInfo};
use vestibule::domain::email::EmailAddress;
use vestibule::domain::membership::Membership;
use vestibule::domain::page::{PageRequest, Position, Scope};
use vestibule::domain::role::Role;
use vestibule::domain::user::User;
use vestibule::storage::{Seed, SeedOrganization, Store, StoreError, WithUser};

use crate::support::{Database, Engine};

const ENV: &str = "env_1";

/// A store with the organizations `org_1` and `org_2`, and with Jane, an admin of the first.
async fn store_in(database: &Database) -> (Store, User) {
    let store = database.open().await;
    store.migrate().await.unwrap();
    store.ensure_environment(ENV, b"{}", 1).await.unwrap();
    let organization =
        |id: &str| SeedOrganization { id: id.into(), display_name: id.into(), ..SeedOrganization::default() };
    let organizations = ["org_1", "org_2"].map(organization).to_vec();
    store.seed(ENV, &Seed { organizations, ..Seed::default() }, false, 1).await.unwrap();
    let mut jane = User::new("usr_1".into(), EmailAddress::parse("jane@example.com").unwrap(), 5);
    let roles = Role::initial(1).iter().map(Role::summary).collect();
    jane.join(Membership { roles, ..Membership::direct("org_1".into(), "org_1".into(), 5) });
    assert!(store.insert_user(ENV, &jane, WithUser::default()).await.unwrap());
    (store, jane)
}

fn token(id: &str, organization_id: &str, user_id: Option<&str>) -> ApiToken {
    let kept = ("digest".to_owned(), "last".to_owned());
    ApiToken {
        description: Some("\" \\ ' \u{e9}".into()),
        custom_claims: [("key".to_owned(), "\u{0}".to_owned())].into(),
        expires_at_ms: Some(100),
        ..ApiToken::new(id.into(), organization_id.into(), user_id.map(str::to_owned), kept, 5)
    }
}

async fn read(store: &Store, id: &str) -> Option<ApiTokenInfo> {
    store.api_token(ENV, id).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_token_is_read_as_it_was_written_and_changed_over_its_version_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let (store, jane) = store_in(&database).await;
    let of_jane = token("apit_1", "org_1", Some("usr_1"));
    store.insert_api_token(ENV, &of_jane).await.unwrap();
    let expected = ApiTokenInfo {
        token: of_jane.clone(),
        organization_external_id: None,
        user_external_id: None,
        email: Some("jane@example.com".into()),
        roles: jane.memberships[0].roles.iter().map(|role| role.name.clone()).collect(),
    };
    assert_eq!(expected.roles.len(), 2);
    assert_eq!(read(&store, "apit_1").await, Some(expected.clone()));
    assert_eq!(store.api_token("env_2", "apit_1").await.unwrap(), None);
    for nobodys in [token("apit_2", "org_3", None), token("apit_2", "org_2", Some("usr_1"))] {
        let refused = store.insert_api_token(ENV, &nobodys).await;
        assert!(matches!(refused, Err(StoreError::MissingParent(_))), "{refused:?}");
    }

    let changed = ApiToken { description: None, invalidated_at_ms: Some(9), ..of_jane };
    assert!(store.update_api_token(ENV, &changed).await.unwrap());
    assert!(!store.update_api_token(ENV, &changed).await.unwrap(), "it has moved on since");
    let expected = ApiTokenInfo { token: ApiToken { version: 2, ..changed }, ..expected };
    assert_eq!(read(&store, "apit_1").await, Some(expected));
}

#[rstest]
#[tokio::test]
async fn tokens_go_with_the_membership_that_they_stand_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let (store, jane) = store_in(&database).await;
    store.insert_api_token(ENV, &token("apit_1", "org_1", Some("usr_1"))).await.unwrap();
    store.insert_api_token(ENV, &token("apit_2", "org_1", None)).await.unwrap();
    let mut after = jane.clone();
    assert!(after.leave("org_1"));
    assert!(store.update_user(ENV, &jane, &after, WithUser::default()).await.unwrap());
    assert_eq!(read(&store, "apit_1").await, None);
    assert!(read(&store, "apit_2").await.is_some());
}

#[rstest]
#[tokio::test]
async fn what_ended_is_deleted_in_batches_and_what_is_valid_stays(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let (store, _) = store_in(&database).await;
    for number in 0..3 {
        store.insert_api_token(ENV, &token(&format!("apit_{number}"), "org_1", None)).await.unwrap();
    }
    let plain = ApiToken { expires_at_ms: None, ..token("apit_3", "org_1", None) };
    let invalidated = ApiToken { id: "apit_4".into(), invalidated_at_ms: Some(100), ..plain.clone() };
    for token in [plain, invalidated] {
        store.insert_api_token(ENV, &token).await.unwrap();
    }
    assert_eq!(store.delete_expired(ENV, 100, 9).await.unwrap(), 0, "they ended just now");
    assert_eq!(store.delete_expired(ENV, 101, 3).await.unwrap(), 3);
    assert_eq!(store.delete_expired(ENV, 101, 3).await.unwrap(), 1);
    assert!(read(&store, "apit_3").await.is_some());
}

#[rstest]
#[tokio::test]
async fn a_list_is_paged_newest_first_and_of_valid_tokens(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const SCOPE: Scope<'_> = &["api_tokens", "org_1"];
    let Some(database) = Database::fresh(engine).await else { return };
    let (store, _) = store_in(&database).await;
    let mut wanted = vec![];
    for number in 0..11 {
        // Several of one moment, as under a clock that stands still; some have two roles.
        let id = format!("apit_{number:02}");
        let user_id = (number % 3 == 0).then_some("usr_1");
        let token = ApiToken { created_at_ms: number / 4, ..token(&id, "org_1", user_id) };
        store.insert_api_token(ENV, &token).await.unwrap();
        wanted.insert(0, id);
    }
    let ended = ApiToken { invalidated_at_ms: Some(1), ..token("apit_90", "org_1", None) };
    for token in [ended, token("apit_91", "org_2", None)] {
        store.insert_api_token(ENV, &token).await.unwrap();
    }
    let page = async |token: &str| {
        let request = PageRequest::parse(3, 30, token, SCOPE).unwrap();
        let found = store.api_tokens(ENV, "org_1", None, 99, &request).await.unwrap();
        let total = store.count_api_tokens(ENV, "org_1", None, 99).await.unwrap();
        request.page(found, total, SCOPE, |info| Position {
            created_at_ms: info.token.created_at_ms,
            id: info.token.id.clone(),
        })
    };
    let (mut seen, mut token, mut last) = (vec![], String::new(), String::new());
    loop {
        let found = page(&token).await;
        assert_eq!(found.total, 11);
        seen.extend(found.records.into_iter().map(|info| info.token.id));
        if found.next_page_token.is_empty() {
            break;
        }
        token = found.next_page_token;
        last.clone_from(&token);
    }
    assert_eq!(seen, wanted);
    let before_last = page(&page(&last).await.prev_page_token).await;
    assert_eq!(before_last.records.into_iter().map(|i| i.token.id).collect::<Vec<_>>(), wanted[6..9]);
    let counts = [(Some("usr_1"), 99), (Some("usr_2"), 99), (None, 100)]
        .map(|(user_id, now_ms)| store.count_api_tokens(ENV, "org_1", user_id, now_ms));
    let counts: Vec<i64> = join_all(counts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(counts, [4, 0, 0]);
}

#[rstest]
#[tokio::test]
async fn of_many_changes_over_one_version_exactly_one_is_written(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let (store, _) = store_in(&database).await;
    store.insert_api_token(ENV, &token("apit_1", "org_1", None)).await.unwrap();
    let changes = (0..50).map(|number| {
        let store = &store;
        async move {
            let changed =
                ApiToken { description: Some(number.to_string()), ..token("apit_1", "org_1", None) };
            store.update_api_token(ENV, &changed).await.unwrap()
        }
    });
    assert_eq!(join_all(changes).await.into_iter().filter(|is_done| *is_done).count(), 1);
}
