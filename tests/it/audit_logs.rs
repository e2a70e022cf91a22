//! Scalekit's authentication log, by REST and gRPC.

use vestibule::api::pb::scalekit::v1::auditlogs::{ListAuthLogRequest, ListAuthLogResponse};

use crate::support::TestServer;
use crate::support::person::Page;

const REST: &str = "/api/v1/logs/authentication/requests";
const GRPC: &str = "/scalekit.v1.auditlogs.AuditLogsService/ListAuthRequests";

async fn rest(server: &TestServer, query: &str) -> Page {
    let token = server.client_token().await;
    let request = server.http().get(format!("{}{REST}?{query}", server.url)).bearer_auth(token);
    Page::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn sign_ins_are_listed_alike_by_rest_and_grpc() {
    let server = TestServer::start().await;
    server.person().tokens("jane@example.com").await;
    server.advance_s(1);
    server.person().start("bob@example.com").await;
    server.advance_s(1);
    server.person().authorize(&[]).await;
    let all = rest(&server, "").await.json();
    let statuses: Vec<&str> =
        all["authRequests"].as_array().unwrap().iter().map(|e| e["status"].as_str().unwrap()).collect();
    assert_eq!((statuses, &all["total_size"]), (vec!["INITIATED", "PENDING", "SUCCESS"], &3.into()));
    let jane = rest(&server, "status=success&email=Jane@example.com").await.json();
    let entry = &jane["authRequests"][0];
    assert_eq!(
        (&entry["connection_type"], &entry["client_type"]),
        (&"PASSWORDLESS".into(), &"WEB_APP".into())
    );
    let asked = ListAuthLogRequest { status: vec!["SUCCESS".into()], ..ListAuthLogRequest::default() };
    let grpc: ListAuthLogResponse = server.call(GRPC, &asked).await.message();
    assert_eq!(grpc.auth_requests[0].auth_request_id, entry["auth_request_id"].as_str().unwrap());
    assert_eq!(grpc.total_size, 1);
    assert!(rest(&server, "resource_id=res_1").await.json()["authRequests"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn the_log_is_paged_and_bounded_in_time() {
    let server = TestServer::start().await;
    for number in 0..5 {
        server.person().start(&format!("p{number}@example.com")).await;
        server.advance_s(60);
    }
    let second = rest(&server, "page_size=2&page_token=2").await.json();
    assert_eq!((&second["prev_page_token"], &second["next_page_token"]), (&"1".into(), &"3".into()));
    assert_eq!(second["authRequests"][0]["email"], "p2@example.com");
    let at = second["authRequests"][0]["timestamp"].as_str().unwrap();
    let until = rest(&server, &format!("end_time={at}")).await.json();
    assert_eq!(until["total_size"], 3);
    assert_eq!(rest(&server, "page_size=2&page_token=3").await.json()["next_page_token"], "");
}

#[tokio::test]
async fn bad_filters_are_named_and_the_log_is_for_clients_alone() {
    let server = TestServer::start().await;
    for (query, field) in [
        ("status=odd", "status"),
        ("page_token=x", "page_token"),
        ("page_size=-1", "page_size"),
        ("start_time=soon", "start_time"),
    ] {
        let page = rest(&server, query).await;
        assert_eq!(page.status, 400, "{query}");
        let violations = &page.json()["details"][0]["validation_error_info"]["field_violations"];
        assert_eq!(violations[0]["field"], field, "{query}");
    }
    assert_eq!(server.get(REST).await.status, 401);
    let asked = ListAuthLogRequest { status: vec!["odd".into()], ..ListAuthLogRequest::default() };
    assert_eq!(server.call(GRPC, &asked).await.status(), 3);
}
