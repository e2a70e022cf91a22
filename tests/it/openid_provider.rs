//! What the OpenID Foundation's profiles test of a provider, where no other file does. docs/STANDARDS.md has the whole
//! list.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::{Page, Person, claims};
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

const JANE: &str = "
[[users]]
email = \"jane@example.com\"
name = \"Jane Doe\"
given_name = \"Jane\"
family_name = \"Doe\"
picture = \"https://example.com/jane.png\"
locale = \"de\"
";

/// Exchanges the code of a finished sign-in.
async fn tokens_of(server: &TestServer, back: &Page) -> Value {
    let page = server.exchange(&back.answer("code").unwrap()).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.json()
}

async fn signed_in(person: &Person<'_>, parameters: &[(&str, &str)]) -> Value {
    tokens_of(person.server, &person.sign_in_with("jane@example.com", parameters).await).await
}

async fn userinfo(server: &TestServer, tokens: &Value) -> Value {
    let access = tokens["access_token"].as_str().unwrap();
    Page::of(server.http().get(format!("{}/userinfo", server.url)).bearer_auth(access).send().await.unwrap())
        .await
        .json()
}

#[tokio::test]
async fn userinfo_by_get_by_post_with_header_and_by_post_with_body_says_the_same() {
    let server = TestServer::with(JANE).await;
    let tokens = signed_in(&server.person(), &[]).await;
    let (url, access) = (format!("{}/userinfo", server.url), tokens["access_token"].as_str().unwrap());
    let by_get = Page::of(server.http().get(&url).bearer_auth(access).send().await.unwrap()).await;
    let by_header = Page::of(server.http().post(&url).bearer_auth(access).send().await.unwrap()).await;
    let by_body = server.post("/userinfo", &[("access_token", access)]).await;
    for page in [&by_get, &by_header, &by_body] {
        assert_eq!((page.status, page.header("content-type")), (200, "application/json"), "{}", page.body);
        assert_eq!(page.json(), by_get.json());
        assert_eq!(page.json()["sub"], claims(&tokens["id_token"])["sub"]);
    }
    // RFC 6750 §2.3 is not offered: a token in a URL ends up in logs.
    assert_eq!(server.get(&format!("/userinfo?access_token={access}")).await.status, 401);
}

#[tokio::test]
async fn the_nonce_comes_back_and_is_left_out_where_there_was_none() {
    let server = TestServer::start().await;
    let person = server.person();
    let with = signed_in(&person, &[("nonce", "n-0S6_WzA2Mj")]).await;
    assert_eq!(claims(&with["id_token"])["nonce"], "n-0S6_WzA2Mj");
    let without = tokens_of(&server, &person.authorize(&[]).await).await;
    assert!(claims(&without["id_token"]).get("nonce").is_none());
}

#[tokio::test]
async fn all_standard_scopes_are_taken_in_any_order_and_the_answer_says_what_was_granted() {
    let server = TestServer::with(JANE).await;
    let person = server.person();
    signed_in(&person, &[]).await;
    for (scope, granted) in [
        ("openid profile email address phone", "openid profile email"),
        ("phone email openid address profile", "email openid profile"),
        ("openid phone", "openid"),
        ("email openid", "email openid"),
    ] {
        let tokens = tokens_of(&server, &person.authorize(&[("scope", scope)]).await).await;
        assert_eq!(tokens["scope"], granted);
        let told = userinfo(&server, &tokens).await;
        assert_eq!(told.get("email").is_some(), granted.contains("email"), "{scope}: {told}");
        for claim in ["name", "given_name", "family_name", "picture", "locale"] {
            assert_eq!(told.get(claim).is_some(), granted.contains("profile"), "{scope}: {claim}: {told}");
        }
    }
}

