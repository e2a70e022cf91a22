//! Breaking things on purpose.

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::connections::ListConnectionsRequest;

use crate::support::person::{claims, header};
use crate::support::{CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

async fn client_token(server: &TestServer) -> crate::support::person::Page {
    server.token(&[("grant_type", "client_credentials")]).await
}

#[tokio::test]
async fn the_nth_token_request_fails_with_an_oauth_error_as_often_as_asked() {
    let server = TestServer::start().await;
    let rule = json!({ "match": { "method": "POST", "path": "/oauth/token" }, "nth": 2, "count": 1,
        "effect": { "kind": "oauth_error", "error": "temporarily_unavailable", "status": 503 } });
    let made = server.do_control("POST", "/faults", rule).await;
    let mut seen = vec![];
    for _ in 0..3 {
        let page = client_token(&server).await;
        seen.push((page.status, page.header("x-vestibule-fault").to_owned()));
    }
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(seen, [(200, String::new()), (503, id.clone()), (200, String::new())]);
    let list = server.do_control("GET", "/faults", Value::Null).await;
    assert_eq!((&list["faults"][0]["matched"], &list["faults"][0]["fired"]), (&3.into(), &1.into()));
    server.do_control("DELETE", &format!("/faults/{id}"), Value::Null).await;
    assert_eq!(server.refused("DELETE", &format!("/faults/{id}"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn counts_hold_over_all_servers_of_a_database() {
    let Some(server) = TestServer::on(Engine::Postgres, "").await else { return };
    let other = server.beside("").await;
    let rule =
        json!({ "match": { "path": "/keys" }, "count": 3, "effect": { "kind": "status", "status": 500 } });
    server.do_control("POST", "/faults", rule).await;
    let mut broken = 0;
    for _ in 0..4 {
        for at in [&server, &other] {
            broken += u32::from(at.get("/keys").await.status == 500);
        }
    }
    assert_eq!(broken, 3);
}

#[tokio::test]
async fn rules_outlive_a_restart_and_hold_from_the_first_request_on() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "a" })).await;
    let rule = json!({ "effect": { "kind": "status", "status": 418 } });
    let made = server.http().post(format!("{}/e/a/_emulator/v1/faults", server.url)).json(&rule).send().await;
    assert_eq!(made.unwrap().status(), 201);
    let restarted = server.beside("").await;
    assert_eq!(restarted.get("/e/a/keys").await.status, 418);
    assert_eq!(restarted.get("/keys").await.status, 200);
}

#[tokio::test]
async fn a_connection_is_reset_and_a_body_breaks_off() {
    let server = TestServer::start().await;
    let reset = json!({ "match": { "path": "/keys" }, "count": 1, "effect": { "kind": "connection_reset" } });
    server.do_control("POST", "/faults", reset).await;
    let failed = server.http().get(format!("{}/keys", server.url)).send().await;
    assert!(failed.is_err(), "an answer came: {failed:?}");
    let truncated = json!({ "match": { "path": "/keys" }, "count": 1, "effect": { "kind": "truncated_body", "bytes": 10 } });
    server.do_control("POST", "/faults", truncated).await;
    let broken = server.http().get(format!("{}/keys", server.url)).send().await.unwrap();
    assert_eq!(broken.status(), 200);
    assert!(broken.bytes().await.is_err(), "the whole body came");
    assert_eq!(server.get("/keys").await.status, 200);
}

#[tokio::test]
async fn latency_is_waited_for_and_the_answer_says_so() {
    let server = TestServer::start().await;
    let made = server
        .do_control("POST", "/faults", json!({ "match": { "path": "/keys" }, "latency_ms": 150 }))
        .await;
    let begun = std::time::Instant::now();
    let page = server.get("/keys").await;
    assert_eq!((page.status, page.header("x-vestibule-fault")), (200, made["id"].as_str().unwrap()));
    assert!(begun.elapsed().as_millis() >= 150);
}

#[tokio::test]
async fn tokens_come_out_spoilt_in_every_way_and_verifiers_notice() {
    let server = TestServer::start().await;
    for (fault, failing) in [
        ("wrong_issuer", "issuer"),
        ("bad_signature", "signature"),
        ("expired", "expiry"),
        ("unknown_kid", "signature"),
    ] {
        let rule = json!({ "count": 1, "effect": { "kind": "token", "fault": fault } });
        server.do_control("POST", "/faults", rule).await;
        let token = client_token(&server).await.json()["access_token"].clone();
        let decoded = server.do_control("POST", "/tokens/decode", json!({ "token": token })).await;
        assert_eq!(decoded["valid"], false, "{fault}");
        let checks = decoded["checks"].as_array().unwrap();
        assert!(checks.iter().any(|c| c["name"] == failing && c["ok"] == false), "{fault}: {decoded}");
        if fault == "unknown_kid" {
            assert!(!server.get("/keys").await.body.contains(header(&token)["kid"].as_str().unwrap()));
        }
    }
    let good = client_token(&server).await.json()["access_token"].clone();
    assert_eq!(claims(&good)["iss"], server.url.as_str());
}

#[tokio::test]
async fn grpc_calls_get_the_status_asked_for_and_http_is_spared() {
    let server = TestServer::start().await;
    let rule = json!({ "match": { "grpc": "*ConnectionService/ListConnections" },
        "effect": { "kind": "grpc_status", "code": "UNAVAILABLE", "message": "on purpose" } });
    server.do_control("POST", "/faults", rule).await;
    let path = "/scalekit.v1.connections.ConnectionService/ListConnections";
    let (status, message, info) = server.call(path, &ListConnectionsRequest::default()).await.error();
    assert_eq!((status, message.as_str()), (14, "on purpose"));
    assert!(!info.error_code.is_empty(), "every refusal carries details, or one SDK crashes");
    assert_eq!(client_token(&server).await.status, 200);
}

#[tokio::test]
async fn the_control_api_is_never_broken() {
    let server = TestServer::start().await;
    server.do_control("POST", "/faults", json!({ "effect": { "kind": "connection_reset" } })).await;
    assert!(server.http().get(format!("{}/keys", server.url)).send().await.is_err());
    assert_eq!(server.do_control("DELETE", "/faults", Value::Null).await["deleted"], 1);
    assert_eq!(server.get("/keys").await.status, 200);
}

#[rstest]
#[tokio::test]
async fn addresses_cause_outcomes_on_the_pages(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let page = person.start("ada+vb-expired@example.com").await;
    let late = person.enter_code(&page, &server.code_for("ada+vb-expired@example.com").await).await;
    assert!(late.status == 400 && late.body.contains("expired"), "{}", late.body);
    let link = person.get(&server.link_for("ada+vb-expired@example.com").await).await;
    assert_eq!(link.status, 410);

    let person = server.person();
    let page = person.start("ada+vb-limited@example.com").await;
    assert!(server.mails_to("ada+vb-limited@example.com").await.is_empty());
    let limited = person.post(&format!("{page}/email"), &[("email", "ada+vb-limited@example.com")]).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "60"), "{}", limited.body);

    server.person().start("Ada+VB-mailfail@example.com").await;
    let mail = server.mail_to("ada+vb-mailfail@example.com").await;
    assert_eq!(mail["delivery_error"], "refused by fault vb-mailfail");

    let person = server.person();
    let denied = person.sign_in_with("ada+vb-denied@example.com", &[]).await;
    assert_eq!(denied.answer("error").as_deref(), Some("access_denied"));
    assert!(denied.answer("code").is_none() && denied.header("set-cookie").is_empty());

    let flows = server.do_control("GET", "/flows?email=vb-", Value::Null).await;
    let whys: Vec<_> =
        flows["flows"].as_array().unwrap().iter().map(|flow| flow["why"].as_str().unwrap()).collect();
    assert!(whys.iter().any(|why| why.contains("the fault vb-denied denies it")), "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("not delivered")), "{whys:?}");
}

