//! What happened in sign-ins, as text.

use serde_json::Value;

use super::control_client::{ControlClient, ControlClientError};
use super::remote::escaped;

/// How many timelines are told at once.
const MOST: usize = 10;

/// Sign-ins that did not succeed.
const UNFINISHED: &str = "INITIATED,PENDING,FAILED";

/// The timelines of all sign-ins that did not succeed, in the environment and in the isolated ones beside it; empty where
/// there are none.
pub(super) async fn of_unfinished(control: &ControlClient) -> Result<String, ControlClientError> {
    let environments = control.get("/environments").await?;
    let mut told = vec![];
    let mut total = 0;
    for environment in environments["environments"].as_array().into_iter().flatten() {
        let name = environment["name"].as_str();
        let url = environment["path_url"].as_str().filter(|_| name.is_some());
        let control =
            url.map_or_else(|| control.clone(), |url| control.of_environment(&beside(control, url)));
        let found = control.get(&format!("/flows?status={UNFINISHED}&page_size={MOST}")).await?;
        total += usize::try_from(found["total"].as_i64().unwrap_or_default()).unwrap_or_default();
        for flow in found["flows"].as_array().into_iter().flatten() {
            if told.len() < MOST {
                told.push(timeline(&control, flow["id"].as_str().unwrap_or_default(), name).await?);
            }
        }
    }
    if told.is_empty() {
        return Ok(String::new());
    }
    let count = if total == 1 { "1 sign-in".to_owned() } else { format!("{total} sign-ins") };
    let more = if total > told.len() { format!(" The last {} of them:", told.len()) } else { String::new() };
    Ok(format!("\nvestibule: {count} did not succeed.{more}\n\n{}", told.join("\n")))
}

/// An environment's URL by path, at the address by which the server was reached.
fn beside(control: &ControlClient, path_url: &str) -> String {
    match path_url.find("/e/") {
        Some(at) => format!("{}{}", control.base(), &path_url[at..]),
        None => path_url.to_owned(),
    }
}

/// The timeline of one sign-in.
pub(super) async fn timeline(
    control: &ControlClient,
    id: &str,
    environment: Option<&str>,
) -> Result<String, ControlClientError> {
    let flow = control.get(&format!("/flows/{}", escaped(id))).await?;
    Ok(render(&flow, environment))
}

/// A sign-in with its steps, each with its time and what was decided.
fn render(flow: &Value, environment: Option<&str>) -> String {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or("?").to_owned();
    let mut said = format!(
        "  {} at {}{}: {}. {}\n",
        flow["email"].as_str().unwrap_or("somebody without an address yet"),
        text(flow, "client_id"),
        environment.map(|name| format!(" in environment {name}")).unwrap_or_default(),
        text(flow, "status"),
        text(flow, "why"),
    );
    for step in flow["steps"].as_array().into_iter().flatten() {
        let time = text(step, "at");
        // The day is today's.
        let time = time.split('T').nth(1).unwrap_or(&time).trim_end_matches('Z');
        let (name, verdict) = (text(step, "name"), text(step, "verdict"));
        said.push_str(&format!("    {time}  {name:<9} {verdict:<8} {}\n", text(step, "text")));
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timeline_reads_line_by_line() {
        let flow = json!({ "id": "req_1", "email": "jane@example.com", "client_id": "skc_1", "status": "FAILED",
            "why": "Wrong code: attempt 5 of 5.", "steps": [
                { "at": "2030-01-01T10:00:00.000Z", "name": "authorize", "verdict": "ok", "text": "Request accepted." },
                { "at": "2030-01-01T10:00:01.500Z", "name": "code", "verdict": "refused", "text": "Wrong code: attempt 5 of 5." } ] });
        assert_eq!(
            render(&flow, Some("a")),
            "  jane@example.com at skc_1 in environment a: FAILED. Wrong code: attempt 5 of 5.\n\
             \x20   10:00:00.000  authorize ok       Request accepted.\n\
             \x20   10:00:01.500  code      refused  Wrong code: attempt 5 of 5.\n"
        );
    }
}