#[tokio::test]
async fn single_claims_are_told_where_they_were_asked_for_essential_or_not() {
    let server = TestServer::with(JANE).await;
    let person = server.person();
    let asked = json!({
        "id_token": { "auth_time": { "essential": true }, "picture": null },
        "userinfo": { "name": { "essential": true }, "locale": null, "website": { "essential": true } },
    })
    .to_string();
    let tokens = signed_in(&person, &[("scope", "openid"), ("claims", &asked)]).await;
    let id_token = claims(&tokens["id_token"]);
    assert_eq!(id_token["picture"], "https://example.com/jane.png");
    assert!(id_token["auth_time"].is_i64() && id_token.get("name").is_none(), "{id_token}");
    let told = userinfo(&server, &tokens).await;
    // What is not known is left out, even where it was essential.
    assert_eq!(told, json!({ "sub": id_token["sub"], "name": "Jane Doe", "locale": "de" }));
}

#[tokio::test]
async fn display_locales_and_acr_values_never_keep_anybody_from_signing_in() {
    let server = TestServer::start().await;
    let person = server.person();
    for (name, value) in [
        ("display", "page"),
        ("display", "popup"),
        ("display", "touch"),
        ("display", "hologram"),
        ("ui_locales", "se fr-CA"),
        ("claims_locales", "se"),
        ("acr_values", "1 2"),
        ("extra", "foobar"),
        ("login_hint", "buffy@example.com"),
    ] {
        let sign_in = person.start_with(&[(name, value), ("prompt", "login")]).await;
        person.post(&format!("{sign_in}/restart"), &[]).await;
        person.post(&format!("{sign_in}/email"), &[("email", "jane@example.com")]).await;
        let back = person.enter_code(&sign_in, &server.code_for("jane@example.com").await).await;
        assert!(back.answer("code").is_some(), "{name}={value}: {}", back.body);
        server.advance_s(61);
    }
}

#[tokio::test]
async fn a_silent_answer_keeps_subject_and_time_of_the_proof() {
    let server = TestServer::start().await;
    let person = server.person();
    let first = claims(&signed_in(&person, &[]).await["id_token"]);
    server.advance_s(100);
    for parameters in [vec![("prompt", "none")], vec![("max_age", "10000")], vec![]] {
        let again = tokens_of(&server, &person.authorize(&parameters).await).await;
        let again = claims(&again["id_token"]);
        assert_eq!((&again["sub"], &again["auth_time"]), (&first["sub"], &first["auth_time"]));
        assert!(again["iat"].as_i64().unwrap() >= first["iat"].as_i64().unwrap() + 100);
    }
}

