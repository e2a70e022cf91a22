//! The writes that complete a sign-in, on both engines: over what was read, and once.

use rstest::rstest;
use vestibule::domain::auth_request::{AuthRequest, CodeForm, Credentials, Hosted, Stage};
use vestibule::domain::email::EmailAddress;
use vestibule::domain::limits::RecentTimes;
use vestibule::domain::membership::{Membership, MembershipStatus};
use vestibule::domain::organization::Organization;
use vestibule::domain::record_key::RecordKey;
use vestibule::domain::session::{Device, Session};
use vestibule::domain::settings::PasswordlessType;
use vestibule::domain::user::User;
use vestibule::storage::{Completion, Joining, Members, SessionChange, SilentSignIn, Store, WithUser};

use crate::storage::{grant, session, store_with_jane};
use crate::support::{Database, Engine};

const ENV: &str = "env_1";

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn credentials() -> Credentials {
    Credentials {
        email: email("jane@example.com"),
        passwordless_type: PasswordlessType::Otp,
        generation: 1,
        code: CodeForm::Digits(6),
        sent_at_ms: 5,
        expire_at_ms: 500,
    }
}

async fn stored_request(store: &Store, id: &str, stage: Stage) -> AuthRequest {
    let request = AuthRequest {
        id: id.into(),
        version: 0,
        origin: Hosted {
            authorization: grant("grt_0", "usr_1", "ses_0").authorization,
            browser_digest: "first browser".into(),
            issuer: "http://localhost:6870".into(),
        },
        stage,
        attempts: RecentTimes::default(),
        last_guess: None,
        created_at_ms: 5,
        expires_at_ms: 900,
    };
    store.insert_auth_request(ENV, &request).await.unwrap();
    request
}

async fn user_of(store: &Store, id: &str) -> Option<User> {
    store.user(ENV, &RecordKey::Id(id.into())).await.unwrap()
}

/// Completes a sign-in of a user, as read before, into a session of the number.
async fn complete(
    store: &Store,
    request: &AuthRequest,
    before: Option<&User>,
    user: &User,
    joining: Option<Joining<'_>>,
    number: u32,
) -> bool {
    let session = Session { user_id: user.id.clone(), ..session(&format!("ses_{number}")) };
    let grant = grant(&format!("grt_{number}"), &user.id, &session.id);
    let completion = Completion {
        request,
        counted: None,
        before,
        user,
        joining,
        events: &[],
        logouts: &[],
        session: SessionChange::Start { session, device: Device::default(), ends_session_id: None },
        session_cookie_digest: &format!("cookie-{number}"),
        custom_claims: None,
        grant: &grant,
        code_digest: &format!("code-{number}"),
        backchannel_client: None,
        now_ms: 50,
    };
    store.commit_completion(ENV, &completion).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_sign_in_of_a_user_who_changed_meanwhile_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    let request = stored_request(&store, "ar_1", Stage::Completed(credentials())).await;
    let read = user_of(&store, "usr_1").await.unwrap();
    let mut left = User { updated_at_ms: 40, ..read.clone() };
    assert!(left.leave("org_1"));
    assert!(store.update_user(ENV, &read, &left, WithUser::default()).await.unwrap());
    assert!(!complete(&store, &request, Some(&read), &read, None, 1).await);
    assert_eq!(store.session(ENV, "ses_1").await.unwrap(), None);
    let now = user_of(&store, "usr_1").await.unwrap();
    assert!(complete(&store, &request, Some(&now), &now, None, 1).await);
    assert_eq!(store.session(ENV, "ses_1").await.unwrap().unwrap().user_id, "usr_1");
    let after = user_of(&store, "usr_1").await.unwrap();
    assert_eq!((after.version, after.last_sign_in_at_ms), (now.version, Some(50)));
    assert!(!complete(&store, &request, Some(&after), &after, None, 2).await, "the request is used up");
}

#[rstest]
#[tokio::test]
async fn a_sign_in_to_an_organization_that_was_deleted_meanwhile_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    let request = stored_request(&store, "ar_1", Stage::Completed(credentials())).await;
    let read = user_of(&store, "usr_1").await.unwrap();
    let organization = store.organization(ENV, &RecordKey::Id("org_1".into())).await.unwrap().unwrap();
    assert!(store.delete_organization(ENV, &organization, Members::Stay, &[], &[], 40).await.unwrap());
    assert!(!complete(&store, &request, Some(&read), &read, None, 1).await);
    let now = user_of(&store, "usr_1").await.unwrap();
    assert_eq!(now.membership("org_1"), None);
    assert!(complete(&store, &request, Some(&now), &now, None, 1).await);
}

