//! Tokens: their shape, their single use, and the endpoints that read them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::Value;
use vestibule::crypto::client_secrets::hash_secret;
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::domain::signing_algorithm::SigningAlgorithm;

use crate::support::person::{Page, claims, header};
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

const SEED: &str = "
[[organizations]]
id = \"org_100000000000000001\"
display_name = \"Acme\"
external_id = \"acme\"
[[users]]
id = \"usr_100000000000000001\"
email = \"jane@example.com\"
name = \"Jane Doe\"
given_name = \"Jane\"
external_id = \"user-1\"
organizations = [\"acme\"]
";

/// Claims whose values change with every run, replaced by what they must look like.
fn tidy(mut claims: Value) -> Value {
    let iat = claims["iat"].as_i64().unwrap();
    let object = claims.as_object_mut().unwrap();
    for (name, value) in object.iter_mut() {
        let text = value.as_str().unwrap_or_default().to_owned();
        *value = match name.as_str() {
            "iat" | "nbf" | "auth_time" => format!("iat{:+}", value.as_i64().unwrap() - iat).into(),
            "exp" => format!("iat+{}", value.as_i64().unwrap() - iat).into(),
            "sid" | "jti" => format!("{}…", &text[..4]).into(),
            "at_hash" | "c_hash" => format!("{} characters", text.len()).into(),
            "sub" if text.starts_with("usr_") && text != "usr_100000000000000001" => "usr_…".into(),
            _ => continue,
        };
    }
    claims
}

async fn tidied(server: &TestServer) -> (Value, Value, Value) {
    let person = server.person();
    let page = person.sign_in_with("jane@example.com", &[("nonce", "n-0S6_WzA2Mj")]).await;
    let tokens = server.exchange(&page.answer("code").unwrap()).await.json();
    let replace = |v: Value| serde_json::from_str(&v.to_string().replace(&server.url, "ISSUER")).unwrap();
    (replace(tidy(claims(&tokens["id_token"]))), replace(tidy(claims(&tokens["access_token"]))), tokens)
}

#[tokio::test]
async fn tokens_of_the_modular_profile_look_like_scalekits() {
    let server = TestServer::with(SEED).await;
    let (id_token, access_token, tokens) = tidied(&server).await;
    insta::assert_json_snapshot!(id_token, @r#"
    {
      "amr": [
        "conn_687000000000000001"
      ],
      "at_hash": "22 characters",
      "aud": [
        "skc_687000000000000001"
      ],
      "auth_time": "iat+0",
      "azp": "skc_687000000000000001",
      "c_hash": "22 characters",
      "client_id": "skc_687000000000000001",
      "email": "jane@example.com",
      "email_verified": true,
      "exp": "iat+259200",
      "given_name": "Jane",
      "iat": "iat+0",
      "iss": "ISSUER",
      "name": "Jane Doe",
      "nonce": "n-0S6_WzA2Mj",
      "sid": "ses_…",
      "sub": "conn_687000000000000001;jane@example.com",
      "xoid": "acme"
    }
    "#);
    insta::assert_json_snapshot!(access_token, @r#"
    {
      "aud": [
        "skc_687000000000000001"
      ],
      "client_id": "skc_687000000000000001",
      "exp": "iat+900",
      "iat": "iat+0",
      "iss": "ISSUER",
      "jti": "tkn_…",
      "nbf": "iat+0",
      "scope": "openid profile email offline_access",
      "scopes": [
        "openid",
        "profile",
        "email",
        "offline_access"
      ],
      "sub": "conn_687000000000000001;jane@example.com",
      "xoid": "acme",
      "xuid": "user-1"
    }
    "#);
    assert_eq!((tokens["expires_in"].as_i64(), tokens["token_type"].as_str()), (Some(899), Some("Bearer")));
    let head = header(&tokens["id_token"]);
    assert_eq!((head["alg"].as_str(), head["typ"].as_str()), (Some("RS256"), Some("JWT")));
    assert!(head["kid"].as_str().unwrap().starts_with("snk_"));
}

#[tokio::test]
async fn tokens_of_the_full_stack_profile_carry_user_organization_and_session() {
    let server = TestServer::with(&format!("{SEED}\n[tokens]\nuser_management = true")).await;
    let (id_token, access_token, tokens) = tidied(&server).await;
    for token in [&id_token, &access_token] {
        assert_eq!(token["sub"], "usr_100000000000000001");
        assert_eq!(token["oid"], "org_100000000000000001");
        assert_eq!(token["sid"], "ses_…");
    }
    assert_eq!((&id_token["exp"], &access_token["exp"]), (&"iat+1800".into(), &"iat+300".into()));
    assert_eq!(tokens["expires_in"], 299);
}

#[rstest]
#[tokio::test]
async fn a_sign_up_in_the_full_stack_profile_makes_an_organization_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "[tokens]\nuser_management = true").await else { return };
    let first = server.person().tokens("new@example.com").await;
    let again = server.person().tokens("new@example.com").await;
    let other = server.person().tokens("other@example.com").await;
    let oid = |tokens: &Value| claims(&tokens["access_token"])["oid"].as_str().unwrap().to_owned();
    assert!(oid(&first).starts_with("org_"));
    assert_eq!(oid(&first), oid(&again));
    assert_ne!(oid(&first), oid(&other));
    assert_eq!(claims(&first["id_token"])["sub"], claims(&again["id_token"])["sub"]);
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token_and_without_openid_no_id_token() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.sign_in_with("jane@example.com", &[("scope", "openid email")]).await;
    let tokens = server.exchange(&page.answer("code").unwrap()).await.json();
    assert!(tokens.get("refresh_token").is_none() && tokens["id_token"].is_string());
    let page = person.authorize(&[("scope", "email")]).await;
    let tokens = server.exchange(&page.answer("code").unwrap()).await.json();
    assert!(tokens.get("id_token").is_none());
    let page = person.authorize(&[("scope", "")]).await;
    assert_eq!(server.exchange(&page.answer("code").unwrap()).await.json()["scope"], "openid profile email");
}

#[rstest]
#[tokio::test]
async fn a_code_used_twice_is_refused_and_revokes_what_it_gave(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let code = server.person().sign_in("jane@example.com").await;
    let tokens = server.exchange(&code).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(userinfo(&server, access).await.status, 200);
    server.advance_s(30);
    let again = server.exchange(&code).await;
    assert_eq!(
        (again.status, again.json()["error"].as_str().unwrap().to_owned()),
        (400, "invalid_grant".into())
    );
    let challenge = userinfo(&server, access).await;
    assert_eq!(challenge.status, 401);
    assert!(challenge.header("www-authenticate").contains("invalid_token"));
    assert_eq!(refresh(&server, &tokens).await.json()["error"], "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn a_code_exchanged_many_times_at_once_gives_tokens_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let code = server.person().sign_in("jane@example.com").await;
    let pages = join_all((0..30).map(|_| server.exchange(&code))).await;
    assert_eq!(pages.iter().filter(|p| p.status == 200).count(), 1);
}

#[tokio::test]
async fn a_code_is_bound_to_client_redirect_uri_and_time() {
    let server = TestServer::with(&format!(
        "client_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\n[[clients]]\nclient_id = \"other\"\nclient_secret = \"s\"",
    ))
    .await;
    let person = server.person();
    let code = person.sign_in("jane@example.com").await;
    let form = |client: &'static str, secret: &'static str, uri: &'static str| {
        [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("client_secret", secret),
            ("redirect_uri", uri),
        ]
    };
    for form in [
        form("other", "s", CALLBACK),
        form(CLIENT_ID, CLIENT_SECRET, "http://localhost:3000/other"),
        form(CLIENT_ID, CLIENT_SECRET, ""),
    ] {
        let mut form = form.to_vec();
        form.push(("code", &code));
        assert_eq!(server.post("/oauth/token", &form).await.json()["error"], "invalid_grant");
    }
    assert_eq!(server.exchange(&code).await.status, 200, "none of these used it up");
    let late = person.authorize(&[]).await.answer("code").unwrap();
    server.advance_s(600);
    assert_eq!(server.exchange(&late).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn pkce_is_checked_and_cannot_be_stripped() {
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let with = [("code_challenge", challenge), ("code_challenge_method", "S256")];
    let cases = [
        (&with[..], verifier, true),
        (&with[..], "", false),
        (&with[..], "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong", false),
        (&[][..], verifier, false),
    ];
    for (parameters, verifier, good) in cases {
        let code = person.authorize(parameters).await.answer("code").unwrap();
        let page = server
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", verifier),
            ])
            .await;
        assert_eq!(page.status == 200, good, "{parameters:?} {verifier}: {}", page.body);
    }
}

#[tokio::test]
async fn public_clients_need_pkce_and_have_no_secret() {
    let server = TestServer::with("[[clients]]\nclient_id = \"spa\"\ntype = \"spa\"\n[[clients]]\nclient_id = \"web\"\nclient_secret = \"s\"").await;
    let person = server.person();
    let bare = person.authorize(&[("client_id", "spa")]).await;
    assert_eq!(bare.answer("error").as_deref(), Some("invalid_request"));
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let page = person
        .sign_in_with(
            "jane@example.com",
            &[("client_id", "spa"), ("code_challenge", challenge), ("code_challenge_method", "S256")],
        )
        .await;
    let code = page.answer("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", "spa"),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    assert_eq!(server.post("/oauth/token", &form).await.status, 200);
    let own =
        server.post("/oauth/token", &[("grant_type", "client_credentials"), ("client_id", "spa")]).await;
    assert_eq!(own.json()["error"], "unauthorized_client");
}

#[tokio::test]
async fn the_well_known_public_client_signs_in_with_pkce_and_without_a_secret() {
    use vestibule::config::DEFAULT_SPA_CLIENT_ID;
    let server = TestServer::start().await;
    let person = server.person();
    let bare = person.authorize(&[("client_id", DEFAULT_SPA_CLIENT_ID)]).await;
    assert_eq!(bare.answer("error").as_deref(), Some("invalid_request"));
    let pkce = [
        ("client_id", DEFAULT_SPA_CLIENT_ID),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    let code = person.sign_in_with("jane@example.com", &pkce).await.answer("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", DEFAULT_SPA_CLIENT_ID),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    let page = server.post("/oauth/token", &form).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(claims(&page.json()["id_token"])["aud"][0], DEFAULT_SPA_CLIENT_ID);
    for path in ["/dashboard", "/llms.txt"] {
        assert!(server.get(path).await.body.contains(DEFAULT_SPA_CLIENT_ID), "{path}");
    }
    // Where clients are configured there are those alone.
    let own = TestServer::with("client_id = \"skc_own\"\nclient_secret = \"a secret of one's own\"").await;
    assert_eq!(own.person().authorize(&pkce).await.status, 400);
}

#[tokio::test]
async fn development_tells_unknown_client_wrong_secret_and_wrong_type_apart() {
    use vestibule::config::DEFAULT_SPA_CLIENT_ID;
    let server = TestServer::start().await;
    let grant = ("grant_type", "client_credentials");
    for (id, secret, words) in [
        ("nobody", "x", &["unknown client", "nobody", CLIENT_ID][..]),
        ("no\"bo\\dy\n☃", "x", &["unknown client", "nobody"]),
        (CLIENT_ID, "x", &["wrong secret", CLIENT_ID]),
        (CLIENT_ID, "", &["wrong type", "confidential", DEFAULT_SPA_CLIENT_ID, "PKCE"]),
        (DEFAULT_SPA_CLIENT_ID, CLIENT_SECRET, &["wrong type", "public client", "code_verifier"]),
    ] {
        for path in ["/oauth/token", "/oauth/par", "/revoke", "/oauth/introspect"] {
            let form = [grant, ("client_id", id), ("client_secret", secret), ("token", "x")];
            let page = server.post(path, &form).await;
            let told = page.json();
            assert_eq!(
                (page.status, told["error"].as_str().unwrap()),
                (401, "invalid_client"),
                "{id} {path}"
            );
            let text = told["error_description"].as_str().unwrap();
            assert!(words.iter().all(|word| text.contains(word)), "{id} {path}: {text}");
            // RFC 6749 §5.2.
            assert!(text.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'), "{text}");
        }
    }
}

#[test]
fn production_says_the_same_of_every_client_that_is_not_believed() {
    use vestibule::domain::settings::Mode;
    use vestibule::service::client_auth::ClientRefusal::*;
    let mut environment = crate::support::configuration("").environment;
    let said = |environment: &_| {
        [Unknown, WrongSecret, SecretMissing, SecretOfPublicClient]
            .map(|refusal| refusal.description(environment, Some(CLIENT_ID)))
            .into_iter()
            .collect::<std::collections::BTreeSet<String>>()
    };
    assert_eq!(said(&environment).len(), 4);
    environment.mode = Mode::Production;
    let said = said(&environment);
    assert!(said.len() == 1 && !said.iter().any(|text| text.contains(CLIENT_ID)), "{said:?}");
}

#[tokio::test]
async fn clients_authenticate_in_the_body_or_by_basic_and_a_bearer_header_is_ignored() {
    let server = TestServer::start().await;
    let url = format!("{}/oauth/token", server.url);
    let grant = [("grant_type", "client_credentials")];
    let basic = server.http().post(&url).basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(&grant);
    assert_eq!(basic.send().await.unwrap().status().as_u16(), 200);
    let body =
        [("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let bearer = server.http().post(&url).bearer_auth("stale").form(&body);
    assert_eq!(bearer.send().await.unwrap().status().as_u16(), 200);
    let wrong = Page::of(
        server.http().post(&url).basic_auth(CLIENT_ID, Some("x")).form(&grant).send().await.unwrap(),
    )
    .await;
    assert_eq!((wrong.status, wrong.json()["error"].as_str().unwrap()), (401, "invalid_client"));
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    for form in [
        vec![],
        vec![("client_id", "nobody"), ("client_secret", "x")],
        vec![("client_id", CLIENT_ID)],
        vec![("client_id", CLIENT_ID), ("client_secret", "x")],
    ] {
        let page = server.post("/oauth/token", &[form, grant.to_vec()].concat()).await;
        assert_eq!((page.status, page.json()["error"].as_str().unwrap()), (401, "invalid_client"));
    }
}

#[tokio::test]
async fn client_credentials_give_a_jwt_of_a_day() {
    let server = TestServer::start().await;
    let page = server.token(&[("grant_type", "client_credentials")]).await;
    let token = page.json();
    assert_eq!((page.status, token["expires_in"].as_i64()), (200, Some(86_399)));
    let own = claims(&token["access_token"]);
    assert_eq!(own["exp"].as_i64().unwrap() - own["iat"].as_i64().unwrap(), 86_399);
    assert_eq!((own["client_id"].as_str(), own["aud"][0].as_str()), (Some(CLIENT_ID), Some(CLIENT_ID)));
    assert!(token.get("id_token").is_none() && token.get("refresh_token").is_none());
    let other = server.token(&[("grant_type", "client_credentials")]).await.json();
    assert_ne!(token["access_token"], other["access_token"]);
    assert_eq!(userinfo(&server, token["access_token"].as_str().unwrap()).await.status, 403);
}

#[tokio::test]
async fn a_flood_of_wrong_secrets_is_told_to_come_back_and_holds_up_no_other_client() {
    let hash = |secret: &str| hash_secret(secret, &SystemEntropy).unwrap();
    let client = |id: &str, hash: &str| {
        format!("[[clients]]\nclient_id = \"{id}\"\nclient_secret_argon2 = '{hash}'\n")
    };
    let toml = client("flooded", &hash("right")) + &client("other", &hash("right"));
    let server = TestServer::with(&toml).await;
    let http = server.http();
    let ask = async |path: &str, id: &str, secret: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("token", "any"),
            ("client_id", id),
            ("client_secret", secret),
        ];
        Page::of(http.post(format!("{}{path}", server.url)).form(&form).send().await.unwrap()).await
    };
    let begun = std::time::Instant::now();
    let flood = join_all((0..200).map(async |n| ask("/oauth/token", "flooded", &format!("wrong {n}")).await));
    let others = join_all((0..20).map(async |_| ask("/oauth/token", "other", "right").await));
    let (flood, others) = tokio::join!(flood, others);
    assert!(others.iter().all(|page| page.status == 200), "{others:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "nobody waits for 200 hashes");
    let busy: Vec<_> = flood.iter().filter(|page| page.status == 503).collect();
    assert!(!busy.is_empty() && flood.iter().all(|page| [401, 503].contains(&page.status)));
    for page in busy {
        assert_eq!(page.json()["error"], "temporarily_unavailable");
        assert_eq!(page.header("retry-after"), "1");
    }
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/par", "/revoke"] {
        let flood = join_all((0..50).map(async |n| ask(path, "flooded", &format!("wrong {path} {n}")).await));
        assert!(flood.await.iter().any(|page| page.status == 503), "{path}");
    }
    assert_eq!(ask("/oauth/token", "flooded", "right").await.status, 200, "the flood is over");
}

#[tokio::test]
async fn mistakes_at_the_token_endpoint_have_their_names() {
    let server = TestServer::start().await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "authorization_code"), ("code", "x"), ("code", "y")], "invalid_request"),
        (&[("grant_type", "authorization_code"), ("code", "x")], "invalid_grant"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "rt_1_0_x")], "invalid_grant"),
    ];
    for (form, error) in cases {
        let page = server.token(form).await;
        assert_eq!((page.status, page.json()["error"].as_str().unwrap()), (400, *error), "{form:?}");
    }
    let json = server
        .http()
        .post(format!("{}/oauth/token", server.url))
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(json.send().await.unwrap().status().as_u16(), 415);
}

