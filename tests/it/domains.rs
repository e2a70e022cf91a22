//! Email domains of organizations by Scalekit's API.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::domains as pb;

use crate::support::grpc::{Wire, frame};
use crate::support::{Engine, TestServer};

async fn organization(server: &TestServer, external_id: &str) -> String {
    let fields = json!({ "display_name": external_id, "external_id": external_id });
    let made = server.do_api("POST", "/organizations", fields).await;
    made["organization"]["id"].as_str().unwrap().to_owned()
}

fn path_of(organization_id: &str) -> String {
    format!("/organizations/{organization_id}/domains")
}

async fn add(server: &TestServer, organization_id: &str, fields: Value) -> Value {
    server.do_api("POST", &path_of(organization_id), fields).await["domain"].clone()
}

/// The names that a list shows.
async fn listed(server: &TestServer, path: &str) -> Vec<String> {
    let list = server.do_api("GET", path, Value::Null).await;
    list["domains"].as_array().unwrap().iter().map(|d| d["domain"].as_str().unwrap().to_owned()).collect()
}

async fn domain_events(server: &TestServer) -> Vec<(String, Value)> {
    let store = server.database.open().await;
    let events = store.events(&server.app.id).await.unwrap().into_iter();
    let events = events.filter(|(event_type, _)| event_type.contains("domain"));
    events.map(|(event_type, data)| (event_type, serde_json::from_str(&data).unwrap())).collect()
}