#[rstest]
#[tokio::test]
async fn a_new_user_comes_with_an_organization_and_only_while_the_address_is_free(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    let mut bob = User::new("usr_2".into(), email("bob@example.com"), 50);
    let organization = Organization::new("org_3".into(), "example.com".into(), 50);
    bob.join(Membership::direct("org_3".into(), "example.com".into(), 50));
    let first = stored_request(&store, "ar_1", Stage::Completed(credentials())).await;
    let creates = Some(Joining::Creates(&organization));
    assert!(complete(&store, &first, None, &bob, creates, 1).await);
    let stored = user_of(&store, "usr_2").await.unwrap();
    assert_eq!(stored.membership("org_3").map(|m| m.status), Some(MembershipStatus::Active));
    assert_eq!(stored.email_verified_at_ms, Some(50));

    let second = stored_request(&store, "ar_2", Stage::Completed(credentials())).await;
    let mut again = User::new("usr_3".into(), email("BOB@example.com"), 50);
    let organization = Organization::new("org_4".into(), "example.com".into(), 50);
    again.join(Membership::direct("org_4".into(), "example.com".into(), 50));
    let creates = Some(Joining::Creates(&organization));
    assert!(!complete(&store, &second, None, &again, creates, 2).await, "somebody has the address");
    assert!(store.organization(ENV, &RecordKey::Id("org_4".into())).await.unwrap().is_none());

    // Joining takes the organization as it was read where that has a limit.
    let limited = store.organization(ENV, &RecordKey::Id("org_1".into())).await.unwrap().unwrap();
    let stale = Organization { version: limited.version + 1, max_allowed_users: Some(5), ..limited.clone() };
    let mut joined = stored.clone();
    joined.join(Membership::direct("org_1".into(), limited.display_name.clone(), 60));
    assert!(!complete(&store, &second, Some(&stored), &joined, Some(Joining::Joins(&stale)), 3).await);
    let current = Organization { max_allowed_users: Some(5), ..limited };
    assert!(complete(&store, &second, Some(&stored), &joined, Some(Joining::Joins(&current)), 4).await);
    assert_eq!(user_of(&store, "usr_2").await.unwrap().version, stored.version + 1);
}

#[rstest]
#[tokio::test]
async fn a_proof_that_waits_for_a_choice_is_bound_to_its_browser(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    let read = stored_request(&store, "ar_1", Stage::AwaitingProof(credentials())).await;
    let mut next = AuthRequest { stage: Stage::AwaitingOrganization(credentials()), ..read };
    next.origin.browser_digest = "second browser".into();
    assert!(store.commit_proof(ENV, &next, None).await.unwrap());
    assert!(!store.commit_proof(ENV, &next, None).await.unwrap(), "once");
    let stored = store.auth_request::<Hosted>(ENV, "ar_1").await.unwrap().unwrap();
    assert_eq!(stored, AuthRequest { version: 1, ..next });
}

#[rstest]
#[tokio::test]
async fn a_session_answers_a_page_once_and_goes_to_the_organization(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(database) = Database::fresh(engine).await else { return };
    let store = store_with_jane(&database).await;
    store.insert_session(ENV, &session("ses_1"), "cookie").await.unwrap();
    let request = stored_request(&store, "ar_1", Stage::AwaitingEmail).await;
    let entered = Session {
        organization_id: Some("org_2".into()),
        idle_timeout_s: Some(60),
        absolute_expires_at_ms: 800,
        ..session("ses_1")
    };
    let claims = serde_json::json!({ "plan": "pro", "features": ["a"] });
    let answer = async |number: u32, closes: Option<&AuthRequest>| {
        let mut granted = grant(&format!("grt_{number}"), "usr_1", "ses_1");
        granted.organization_id = Some("org_2".into());
        let done = SilentSignIn {
            closes,
            enters: Some(&entered),
            custom_claims: claims.as_object().filter(|_| number == 1),
            grant: &granted,
            code_digest: &format!("code-{number}"),
            backchannel_client: None,
            now_ms: 50,
        };
        store.commit_silent_sign_in(ENV, &done).await.unwrap()
    };
    assert!(answer(1, Some(&request)).await);
    assert!(!answer(2, Some(&request)).await, "it is used up");
    assert_eq!(store.session(ENV, "ses_1").await.unwrap(), Some(entered.clone()));
    let stored = store.grant(ENV, "grt_1").await.unwrap().unwrap();
    assert_eq!(serde_json::Value::Object(stored.custom_claims), claims, "the claims of the session");
    let stored = store.grant(ENV, "grt_1").await.unwrap().unwrap();
    assert_eq!(stored.organization_id.as_deref(), Some("org_2"));
    let closed = store.auth_request::<Hosted>(ENV, "ar_1").await.unwrap().unwrap();
    assert!(closed.closed(50).is_some());
    let by = vestibule::domain::session::SessionEnd::Logout;
    assert!(store.end_session(ENV, "ses_1", by, &[], 60).await.unwrap());
    assert!(!store.end_session(ENV, "ses_1", by, &[], 60).await.unwrap());
    assert!(!answer(3, None).await, "the session has ended");
}