#[rstest]
#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_revokes_the_family(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let first = server.person().tokens("jane@example.com").await;
    server.advance_s(60);
    let second = refresh(&server, &first).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert!(second["access_token"].is_string() && second["id_token"].is_string());
    server.advance_s(60);
    let third = refresh(&server, &second).await.json();
    server.advance_s(60);
    let reused = refresh(&server, &second).await;
    assert_eq!(
        (reused.status, reused.json()["error"].as_str().unwrap().to_owned()),
        (400, "invalid_grant".into())
    );
    assert_eq!(refresh(&server, &third).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_belongs_to_its_client_and_scope() {
    let server = TestServer::with(&format!(
        "client_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\n[[clients]]\nclient_id = \"other\"\nclient_secret = \"s\"",
    ))
    .await;
    let tokens = server.person().tokens("jane@example.com").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let stolen = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "other"),
        ("client_secret", "s"),
    ];
    assert_eq!(server.post("/oauth/token", &stolen).await.json()["error"], "invalid_grant");
    let wider = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "openid admin")];
    assert_eq!(server.token(&wider).await.json()["error"], "invalid_scope");
    let narrower = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "openid")];
    assert_eq!(server.token(&narrower).await.json()["scope"], "openid");
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_lifetime() {
    let server = TestServer::with("[tokens]\nrefresh_token_lifetime_s = 3600").await;
    let tokens = server.person().tokens("jane@example.com").await;
    server.advance_s(3600);
    assert_eq!(refresh(&server, &tokens).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn userinfo_tells_what_the_scopes_allow() {
    let server = TestServer::with(SEED).await;
    let person = server.person();
    let token_for = |page: Page| {
        let server = &server;
        async move {
            server.exchange(&page.answer("code").unwrap()).await.json()["access_token"]
                .as_str()
                .unwrap()
                .to_owned()
        }
    };
    let all = token_for(person.sign_in_with("jane@example.com", &[]).await).await;
    let told = userinfo(&server, &all).await.json();
    assert_eq!((told["email"].as_str(), told["name"].as_str()), (Some("jane@example.com"), Some("Jane Doe")));
    assert_eq!(told["sub"], "conn_687000000000000001;jane@example.com");
    let bare = token_for(person.authorize(&[("scope", "openid")]).await).await;
    let told = userinfo(&server, &bare).await.json();
    assert!(told.get("email").is_none() && told.get("name").is_none(), "{told}");
    let asked = [("scope", "openid"), ("claims", r#"{"userinfo":{"given_name":{"essential":true}}}"#)];
    let single = token_for(person.authorize(&asked).await).await;
    assert_eq!(userinfo(&server, &single).await.json()["given_name"], "Jane");
    // By POST, in the header or in the form, but not in both.
    assert_eq!(server.post("/userinfo", &[("access_token", &all)]).await.status, 200);
    let both = server
        .http()
        .post(format!("{}/userinfo", server.url))
        .bearer_auth(&all)
        .form(&[("access_token", &all)]);
    assert_eq!(both.send().await.unwrap().status().as_u16(), 400);
    let none = server.get("/userinfo").await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, "Bearer realm=\"vestibule\""));
    assert_eq!(userinfo(&server, "forged").await.status, 401);
    server.advance_s(900);
    assert_eq!(userinfo(&server, &all).await.status, 401);
}

#[tokio::test]
async fn introspection_tells_clients_of_live_tokens_and_nothing_of_others() {
    let server = TestServer::start().await;
    let tokens = server.person().tokens("jane@example.com").await;
    let introspect = |token: &str| {
        let (server, token) = (&server, token.to_owned());
        async move {
            let form =
                [("token", token.as_str()), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
            server.post("/oauth/introspect", &form).await.json()
        }
    };
    let access = tokens["access_token"].as_str().unwrap();
    let live = introspect(access).await;
    assert_eq!((live["active"].as_bool(), live["client_id"].as_str()), (Some(true), Some(CLIENT_ID)));
    assert_eq!(introspect(tokens["refresh_token"].as_str().unwrap()).await["active"], true);
    assert_eq!(introspect("forged").await, serde_json::json!({ "active": false }));
    assert_eq!(server.post("/oauth/introspect", &[("token", access)]).await.status, 401);
    server.advance_s(900);
    assert_eq!(introspect(access).await, serde_json::json!({ "active": false }));
}

#[tokio::test]
async fn revocation_ends_one_access_token_or_the_whole_family() {
    let server = TestServer::start().await;
    let person = server.person();
    let revoke = |token: &Value| {
        let (server, token) = (&server, token.as_str().unwrap().to_owned());
        async move {
            let form =
                [("token", token.as_str()), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
            server.post("/revoke", &form).await.status
        }
    };
    let tokens = person.tokens("jane@example.com").await;
    let newer = refresh(&server, &tokens).await.json();
    assert_eq!(revoke(&tokens["access_token"]).await, 200);
    assert_eq!(userinfo(&server, tokens["access_token"].as_str().unwrap()).await.status, 401);
    assert_eq!(userinfo(&server, newer["access_token"].as_str().unwrap()).await.status, 200);
    assert_eq!(revoke(&newer["refresh_token"]).await, 200);
    assert_eq!(userinfo(&server, newer["access_token"].as_str().unwrap()).await.status, 401);
    assert_eq!(refresh(&server, &newer).await.json()["error"], "invalid_grant");
    assert_eq!(revoke(&"unknown".into()).await, 200, "RFC 7009: unknown tokens are no error");
}

#[tokio::test]
async fn a_rotated_key_is_published_before_it_signs_and_the_old_one_goes_on_verifying() {
    let server = TestServer::start().await;
    let person = server.person();
    let before = person.tokens("jane@example.com").await;
    let key = server.app.add_key(SigningAlgorithm::Rs256, 60_000).await.unwrap();
    let kid = key.kid();
    assert!(server.get("/keys").await.body.contains(kid));
    let during = refresh(&server, &before).await.json();
    assert_eq!(header(&during["id_token"])["kid"], header(&before["id_token"])["kid"]);
    server.advance_s(60);
    let after = refresh(&server, &during).await.json();
    assert_eq!(header(&after["id_token"])["kid"], kid);
    assert_eq!(userinfo(&server, before["access_token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_key_signs_nowhere_before_every_server_publishes_it() {
    let Some(first) = TestServer::on(Engine::Postgres, "").await else { return };
    let second = first.beside("").await;
    let key = first.app.add_key(SigningAlgorithm::Rs256, 0).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let token = first.token(&[("grant_type", "client_credentials")]).await.json();
        let kid = header(&token["access_token"])["kid"].as_str().unwrap().to_owned();
        assert!(second.get("/keys").await.body.contains(&kid), "{kid} is not published by the other server");
        if kid == key.kid() {
            break;
        }
        assert!(Instant::now() < deadline, "the new key never signs");
    }
    // The first key of another algorithm is made when it is asked for.
    let wanted = serde_json::json!({ "id_token_signed_response_alg": "ES256" });
    let changed = first.http().patch(format!("{}/_emulator/v1/clients/{CLIENT_ID}", first.url)).json(&wanted);
    assert_eq!(changed.send().await.unwrap().status(), 200);
    let person = first.person();
    let tokens = person.tokens("jane@example.com").await;
    let header = header(&tokens["id_token"]);
    assert_eq!(header["alg"], "ES256");
    assert!(second.get("/keys").await.body.contains(header["kid"].as_str().unwrap()));
}

#[tokio::test]
async fn browsers_of_other_origins_may_call_what_single_page_applications_need() {
    let server = TestServer::start().await;
    for path in ["/oauth/token", "/userinfo", "/keys", "/.well-known/openid-configuration", "/revoke"] {
        let preflight = server
            .http()
            .request(reqwest::Method::OPTIONS, format!("{}{path}", server.url))
            .header("origin", "http://localhost:5173")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-sdk-version");
        let page = Page::of(preflight.send().await.unwrap()).await;
        assert_eq!((page.status, page.header("access-control-allow-origin")), (200, "*"), "{path}");
    }
    let page = Page::of(
        server
            .http()
            .get(format!("{}/login/x", server.url))
            .header("origin", "http://localhost:5173")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(page.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn discovery_says_where_everything_is() {
    let server = TestServer::start().await;
    let document = server.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["issuer"], server.url);
    for (name, path) in [
        ("authorization_endpoint", "/oauth/authorize"),
        ("token_endpoint", "/oauth/token"),
        ("jwks_uri", "/keys"),
        ("userinfo_endpoint", "/userinfo"),
        ("end_session_endpoint", "/oidc/logout"),
        ("introspection_endpoint", "/oauth/introspect"),
        ("revocation_endpoint", "/revoke"),
    ] {
        assert_eq!(document[name], format!("{}{path}", server.url));
    }
    assert_eq!(document, server.get("/.well-known/oauth-authorization-server").await.json());
}

async fn userinfo(server: &TestServer, token: &str) -> Page {
    Page::of(server.http().get(format!("{}/userinfo", server.url)).bearer_auth(token).send().await.unwrap())
        .await
}

async fn refresh(server: &TestServer, tokens: &Value) -> Page {
    let token = tokens["refresh_token"].as_str().unwrap();
    server.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}
