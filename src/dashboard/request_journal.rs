//! The request journal: what applications asked for, and what of it is not emulated.

use std::time::Duration;

use actix_web::{HttpRequest, web};

use super::blocks::{Block, Cell, Fact, Form, FormState, Row, Section, Table};
use super::listing::PAGE_SIZE;
use super::{DashboardContext, PageResult, application_name, error_page, one, page};
use crate::domain::fault::grpc_name;
use crate::domain::request_journal::RequestKind;
use crate::domain::scalekit_api::by_grpc_path;
use crate::domain::shell::quoted;
use crate::http::params;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::request_journal::{self, NotEmulatedCalls, RecordedRequest, RequestFilter};

const HERE: &str = "/dashboard/requests";

/// `GET /dashboard/requests`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let query = params::query(&request).unwrap_or_default();
    let (path, client_id) = (one(&query, "path").to_owned(), one(&query, "client_id").to_owned());
    let offset = one(&query, "from").parse().unwrap_or(0);
    let filter = RequestFilter {
        path: Some(path.clone()).filter(|path| !path.is_empty()),
        client_id: Some(client_id.clone()).filter(|id| !id.is_empty()),
        after: None,
        offset,
        limit: PAGE_SIZE + 1,
    };
    let mut found = request_journal::list(&context, &filter, Duration::ZERO).await;
    let has_more = found.len() > PAGE_SIZE;
    found.truncate(PAGE_SIZE);
    let next = has_more.then(|| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("path", &path)
            .append_pair("client_id", &client_id)
            .append_pair("from", &(offset + PAGE_SIZE).to_string())
            .finish();
        context.path(&format!("{HERE}?{query}"))
    });
    let mut page = page(&context, &request, HERE, "Requests");
    page.lead =
        Some("The last requests of your applications to this environment, without their secrets.".to_owned());
    let not_emulated: Vec<Block> = request_journal::not_emulated(&context)
        .iter()
        .map(|calls| Block::Text(not_emulated_text(&context, calls)))
        .collect();
    if !not_emulated.is_empty() {
        page.sections.push(Section::new("Not emulated", not_emulated));
    }
    let form_state = FormState::default();
    let fields = vec![
        form_state.search("filter", "path", "Path", path.as_str()).hint("* matches any characters."),
        form_state.search("filter", "client_id", "Client ID", client_id.as_str()),
    ];
    let form = Form::get("Filter", context.path(HERE), fields, "Show");
    let table = if found.is_empty() {
        empty(&context, filter.path.is_some() || filter.client_id.is_some())
    } else {
        let rows = found.iter().map(|request| row(&context, request)).collect();
        Block::Table(Table {
            columns: &["Request", "Application", "Response", "Error", "Duration", "Time"],
            rows,
        })
    };
    page.sections.push(Section::new("Requests", vec![Block::Form(form), table, Block::Pager { next }]));
    Ok(super::show(page))
}

fn empty(context: &Context, is_filtered: bool) -> Block {
    let (title, text) = if context.environment.requests_keep == 0 {
        ("Not kept", "The setting requests.keep is 0, so no requests are kept.")
    } else if is_filtered {
        ("No results", "No request matches the filter. Clear it to see everything.")
    } else {
        ("No requests yet", "Use your application, then reload this page.")
    };
    Block::Empty { title: title.to_owned(), text: text.to_owned() }
}

fn row(context: &Context, request: &RecordedRequest) -> Row {
    let what = if request.kind == RequestKind::Grpc {
        request.path.clone()
    } else {
        format!("{} {}", request.method, request.path)
    };
    let error = request.error.map(str::to_owned);
    let fault = request.fault.as_ref().map(|fault| format!("fault {fault}"));
    Row::new(vec![
        Cell::link(what, context.path(&format!("{HERE}/{}", request.id()))),
        Cell::text(application_name(context, request.client_id.as_deref().unwrap_or_default())),
        Cell::verdict(status_text(request), is_fine(request)),
        Cell::text(error.into_iter().chain(fault).collect::<Vec<_>>().join(", ")),
        Cell::text(format!("{} ms", request.duration.as_millis())),
        Cell::time(request.at_ms),
    ])
}

fn status_text(request: &RecordedRequest) -> String {
    match (request.grpc_status, request.status) {
        (Some(status), _) => grpc_name(status).to_owned(),
        (None, Some(status)) => status.to_string(),
        (None, None) => "Disconnected".to_owned(),
    }
}

fn is_fine(request: &RecordedRequest) -> bool {
    request.error.is_none()
        && request.grpc_status.unwrap_or_default() == 0
        && request.status.is_some_and(|status| status < 400)
}

fn not_emulated_text(context: &Context, calls: &NotEmulatedCalls) -> String {
    let who = match &calls.client_id {
        Some(id) => application_name(context, id).to_owned(),
        None => "An application".to_owned(),
    };
    let times = match calls.times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    };
    format!("{who} called {} {times}, which is not emulated.", calls.name)
}

