//! A person with a browser, and the application they sign in to.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Response, redirect};
use serde_json::Value;

use super::{CALLBACK, CLIENT_ID, CLIENT_SECRET, TestServer};

/// What a browser shows after a request.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
    pub url: String,
}

impl Page {
    pub async fn of(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            location: response.headers().get("location").map(|l| l.to_str().unwrap().to_owned()),
            headers: response.headers().clone(),
            url: response.url().to_string(),
            body: response.text().await.unwrap(),
        }
    }

    /// The one heading.
    pub fn heading(&self) -> String {
        let document = scraper::Html::parse_document(&self.body);
        let selector = scraper::Selector::parse("h1").unwrap();
        let found: Vec<String> = document.select(&selector).map(|h| h.text().collect::<String>()).collect();
        assert_eq!(found.len(), 1, "one heading in {}", self.body);
        found[0].trim().to_owned()
    }

    /// What is said in alarm beside a form.
    pub fn alert(&self) -> String {
        let document = scraper::Html::parse_document(&self.body);
        let selector = scraper::Selector::parse("[role=alert]").unwrap();
        document.select(&selector).map(|a| a.text().collect::<String>()).collect::<String>().trim().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// A parameter of the address the browser is sent to.
    pub fn answer(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(self.location.as_deref()?).unwrap();
        url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

/// A browser with its cookies, which follows no redirect by itself.
pub struct Person<'s> {
    pub server: &'s TestServer,
    pub browser: Client,
}

/// Made once: reading the system's certificates takes longer than the deadline of a handshake where fifty do it at once.
/// No connection is kept, since it would belong to the runtime of the test that opened it.
static HTTP: LazyLock<Client> = LazyLock::new(|| {
    Client::builder().redirect(redirect::Policy::none()).pool_max_idle_per_host(0).build().unwrap()
});

impl TestServer {
    /// A person with a fresh browser.
    pub fn person(&self) -> Person<'_> {
        let browser =
            Client::builder().cookie_store(true).redirect(redirect::Policy::none()).build().unwrap();
        Person { server: self, browser }
    }

    /// An HTTP client without cookies, with a connection of its own for each request.
    #[expect(clippy::unused_self, reason = "tests ask the server for it")]
    pub fn http(&self) -> Client {
        HTTP.clone()
    }

    pub async fn get(&self, path: &str) -> Page {
        Page::of(self.http().get(format!("{}{path}", self.url)).send().await.unwrap()).await
    }

    /// `POST` of a form without cookies.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let http = self.http();
        let page = Page::of(http.post(format!("{}{path}", self.url)).form(form).send().await.unwrap()).await;
        // The dashboard leads to the page that answers a form.
        match page.location.as_deref().filter(|l| l.contains("/dashboard/result/")) {
            Some(result) => Page::of(http.get(result).send().await.unwrap()).await,
            None => page,
        }
    }

    /// A token request of the default client.
    pub async fn token(&self, form: &[(&str, &str)]) -> Page {
        let mut all = vec![("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
        all.extend_from_slice(form);
        self.post("/oauth/token", &all).await
    }

    /// Exchanges a code, as the default client.
    pub async fn exchange(&self, code: &str) -> Page {
        self.token(&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)]).await
    }

    /// The newest email to an address.
    pub async fn mail_to(&self, address: &str) -> Value {
        let response = self
            .http()
            .get(format!("{}/_emulator/v1/messages/latest", self.url))
            .query(&[("to", address), ("wait_ms", "5000")])
            .send()
            .await
            .unwrap();
        let page = Page::of(response).await;
        assert_eq!(page.status, 200, "no email to {address}: {}", page.body);
        page.json()
    }

    /// All emails to an address, newest first.
    pub async fn mails_to(&self, address: &str) -> Vec<Value> {
        let response = self
            .http()
            .get(format!("{}/_emulator/v1/messages", self.url))
            .query(&[("to", address)])
            .send()
            .await
            .unwrap();
        Page::of(response).await.json()["messages"].as_array().unwrap().clone()
    }

    pub async fn code_for(&self, address: &str) -> String {
        self.mail_to(address).await["code"].as_str().unwrap().to_owned()
    }

    pub async fn link_for(&self, address: &str) -> String {
        self.mail_to(address).await["link"].as_str().unwrap().to_owned()
    }
}