#[rstest]
#[tokio::test]
async fn a_domain_is_added_read_listed_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let path = path_of(&acme);
    let empty = json!({ "page_size": 30, "page_number": 0, "domains": [] });
    assert_eq!(server.do_api("GET", &path, Value::Null).await, empty, "a new organization has none");

    let page = server.api("POST", &path, json!({ "domain": "ACME.com" })).await;
    assert_eq!(page.status, 200);
    let own = page.json()["domain"].clone();
    let id = own["id"].as_str().unwrap();
    assert!(id.starts_with("dom_") && id[4..].bytes().all(|b| b.is_ascii_digit()), "{id}");
    let expected = json!({
        "id": id, "domain": "acme.com", "environment_id": server.app.id, "organization_id": acme,
        "txt_record_key": "", "txt_record_secret": "", "domain_type": "ORGANIZATION_DOMAIN",
        "verification_status": "VERIFIED", "verification_method": "ADMIN",
        "create_time": own["create_time"], "update_time": own["create_time"],
    });
    assert_eq!(own, expected);
    server.advance_s(1);
    let allowed =
        add(&server, &acme, json!({ "domain": "acme.com", "domain_type": "ALLOWED_EMAIL_DOMAIN" })).await;
    assert_eq!(
        (&allowed["verification_status"], &allowed["verification_method"]),
        (&"AUTO_VERIFIED".into(), &"NOT_APPLICABLE".into())
    );
    let one = format!("{path}/{id}");
    assert_eq!(server.do_api("GET", &one, Value::Null).await["domain"], own);
    let all = server.do_api("GET", &path, Value::Null).await;
    assert_eq!(all["domains"], json!([own, allowed]), "oldest first");
    let filtered = format!("{path}?domain_type=ALLOWED_EMAIL_DOMAIN");
    assert_eq!(server.do_api("GET", &filtered, Value::Null).await["domains"], json!([allowed]));

    assert_eq!(server.do_api("DELETE", &one, Value::Null).await, json!({}));
    for verb in ["GET", "DELETE"] {
        let page = server.api(verb, &one, Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
    let events = domain_events(&server).await;
    let types: Vec<&str> = events.iter().map(|(event_type, _)| event_type.as_str()).collect();
    assert_eq!(
        types,
        ["organization.domain_created", "organization.domain_created", "organization.domain_deleted"]
    );
    let data = &events[2].1;
    assert_eq!(
        (&data["id"], &data["domain"], &data["organization_id"]),
        (&own["id"], &own["domain"], &acme.into())
    );
}

#[tokio::test]
async fn grpc_finds_the_organization_by_the_applications_own_id_too() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let token = format!("Bearer {}", server.client_token().await);
    let created = pb::CreateDomainRequest {
        identities: Some(pb::create_domain_request::Identities::ExternalId("acme".into())),
        domain: Some(pb::CreateDomain { domain: "acme.com".into(), domain_type: 0 }),
        connection_id: None,
    };
    let service = "/scalekit.v1.domains.DomainService";
    let headers = [("authorization", token.as_str())];
    let answer =
        server.call_with(Wire::H2c, &format!("{service}/CreateDomain"), frame(&created), &headers).await;
    let domain = answer.message::<pb::CreateDomainResponse>().domain.unwrap();
    assert_eq!((domain.organization_id.as_str(), domain.domain.as_str()), (acme.as_str(), "acme.com"));
    let listed = pb::ListDomainRequest {
        identities: Some(pb::list_domain_request::Identities::ExternalId("acme".into())),
        ..pb::ListDomainRequest::default()
    };
    let answer =
        server.call_with(Wire::H2c, &format!("{service}/ListDomains"), frame(&listed), &headers).await;
    assert_eq!(answer.message::<pb::ListDomainResponse>().domains, [domain]);
    let nobodys = pb::ListDomainRequest::default();
    let answer =
        server.call_with(Wire::H2c, &format!("{service}/ListDomains"), frame(&nobodys), &headers).await;
    assert_eq!(answer.refusal(), (3, "INVALID_ARGUMENT".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_field_and_changes_nothing() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let other = organization(&server, "other").await;
    add(&server, &acme, json!({ "domain": "acme.com" })).await;
    let own = path_of(&acme);
    let named = |name: &str| json!({ "domain": name });
    let nobody = path_of("org_1");
    let (big, negative) = (format!("{own}?page_size=-1"), format!("{own}?page_number=-1"));
    let unknown_type = format!("{own}?domain_type=9");
    for (verb, path, body, status, error_code, field) in [
        ("POST", &own, json!({}), 400, "INVALID_ARGUMENT", "domain.domain"),
        ("POST", &own, named("a.b"), 400, "INVALID_ARGUMENT", "domain.domain"),
        ("POST", &own, named(&"a.".repeat(128)), 400, "INVALID_ARGUMENT", "domain.domain"),
        ("POST", &own, named("invalid-domain-name"), 400, "INVALID_ARGUMENT", "domain.domain"),
        ("POST", &own, named("https://acme.com"), 400, "INVALID_ARGUMENT", "domain.domain"),
        ("POST", &own, named("gmail.com"), 400, "DISPOSABLE_OR_PUBLIC_EMAIL", "domain.domain"),
        ("POST", &own, named("Mailinator.com"), 400, "DISPOSABLE_OR_PUBLIC_EMAIL", "domain.domain"),
        ("POST", &own, named("acme.com"), 400, "INVALID_ARGUMENT", "domain.domain"),
        ("POST", &path_of(&other), named("ACME.COM"), 400, "INVALID_ARGUMENT", "domain.domain"),
        (
            "POST",
            &own,
            json!({ "domain": "b.com", "domain_type": 9 }),
            400,
            "INVALID_ARGUMENT",
            "domain.domain_type",
        ),
        ("POST", &nobody, named("b.com"), 404, "NOT_FOUND", ""),
        ("GET", &nobody, Value::Null, 404, "NOT_FOUND", ""),
        ("GET", &big, Value::Null, 400, "INVALID_ARGUMENT", "page_size"),
        ("GET", &negative, Value::Null, 400, "INVALID_ARGUMENT", "page_number"),
        ("GET", &unknown_type, Value::Null, 400, "INVALID_ARGUMENT", "domain_type"),
    ] {
        let refused = server.refused_api(verb, path, body.clone()).await;
        assert_eq!(refused, (status, error_code.to_owned(), field.to_owned()), "{verb} {path} {body}");
    }
    assert_eq!(listed(&server, &own).await, ["acme.com"]);
    assert_eq!(listed(&server, &path_of(&other)).await, Vec::<String>::new());
    assert_eq!(domain_events(&server).await.len(), 1);
}

#[tokio::test]
async fn a_domain_of_another_organization_is_not_found() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let other = organization(&server, "other").await;
    let domain = add(&server, &acme, json!({ "domain": "acme.com" })).await;
    let path = format!("{}/{}", path_of(&other), domain["id"].as_str().unwrap());
    for verb in ["GET", "DELETE"] {
        assert_eq!(server.refused_api(verb, &path, Value::Null).await.0, 404, "{verb}");
    }
    assert_eq!(listed(&server, &path_of(&acme)).await, ["acme.com"]);
    server.do_api("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    add(&server, &other, json!({ "domain": "acme.com" })).await;
}

#[tokio::test]
async fn pages_are_numbered_from_zero_and_tell_their_size() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    for number in 0..5 {
        add(&server, &acme, json!({ "domain": format!("acme-{number}.com") })).await;
        server.advance_s(1);
    }
    let path = path_of(&acme);
    for (query, names, size, number) in [
        ("page_size=2", vec!["acme-0.com", "acme-1.com"], 2, 0),
        ("page_size=2&page_number=1", vec!["acme-2.com", "acme-3.com"], 2, 1),
        ("page_size=2&page_number=2", vec!["acme-4.com"], 2, 2),
        ("page_size=2&page_number=2147483647", vec![], 2, i32::MAX),
        ("page_size=0&page_number=1", vec![], 30, 1),
        (
            "page_size=1000",
            vec!["acme-0.com", "acme-1.com", "acme-2.com", "acme-3.com", "acme-4.com"],
            100,
            0,
        ),
    ] {
        let list = server.do_api("GET", &format!("{path}?{query}"), Value::Null).await;
        assert_eq!((&list["page_size"], &list["page_number"]), (&size.into(), &number.into()), "{query}");
        assert_eq!(listed(&server, &format!("{path}?{query}")).await, names, "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn of_a_hundred_parallel_creations_of_one_domain_one_goes_well(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let organizations = [organization(&server, "acme").await, organization(&server, "other").await];
    let creations = (0..100).map(|number| {
        let path = path_of(&organizations[number % 2]);
        let server = &server;
        async move { server.api("POST", &path, json!({ "domain": "acme.com" })).await.status }
    });
    let outcomes = join_all(creations).await;
    let (created, refused): (Vec<u16>, Vec<u16>) = outcomes.into_iter().partition(|status| *status == 200);
    assert_eq!((created.len(), refused), (1, vec![400; 99]));
    assert_eq!(domain_events(&server).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn configured_domains_come_back_with_a_reset_and_all_come_back_with_a_snapshot(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = "[[organizations]]\nid = \"org_100000000000000001\"\ndisplay_name = \"Acme\"\n\
        domains = [\"Acme.com\"]\nallowed_email_domains = [\"acme.com\", \"acme.org\"]\n";
    let Some(server) = TestServer::on(engine, toml).await else { return };
    let path = path_of("org_100000000000000001");
    let list = async || server.do_api("GET", &path, Value::Null).await["domains"].clone();
    let seeded = list().await;
    let name_and_type =
        |domain: &Value| format!("{} {}", domain["domain"], domain["domain_type"]).replace('"', "");
    let mut names: Vec<String> = seeded.as_array().unwrap().iter().map(name_and_type).collect();
    names.sort();
    assert_eq!(
        names,
        ["acme.com ALLOWED_EMAIL_DOMAIN", "acme.com ORGANIZATION_DOMAIN", "acme.org ALLOWED_EMAIL_DOMAIN"]
    );
    let gone = seeded[0]["id"].as_str().unwrap();
    server.do_api("DELETE", &format!("{path}/{gone}"), Value::Null).await;
    add(&server, "org_100000000000000001", json!({ "domain": "passing.com" })).await;
    let changed = list().await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    assert_eq!(snapshot["domains"].as_array().unwrap().len(), 3);
    server.do_control("POST", "/reset", json!({})).await;
    assert_eq!(list().await, seeded);
    server.do_control("PUT", "/snapshot", snapshot.clone()).await;
    assert_eq!(list().await, changed);
    let mut wrong = snapshot;
    wrong["domains"][0]["domain"] = "Acme.com".into();
    assert_eq!(server.refused("PUT", "/snapshot", wrong).await, (400, "domains[0].domain".into()));

    // A seed has the same domains at every start; one that another organization has by now stays there.
    let beside = server.beside(toml).await;
    let shown = beside.do_api("GET", &path, Value::Null).await["domains"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 4);
}
