//! A browser as far as sign-ins need one: it keeps cookies and stops where the application would be called.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;

/// A browser that began a sign-in.
#[derive(Clone)]
pub(super) struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    /// The page that it shows.
    page: Url,
}

/// What came of a code.
pub(super) enum Entered {
    /// Where the browser is sent: the application's callback with its parameters.
    Callback(String),
    /// The page is shown again.
    Refused,
}

impl Browser {
    /// Goes where an application sends its users, with the address as its hint.
    pub(super) async fn begin(authorization_url: &Url, email: &str) -> anyhow::Result<Self> {
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let mut browser = Self { http, cookies: BTreeMap::new(), page: authorization_url.clone() };
        let request = browser.http.get(authorization_url.clone());
        let shown = browser.send(request).await?;
        let Some(page) = browser.target(&shown) else {
            bail!(
                "the authorization request is refused ({}): {}",
                shown.status(),
                excerpt(&shown.text().await?)
            );
        };
        if browser.id().is_none() {
            bail!("the browser is sent to {page}: the application is told the outcome at once");
        }
        // Whether the email is sent at once is a setting (login_hint).
        let request = browser.http.get(page.clone());
        let page_shown = browser.send(request).await?;
        let html = page_shown.text().await?;
        if html.contains("/email\"") && !html.contains("/code\"") {
            let form = [("email", email)];
            let request = browser.http.post(format!("{page}/email")).form(&form);
            browser.send(request).await?;
        }
        Ok(browser)
    }

    /// The `auth_request_id`, which is in the address of the page.
    pub(super) fn id(&self) -> Option<String> {
        let (_, rest) = self.page.path().split_once("/login/")?;
        Some(rest.split('/').next().unwrap_or_default().to_owned())
    }

    pub(super) fn page(&self) -> &str {
        self.page.as_str()
    }

    /// Enters a code on the page.
    pub(super) async fn enter(&mut self, code: &str) -> anyhow::Result<Entered> {
        let id = self.id().context("the browser shows no sign-in page")?;
        let request = self.http.post(format!("{}/code", self.page)).form(&[("code", code)]);
        let answer = self.send(request).await?;
        let page = self.page.clone();
        let target = self.target(&answer);
        // The next code is entered on the same page.
        self.page = page;
        Ok(match target {
            Some(target) if !target.path().contains(&format!("/login/{id}")) => {
                Entered::Callback(target.to_string())
            }
            _ => Entered::Refused,
        })
    }

    /// Where an answer sends the browser, which goes there.
    fn target(&mut self, answer: &Response) -> Option<Url> {
        let is_redirect = matches!(answer.status(), StatusCode::FOUND | StatusCode::SEE_OTHER);
        let location = answer.headers().get(LOCATION).filter(|_| is_redirect)?.to_str().ok()?;
        self.page = self.page.join(location).ok()?;
        Some(self.page.clone())
    }

    async fn send(&mut self, request: RequestBuilder) -> anyhow::Result<Response> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await?;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        Ok(answer)
    }
}

/// The text of a page, in a line.
fn excerpt(html: &str) -> String {
    // What stands before the first tag, and behind the end of each.
    let text = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = text.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_by_its_text() {
        assert_eq!(
            excerpt("<h1 class=\"a\">Invalid\n request</h1><p>Not <b>this</b>.</p>"),
            "Invalid request Not this ."
        );
    }
}
