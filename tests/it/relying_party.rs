//! A foreign relying party as judge: the `openidconnect` crate, unmodified.

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, Scope,
    TokenResponse as _, UserInfoClaims,
};
use openidconnect::{EmptyAdditionalClaims, HttpRequest, HttpResponse, core::CoreGenderClaim};

use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, TestServer};

/// The crate's requests, sent by the client that the tests have anyway.
async fn send(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let (parts, body) = request.into_parts();
    let mut outgoing = client.request(parts.method, parts.uri.to_string()).body(body);
    for (name, value) in &parts.headers {
        outgoing = outgoing.header(name, value);
    }
    let response = outgoing.send().await?;
    let mut answer = HttpResponse::new(Vec::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    *answer.body_mut() = response.bytes().await?.to_vec();
    Ok(answer)
}

type Party = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

async fn discovered(server: &TestServer) -> Party {
    let issuer = IssuerUrl::new(server.url.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &send).await.unwrap();
    let (id, secret) = (ClientId::new(CLIENT_ID.into()), ClientSecret::new(CLIENT_SECRET.into()));
    CoreClient::from_provider_metadata(metadata, id, Some(secret))
        .set_redirect_uri(RedirectUrl::new(CALLBACK.into()).unwrap())
}

#[tokio::test]
async fn the_openidconnect_crate_signs_a_person_in_and_believes_every_token() {
    let server = TestServer::start().await;
    let client = discovered(&server).await;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, csrf, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("email".into()))
        .add_scope(Scope::new("offline_access".into()))
        .set_pkce_challenge(challenge)
        .url();

    let person = server.person();
    let sign_in = person.get(url.as_str()).await.location.unwrap();
    person.post(&format!("{sign_in}/email"), &[("email", "jane@example.com")]).await;
    let code = server.code_for("jane@example.com").await;
    let back = person.enter_code(&sign_in, &code).await;
    assert_eq!(back.answer("state").as_deref(), Some(csrf.secret().as_str()));

    let code = AuthorizationCode::new(back.answer("code").unwrap());
    let tokens =
        client.exchange_code(code).unwrap().set_pkce_verifier(verifier).request_async(&send).await.unwrap();
    let id_token = tokens.id_token().unwrap();
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, &nonce).unwrap();
    assert_eq!(claims.email().unwrap().as_str(), "jane@example.com");
    let hash = AccessTokenHash::from_token(
        tokens.access_token(),
        id_token.signing_alg().unwrap(),
        id_token.signing_key(&verifier).unwrap(),
    );
    assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));

    let subject = claims.subject().clone();
    let info: UserInfoClaims<EmptyAdditionalClaims, CoreGenderClaim> = client
        .user_info(tokens.access_token().clone(), Some(subject))
        .unwrap()
        .request_async(&send)
        .await
        .unwrap();
    assert_eq!(info.email().unwrap().as_str(), "jane@example.com");
    let renewed = client
        .exchange_refresh_token(tokens.refresh_token().unwrap())
        .unwrap()
        .request_async(&send)
        .await
        .unwrap();
    assert!(renewed.refresh_token().is_some());
    report(&["discovery", "PKCE", "nonce", "at_hash", "UserInfo", "refresh"]);
}

/// Notes what the library did, for tests/rp/table.mjs.
fn report(did: &[&str]) {
    let Some(folder) = std::env::var_os("VESTIBULE_RP_REPORT") else { return };
    let lock = include_str!("../../Cargo.lock");
    let version =
        lock.split("name = \"openidconnect\"\nversion = \"").nth(1).unwrap().split('"').next().unwrap();
    let row =
        serde_json::json!({ "library": "openidconnect", "language": "Rust", "version": version, "did": did });
    let file = std::path::Path::new(&folder).join("openidconnect.json");
    std::fs::write(file, row.to_string()).unwrap();
}