#[tokio::test]
async fn addresses_cause_outcomes_by_api() {
    let server = TestServer::start().await;
    let token = server.client_token().await;
    let call = async |what: &str, body: Value| {
        let url = format!("{}/api/v1/passwordless/email/{what}", server.url);
        let page = server.http().post(url).bearer_auth(&token).json(&body).send().await.unwrap();
        let page = crate::support::person::Page::of(page).await;
        (page.status, page.json())
    };
    let code = |body: &Value| body["details"][0]["error_code"].clone();
    let send = async |address: &str| {
        let magic_link = "http://localhost:3000/verify";
        call("send", json!({ "email": address, "magiclink_auth_uri": magic_link })).await
    };
    let (status, body) = send("ada+vb-limited@example.com").await;
    assert_eq!((status, code(&body)), (429, "RATE_LIMITED".into()), "{body}");
    for (address, status, error) in [
        ("ada+vb-expired@example.com", 400, "AUTH_REQUEST_EXPIRED"),
        ("ada+vb-denied@example.com", 403, "PERMISSION_DENIED"),
    ] {
        let (sent, body) = send(address).await;
        assert_eq!(sent, 200, "{body}");
        let proof =
            json!({ "auth_request_id": body["auth_request_id"], "code": server.code_for(address).await });
        let (refused, body) = call("verify", proof).await;
        assert_eq!((refused, code(&body)), (status, error.into()), "{body}");
    }
}