#[tokio::test]
async fn max_age_asks_for_a_new_proof_and_auth_time_tells_of_it() {
    let server = TestServer::start().await;
    let person = server.person();
    let first = claims(&signed_in(&person, &[]).await["id_token"]);
    server.advance_s(2);
    assert_eq!(
        person.authorize(&[("max_age", "1"), ("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
    let second = claims(&signed_in(&person, &[("max_age", "1")]).await["id_token"]);
    assert_eq!(second["sub"], first["sub"]);
    assert_eq!(second["auth_time"].as_i64().unwrap(), first["auth_time"].as_i64().unwrap() + 2);
}

#[tokio::test]
async fn a_redirect_uri_with_more_or_less_than_what_is_registered_is_refused() {
    let server = TestServer::with(
        "strict_redirects = true\nredirect_uris = [\"https://app.example.com/cb?tenant=7\"]",
    )
    .await;
    for uri in [
        "https://app.example.com/cb",
        "https://app.example.com/cb?tenant=7&more=1",
        "https://app.example.com/cb?tenant=8",
        "https://app.example.com/cb/?tenant=7",
        "https://app.example.com/CB?tenant=7",
        "https://app.example.com:443/cb?tenant=7",
    ] {
        let page = server.person().authorize(&[("redirect_uri", uri)]).await;
        assert_eq!((page.status, page.location), (400, None), "{uri}");
    }
    let whole = [("redirect_uri", "https://app.example.com/cb?tenant=7"), ("prompt", "none")];
    let back = server.person().authorize(&whole).await.location.unwrap();
    assert!(back.starts_with("https://app.example.com/cb?tenant=7&error=login_required&"), "{back}");
}

#[tokio::test]
async fn an_authorization_request_by_post_signs_in() {
    let server = TestServer::start().await;
    let person = server.person();
    let form = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email"),
        ("nonce", "by-post"),
        ("login_hint", "jane@example.com"),
    ];
    let moved = person.post("/oauth/authorize", &form).await;
    assert_eq!(moved.status, 303);
    let sign_in = person.get(&moved.location.unwrap()).await.location.unwrap();
    let back = person.enter_code(&sign_in, &server.code_for("jane@example.com").await).await;
    assert_eq!(claims(&tokens_of(&server, &back).await["id_token"])["nonce"], "by-post");
}

#[tokio::test]
async fn clients_authenticate_by_every_method_that_discovery_names() {
    let server = TestServer::with(&format!(
        "[[clients]]\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\n[[clients]]\nclient_id = \"a:b c\"\nclient_secret = \"s&c r:e=t+\"\n[[clients]]\nclient_id = \"page\"\ntype = \"spa\"\n"
    ))
    .await;
    let metadata = server.get("/.well-known/openid-configuration").await.json();
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!(["client_secret_post", "client_secret_basic", "none"])
    );
    let person = server.person();
    let verifier = "a-verifier-that-is-long-enough-to-be-one-of-43";
    let challenge = {
        use base64::Engine as _;
        use sha2::Digest as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier))
    };
    let pkce = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    signed_in(&person, &[]).await;
    for (client_id, secret, by_basic) in [
        (CLIENT_ID, Some(CLIENT_SECRET), false),
        (CLIENT_ID, Some(CLIENT_SECRET), true),
        ("a:b c", Some("s&c r:e=t+"), false),
        // RFC 6749 §2.3.1: both are form-encoded before they are joined.
        ("a:b c", Some("s&c r:e=t+"), true),
        ("page", None, false),
    ] {
        let code = person
            .authorize(&[&pkce[..], &[("client_id", client_id)]].concat())
            .await
            .answer("code")
            .unwrap();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        let mut request = server.http().post(format!("{}/oauth/token", server.url));
        if by_basic {
            let encode =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encode(client_id), secret.map(encode));
        } else {
            form.push(("client_id", client_id));
            form.extend(secret.map(|s| ("client_secret", s)));
        }
        let page = Page::of(request.form(&form).send().await.unwrap()).await;
        assert_eq!(page.status, 200, "{client_id} {by_basic}: {}", page.body);
    }
}

#[tokio::test]
async fn metadata_names_what_the_specifications_demand_and_every_claim_that_tokens_carry() {
    let server = TestServer::with(JANE).await;
    let metadata = server.get("/.well-known/openid-configuration").await.json();
    // OpenID Connect Discovery 1.0 §3, what is REQUIRED.
    for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
        let url = metadata[name].as_str().unwrap();
        assert!(url.starts_with(&server.url) && !url.contains(['#', '?']), "{name}: {url}");
    }
    for (name, member) in [
        ("response_types_supported", "code"),
        ("subject_types_supported", "public"),
        ("id_token_signing_alg_values_supported", "RS256"),
        ("scopes_supported", "openid"),
        ("grant_types_supported", "authorization_code"),
        ("code_challenge_methods_supported", "S256"),
    ] {
        assert!(metadata[name].as_array().unwrap().contains(&json!(member)), "{name}");
    }
    assert_eq!(metadata["request_uri_parameter_supported"], false, "its default would be true");
    let tokens = signed_in(&server.person(), &[("nonce", "n")]).await;
    let supported = metadata["claims_supported"].as_array().unwrap();
    for claim in claims(&tokens["id_token"]).as_object().unwrap().keys() {
        assert!(supported.contains(&json!(claim)), "{claim}");
    }
    // Every prompt that is named has a meaning: none is refused as unknown.
    for prompt in metadata["prompt_values_supported"].as_array().unwrap() {
        let page = server.person().authorize(&[("prompt", prompt.as_str().unwrap())]).await;
        assert_ne!(page.answer("error").as_deref(), Some("invalid_request"), "{prompt}");
    }
}