impl Person<'_> {
    pub async fn get(&self, address: &str) -> Page {
        Page::of(self.browser.get(self.absolute(address)).send().await.unwrap()).await
    }

    /// Sends a form. A refused one leads back to a page that says why, which is what the person sees.
    pub async fn post(&self, address: &str, form: &[(&str, &str)]) -> Page {
        let page = self.send(address, form).await;
        let leads_back = |l: &&str| {
            (l.contains("/login/") || l.contains("/dashboard/"))
                && ["?error=", "?link_token=", "/dashboard/result/"].iter().any(|mark| l.contains(mark))
        };
        match page.location.as_deref().filter(leads_back) {
            Some(back) => self.get(back).await,
            None => page,
        }
    }

    /// Sends a form; the answer itself.
    pub async fn send(&self, address: &str, form: &[(&str, &str)]) -> Page {
        Page::of(self.browser.post(self.absolute(address)).form(form).send().await.unwrap()).await
    }

    fn absolute(&self, address: &str) -> String {
        if address.starts_with("http") { address.to_owned() } else { format!("{}{address}", self.server.url) }
    }

    /// Opens `/oauth/authorize` with these parameters over the usual ones; an empty value takes one away.
    pub async fn authorize(&self, parameters: &[(&str, &str)]) -> Page {
        let mut all: HashMap<&str, &str> = HashMap::from([
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("scope", "openid profile email offline_access"),
            ("state", "af0ifjsldkj"),
        ]);
        all.extend(parameters.iter().copied());
        all.retain(|_, v| !v.is_empty());
        let request = self.browser.get(format!("{}/oauth/authorize", self.server.url)).query(&all);
        Page::of(request.send().await.unwrap()).await
    }

    /// Starts a sign-in for an address; returns the address of its page.
    pub async fn start(&self, address: &str) -> String {
        self.start_with(&[("login_hint", address)]).await
    }

    pub async fn start_with(&self, parameters: &[(&str, &str)]) -> String {
        let page = self.authorize(parameters).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let location = page.location.unwrap();
        assert!(location.contains("/login/"), "{location}");
        location
    }

    /// Enters a code on a sign-in's page. Refused, it leads back to a page of the sign-in.
    pub async fn enter_code(&self, sign_in: &str, code: &str) -> Page {
        let page = self.send(&format!("{sign_in}/code"), &[("code", code)]).await;
        match page.location.as_deref().filter(|l| l.contains("/login/")) {
            Some(back) => self.get(back).await,
            None => page,
        }
    }

    /// A whole sign-in by code; returns the redirect to the application.
    pub async fn sign_in_with(&self, address: &str, parameters: &[(&str, &str)]) -> Page {
        let mut all = vec![("login_hint", address)];
        all.extend_from_slice(parameters);
        let sign_in = self.start_with(&all).await;
        let code = self.server.code_for(address).await;
        let page = self.enter_code(&sign_in, &code).await;
        assert_eq!(page.status, 303, "{}", page.body);
        page
    }

    /// A whole sign-in by code; returns the authorization code.
    pub async fn sign_in(&self, address: &str) -> String {
        self.sign_in_with(address, &[]).await.answer("code").unwrap()
    }

    /// A whole sign-in and the exchange of its code; returns the token response.
    pub async fn tokens(&self, address: &str) -> Value {
        let code = self.sign_in(address).await;
        let page = self.server.exchange(&code).await;
        assert_eq!(page.status, 200, "{}", page.body);
        page.json()
    }
}

/// The claims of a token, unverified.
pub fn claims(token: &Value) -> Value {
    part(token, 1)
}

/// The header of a token.
pub fn header(token: &Value) -> Value {
    part(token, 0)
}

fn part(token: &Value, index: usize) -> Value {
    let text = token.as_str().unwrap().split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// A code that is surely not this one.
pub fn other_than(code: &str) -> String {
    let last = if code.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &code[..code.len() - 1])
}