/// `GET /dashboard/requests/{id}`
pub async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let shown = request_journal::show(&context, &id).ok_or_else(|| {
        let text = "This request is no longer in the journal, which keeps the last ones alone".to_owned();
        error_page(&request, ControlError::NotFound(text))
    })?;
    let mut page = page(&context, &request, HERE, &format!("{} {}", shown.method, shown.path));
    let mut facts = vec![
        Fact::text("Response", status_text(&shown)),
        Fact::text("Application", application_name(&context, shown.client_id.as_deref().unwrap_or_default())),
        Fact::time("Time", shown.at_ms),
        Fact::text("Duration", format!("{} ms", shown.duration.as_millis())),
        Fact::code("Request ID", shown.request_id.as_str()),
    ];
    let more = [
        ("Route", shown.route.clone()),
        ("Error", shown.error.map(str::to_owned)),
        ("Fault", shown.fault.clone()),
        ("Not emulated", shown.not_emulated.clone()),
    ];
    facts.extend(more.into_iter().filter_map(|(name, text)| Some(Fact::text(name, text?))));
    page.sections.push(Section::new("", vec![Block::Facts(facts)]));
    page.sections.extend(parameters(&shown));
    if let Some(curl) = curl(context.issuer(), &shown) {
        let text = "Values that were not kept are written in capital letters.";
        let blocks = vec![Block::Text(text.to_owned()), Block::Facts(vec![Fact::code("curl", curl)])];
        page.sections.push(Section::new("Repeat it", blocks));
    }
    Ok(super::show(page))
}

fn parameters(request: &RecordedRequest) -> Option<Section> {
    let known = &request.parameters.known;
    let rows = known.iter().map(|parameter| {
        let value = parameter.value.clone().unwrap_or_else(|| "[redacted]".to_owned());
        Row::new(vec![Cell::text(parameter.name), Cell::text(value)])
    });
    let mut rows: Vec<Row> = rows.collect();
    if request.parameters.others > 0 {
        let text = "unknown names, not kept";
        rows.push(Row::new(vec![
            Cell::text(format!("{} more", request.parameters.others)),
            Cell::text(text),
        ]));
    }
    let table = Table { columns: &["Parameter", "Value"], rows };
    (!table.rows.is_empty()).then(|| Section::new("Parameters", vec![Block::Table(table)]))
}

/// The request for a shell. `None`: it was a gRPC call that REST does not have.
fn curl(issuer: &str, request: &RecordedRequest) -> Option<String> {
    let (method, path) = match request.kind {
        RequestKind::Grpc => {
            let binding = by_grpc_path(&request.path)?.bindings.first()?;
            (binding.verb, binding.path)
        }
        _ => (request.method.as_str(), request.path.as_str()),
    };
    let mut words = vec!["curl".to_owned()];
    let sends_query = matches!(method, "GET" | "HEAD");
    words.push(if sends_query { "-G".to_owned() } else { format!("-X {}", word(method)) });
    words.push(word(&format!("{issuer}{path}")));
    if matches!(request.kind, RequestKind::Grpc | RequestKind::Rest) {
        words.push("-H 'Authorization: Bearer TOKEN'".to_owned());
    }
    for parameter in &request.parameters.known {
        let value = parameter.value.clone().unwrap_or_else(|| parameter.name.to_uppercase());
        words.push(format!("--data-urlencode {}", word(&format!("{}={value}", parameter.name))));
    }
    Some(words.join(" "))
}

/// A word of a shell, as it is where nothing in it means anything.
fn word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    quoted(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request_journal::RecordedParameters;

    fn recorded(kind: RequestKind, method: &str, path: &str, pairs: &[(&str, &str)]) -> RecordedRequest {
        let mut parameters = RecordedParameters::default();
        for (name, value) in pairs {
            parameters.add(name, value);
        }
        RecordedRequest {
            number: 1,
            request_id: String::new(),
            at_ms: 0,
            kind,
            method: method.to_owned(),
            path: path.to_owned(),
            route: None,
            client_id: None,
            parameters,
            status: Some(200),
            grpc_status: None,
            duration: Duration::ZERO,
            error: None,
            fault: None,
            not_emulated: None,
        }
    }

    #[test]
    fn a_request_is_repeated_by_curl_with_placeholders_for_what_was_not_kept() {
        let form = [("grant_type", "authorization_code"), ("code", "secret")];
        let token = recorded(RequestKind::Oauth, "POST", "/oauth/token", &form);
        assert_eq!(
            curl("http://localhost:6870", &token).unwrap(),
            "curl -X POST http://localhost:6870/oauth/token --data-urlencode 'grant_type=authorization_code' \
             --data-urlencode 'code=CODE'"
        );
        let rest = recorded(RequestKind::Rest, "GET", "/api/v1/users/usr_1", &[("page_size", "5")]);
        assert_eq!(
            curl("http://localhost:6870/e/a", &rest).unwrap(),
            "curl -G http://localhost:6870/e/a/api/v1/users/usr_1 -H 'Authorization: Bearer TOKEN' \
             --data-urlencode 'page_size=5'"
        );
    }

    #[test]
    fn a_grpc_call_is_repeated_by_rest() {
        let call = recorded(RequestKind::Grpc, "POST", "/scalekit.v1.users.UserService/GetUser", &[]);
        assert_eq!(
            curl("http://localhost:6870", &call).unwrap(),
            "curl -G 'http://localhost:6870/api/v1/users/{id}' -H 'Authorization: Bearer TOKEN'"
        );
        assert!(curl("http://localhost:6870", &recorded(RequestKind::Grpc, "POST", "/a.B/C", &[])).is_none());
    }

    #[test]
    fn no_word_of_a_stranger_means_anything_to_the_shell() {
        let hostile = [("scope", "'; rm -rf $HOME #"), ("prompt", "`id`")];
        let text =
            curl("http://localhost:6870", &recorded(RequestKind::Oauth, "GET", "/oauth/authorize", &hostile));
        let text = text.unwrap();
        assert!(text.contains(r"'scope='\''; rm -rf $HOME #'") && text.contains("'prompt=`id`'"), "{text}");
    }
}