#[tokio::test]
async fn metadata_of_an_issuer_with_a_path_is_found_in_both_ways() {
    let server = TestServer::start().await;
    let made = server.do_control("POST", "/environments", json!({ "name": "shop" })).await;
    let issuer = made["path_url"].as_str().unwrap();
    for path in [
        "/e/shop/.well-known/openid-configuration",
        "/e/shop/.well-known/oauth-authorization-server",
        // RFC 8414 §3.1: between host and path of the issuer.
        "/.well-known/oauth-authorization-server/e/shop",
        "/.well-known/openid-configuration/e/shop",
    ] {
        let page = server.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert_eq!(page.json()["issuer"], issuer, "{path}");
    }
    assert_eq!(server.get("/.well-known/oauth-authorization-server/e/nothing").await.status, 404);
}

#[tokio::test]
async fn keys_are_public_signing_keys_with_ids_of_their_own() {
    let server = TestServer::start().await;
    let keys = server.get("/keys").await.json();
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!(key["use"], "sig");
        assert!(key["kid"].is_string() && key["alg"].is_string());
        // Nothing of the private part.
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
}

#[tokio::test]
async fn a_token_of_one_kind_opens_nothing_that_another_opens() {
    let server = TestServer::start().await;
    let person = server.person();
    let tokens = signed_in(&person, &[]).await;
    let id_token = tokens["id_token"].as_str().unwrap();
    let as_access = server.http().get(format!("{}/userinfo", server.url)).bearer_auth(id_token);
    assert_eq!(as_access.send().await.unwrap().status().as_u16(), 401);
    let access = tokens["access_token"].as_str().unwrap();
    let as_hint = person.authorize(&[("prompt", "none"), ("id_token_hint", access)]).await;
    assert_eq!(as_hint.answer("error").as_deref(), Some("login_required"));
    let refused = person.get(&format!("/oidc/logout?id_token_hint={access}")).await;
    assert_eq!((refused.status, refused.location), (400, None));
}

#[tokio::test]
async fn a_hint_of_another_issuer_counts_for_nothing() {
    let server = TestServer::start().await;
    let made = server.do_control("POST", "/environments", json!({ "name": "other" })).await;
    let client_id = made["client_id"].as_str().unwrap();
    let elsewhere = {
        let url = format!("{}/_emulator/v1", made["path_url"].as_str().unwrap());
        let http = server.http();
        http.post(format!("{url}/users")).json(&json!({ "email": "jane@example.com" })).send().await.unwrap();
        let minted = http
            .post(format!("{url}/tokens"))
            .json(&json!({ "user": "jane@example.com", "client_id": client_id }))
            .send()
            .await
            .unwrap();
        Page::of(minted).await.json()
    };
    let hint = elsewhere["id_token"].as_str().unwrap();
    let person = server.person();
    person.sign_in("jane@example.com").await;
    // The keys are the same; the issuer is not.
    let page = person.authorize(&[("prompt", "none"), ("id_token_hint", hint)]).await;
    assert_eq!(page.answer("error").as_deref(), Some("login_required"), "{page:?}");
    assert_eq!(person.get(&format!("/oidc/logout?id_token_hint={hint}")).await.status, 400);
}

