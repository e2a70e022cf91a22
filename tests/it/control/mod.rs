//! The control plane, as test authors use it.

mod clock;
mod contract;
mod dashboard;
mod dashboard_curl;
mod dashboard_management;
mod environments;
mod faults;
mod flows;
mod inbox;
mod lost_updates;
mod requests;
mod sign_in;
mod state;
mod tokens;
mod users;

use serde_json::Value;

use crate::support::TestServer;
use crate::support::person::Page;

/// Calls of the control API.
impl TestServer {
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Page {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http().request(method, format!("{}/_emulator/v1{path}", self.url));
        if !body.is_null() {
            request = request.json(&body);
        }
        Page::of(request.send().await.unwrap()).await
    }

    /// A call that has to do what it is asked for.
    pub async fn do_control(&self, method: &str, path: &str, body: Value) -> Value {
        let page = self.control(method, path, body).await;
        assert!((200..300).contains(&page.status), "{method} {path}: {} {}", page.status, page.body);
        if page.body.is_empty() { Value::Null } else { page.json() }
    }

    /// The sessions of the users whose addresses contain this, as Scalekit's API lists them.
    pub async fn sessions_of(&self, email: &str) -> Vec<Value> {
        let query: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
        let found = self.do_control("GET", &format!("/api/users:search?query={query}"), Value::Null).await;
        let mut sessions = vec![];
        for user in found["users"].as_array().unwrap() {
            let path = format!("/api/users/{}/sessions", user["id"].as_str().unwrap());
            let listed = self.do_control("GET", &path, Value::Null).await;
            sessions.extend(listed["sessions"].as_array().unwrap().clone());
        }
        sessions
    }

    /// A call that has to be refused, with the first field it names.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let page = self.control(method, path, body).await;
        let problem = page.json();
        assert_eq!(page.header("content-type"), "application/problem+json", "{}", page.body);
        assert_eq!(problem["status"], page.status);
        let field = problem["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
        (page.status, field)
    }
}