#[tokio::test]
async fn a_slow_address_is_slow_and_others_are_not() {
    let server = TestServer::start().await;
    let (slow, quick) = (server.person(), server.person());
    let started =
        tokio::time::timeout(std::time::Duration::from_millis(300), slow.start("ada+vb-slow@example.com"));
    assert!(started.await.is_err(), "it takes three seconds");
    quick.start("ada@example.com").await;
}

#[tokio::test]
async fn addresses_are_switched_off_by_a_setting_and_on_the_page_of_faults() {
    let server = TestServer::start().await;
    let list = server.do_control("GET", "/faults", Value::Null).await;
    let built_in = list["built_in"].as_array().unwrap();
    let ids: Vec<_> = built_in.iter().map(|fault| fault["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["vb-expired", "vb-limited", "vb-mailfail", "vb-slow", "vb-denied"]);
    assert!(built_in.iter().all(|fault| fault["enabled"] == true) && list["faults"] == json!([]));
    let page = server.get("/dashboard/faults").await.body;
    assert!(page.contains("*+vb-expired*@*") && page.contains("Turn off"), "{page}");
    server.post("/dashboard/faults/addresses", &[("addresses", "off")]).await;
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await["faults"]["addresses"], false);
    assert!(server.get("/dashboard/faults").await.body.contains("Turn on"));
    let done = server.person().sign_in_with("ada+vb-denied@example.com", &[]).await;
    assert!(done.answer("code").is_some(), "{:?}", done.location);
    server.post("/dashboard/faults/addresses", &[("addresses", "on")]).await;
    let denied = server.person().sign_in_with("ada+vb-denied@example.com", &[]).await;
    assert_eq!(denied.answer("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn rules_of_ones_own_do_the_same_for_any_address() {
    let server = TestServer::start().await;
    let rule = |to: &str, outcome: &str| json!({ "match": { "to": to }, "count": 1, "effect": { "kind": "sign_in", "outcome": outcome } });
    let made = server.do_control("POST", "/faults", rule("*@acme.test", "denied")).await;
    let denied = server.person().sign_in_with("jane@acme.test", &[]).await;
    assert_eq!(denied.answer("error").as_deref(), Some("access_denied"));
    let told = server.do_control("GET", "/requests?path=/login/{id}/code", Value::Null).await;
    assert_eq!(
        (&told["requests"][0]["fault"], &told["requests"][0]["error"]),
        (&made["id"], &"access_denied".into())
    );
    assert!(server.person().sign_in_with("jane@acme.test", &[]).await.answer("code").is_some(), "once");
    let form = [("to", "*@acme.test"), ("effect", "sign_in_limited"), ("path", "/oauth/token")];
    assert_eq!(server.post("/dashboard/faults", &form).await.status, 303);
    server.person().start("bob@acme.test").await;
    assert!(server.mails_to("bob@acme.test").await.is_empty());
    let list = server.do_control("GET", "/faults", Value::Null).await;
    assert_eq!(list["faults"][1]["match"], json!({ "to": "*@acme.test" }), "{list}");
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_by_field() {
    let server = TestServer::start().await;
    for (rule, field) in [
        (json!({}), "effect"),
        (json!({ "effect": { "kind": "explode" } }), "effect.kind"),
        (json!({ "nth": 0, "latency_ms": 1 }), "nth"),
        (json!({ "probability": 2, "latency_ms": 1 }), "probability"),
        (json!({ "match": { "pth": "/x" }, "latency_ms": 1 }), "match.pth"),
        (json!({ "effect": { "kind": "status", "status": 99 } }), "effect.status"),
    ] {
        let (status, named) = server.refused("POST", "/faults", rule.clone()).await;
        assert_eq!((status, named.as_str()), (400, field), "{rule}");
    }
    assert!(server.do_control("GET", "/faults", Value::Null).await["faults"].as_array().unwrap().is_empty());
    assert!(!CLIENT_ID.is_empty() && !CLIENT_SECRET.is_empty());
}