#[tokio::test]
async fn a_client_may_have_its_id_tokens_signed_by_es256_and_the_others_keep_theirs() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/keys").await.json()["keys"].as_array().unwrap().len(), 1);
    let person = server.person();
    let plain = signed_in(&person, &[]).await;
    // Asked for while the server runs: the key is made then.
    let client = json!({ "client_id": "elliptic", "client_secret": "test_elliptic", "id_token_signed_response_alg": "ES256" });
    server.do_control("POST", "/clients", client).await;
    let code = person.authorize(&[("client_id", "elliptic")]).await.answer("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", "elliptic"),
        ("client_secret", "test_elliptic"),
    ];
    let tokens = server.post("/oauth/token", &form).await.json();
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&server.get("/keys").await.body).unwrap();
    assert_eq!(keys.keys.len(), 2);
    for (token, algorithm, audience) in [
        (&tokens["id_token"], jsonwebtoken::Algorithm::ES256, "elliptic"),
        (&tokens["access_token"], jsonwebtoken::Algorithm::RS256, "elliptic"),
        (&plain["id_token"], jsonwebtoken::Algorithm::RS256, CLIENT_ID),
    ] {
        let token = token.as_str().unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        assert_eq!(header.alg, algorithm);
        let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(algorithm);
        validation.set_audience(&[audience]);
        assert!(jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok());
    }
    // Both kinds are believed where they come back.
    let hint = tokens["id_token"].as_str().unwrap();
    let again = person.authorize(&[("prompt", "none"), ("id_token_hint", hint)]).await;
    assert!(again.answer("code").is_some(), "{again:?}");
    assert_eq!(
        server.refused("POST", "/clients", json!({ "id_token_signed_response_alg": "none" })).await.0,
        400
    );
    // A server that starts with such a client has the key at once.
    let configured = TestServer::with(
        "[[clients]]\nclient_id = \"elliptic\"\nclient_secret = \"test_elliptic\"\nid_token_signed_response_alg = \"ES256\"\n",
    )
    .await;
    assert_eq!(configured.get("/keys").await.json()["keys"][1]["crv"], "P-256");
}

#[rstest]
#[tokio::test]
async fn everything_of_a_sign_in_names_the_issuer_that_it_began_under(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    // As with a browser's name and a container's: the application's server calls another of public_urls.
    let behind = server.url.replace("localhost", "127.0.0.1");
    let http = server.http();
    let post = async |path: &str, form: &[(&str, &str)]| {
        let mut all = vec![("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
        all.extend_from_slice(form);
        Page::of(http.post(format!("{behind}{path}")).form(&all).send().await.unwrap()).await.json()
    };
    let person = server.person();
    for parameters in [vec![], vec![("prompt", "none")]] {
        let back = if parameters.is_empty() {
            person.sign_in_with("jane@example.com", &[]).await
        } else {
            person.authorize(&parameters).await
        };
        assert_eq!(back.answer("iss").as_deref(), Some(server.url.as_str()));
        let code = back.answer("code").unwrap();
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
        let first = post("/oauth/token", &form).await;
        let refresh_token = first["refresh_token"].as_str().unwrap();
        let refreshed = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let second = post("/oauth/token", &refreshed).await;
        for tokens in [&first, &second] {
            assert_eq!(claims(&tokens["id_token"])["iss"], server.url.as_str());
            assert_eq!(claims(&tokens["access_token"])["iss"], server.url.as_str());
            let (access, hint) =
                (tokens["access_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap());
            for url in [&server.url, &behind] {
                let told = http.get(format!("{url}/userinfo")).bearer_auth(access).send().await.unwrap();
                assert_eq!(told.status().as_u16(), 200, "{url}");
                // A hint that is not believed would be a 400.
                let known = http.get(format!("{url}/oidc/logout?id_token_hint={hint}")).send().await.unwrap();
                assert_eq!(known.status().as_u16(), 200, "{url}");
            }
            assert_eq!(post("/oauth/introspect", &[("token", access)]).await["iss"], server.url.as_str());
        }
    }
    let own = Page::of(http.get(format!("{behind}/.well-known/openid-configuration")).send().await.unwrap());
    assert_eq!(own.await.json()["issuer"], behind.as_str());
}

#[tokio::test]
async fn a_refresh_after_the_url_changed_gives_tokens_that_the_server_still_knows() {
    let server = TestServer::start().await;
    let tokens = server.person().tokens("jane@example.com").await;
    let moved = server.beside("").await;
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let tokens = moved.token(&form).await.json();
    assert_eq!(claims(&tokens["id_token"])["iss"], moved.url.as_str());
    assert_eq!(userinfo(&moved, &tokens).await["sub"], claims(&tokens["id_token"])["sub"]);
}
