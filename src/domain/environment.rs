//! An environment: one isolated provider with its own clients, settings and users. Scalekit's word for what
//! other products call a tenant or a project. A process serves the default one and any number of isolated ones,
//! which testers make while it runs; every use case receives the one it works in.

use super::client::{Client, TRY_IT_CLIENT_ID};
use super::environment_name::{EnvironmentName, urls_of};
use super::host::{host_of, is_private};
use super::public_url::{FALLBACK_URL, PublicUrl};
use super::settings::{
    Branding, Limits, LoginHintMode, LogoutConfirm, MailFrom, ManagementSettings, Mode, PageSettings,
    PasswordlessSettings, SessionSettings, TestUsers, TokenSettings,
};
use super::token_template::TokenTemplate;

/// Identifier of the environment that exists when nothing else is configured.
pub const DEFAULT_ENVIRONMENT_ID: &str = "env_687000000000000001";

/// Everything about one environment that requests need to know and that configuration decides.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: String,
    /// `None`: the default one, which needs no name.
    pub name: Option<EnvironmentName>,
    pub mode: Mode,
    /// Base URLs under which this environment is reached, without a trailing slash. The first is the default.
    /// Issuers, links and redirects are built from these alone, and from a request's own words only where
    /// `issuer_from_host` says so.
    pub public_urls: Vec<PublicUrl>,
    /// May the `Host` of a request make a URL that is not among them, as long as it is one of one's own networks? For
    /// containers, whose port on the outside is known to nobody when they start.
    pub issuer_from_host: bool,
    /// In development mode, refuse loopback `http` redirect URIs that are not registered.
    pub strict_redirects: bool,
    pub clients: Vec<Client>,
    pub passwordless: PasswordlessSettings,
    pub login_hint: LoginHintMode,
    pub test_users: TestUsers,
    pub tokens: TokenSettings,
    pub token_template: TokenTemplate,
    pub sessions: SessionSettings,
    pub management: ManagementSettings,
    pub limits: Limits,
    pub branding: Branding,
    pub pages: PageSettings,
    /// Sender of every email.
    pub mail_from: MailFrom,
    /// Makes ids, codes, links and token ids repeatable.
    pub deterministic_seed: Option<String>,
    /// A demonstration: pages say so, and show the code that the email carries.
    pub demo: bool,
    /// How long the log of sign-ins is kept, in seconds; 0 keeps none.
    pub flows_keep_s: i64,
    /// How many requests the journal keeps; 0 keeps none.
    pub requests_keep: i64,
    /// Do some addresses cause faults? See [`super::fault::built_in`].
    pub fault_addresses: bool,
    pub logout_confirm: LogoutConfirm,
    /// Waits between the attempts of a delivery to an application, as a percentage of the usual ones.
    pub delivery_retry_percent: i64,
}

impl Environment {
    /// The client with this id, when it is registered here.
    pub fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.iter().find(|c| c.client_id == client_id)
    }

    /// What users see of this client: its name and branding, where it has one of its own, over the environment's.
    pub fn branding_of(&self, client_id: &str) -> Branding {
        match self.client(client_id).filter(|client| client.has_branding()) {
            Some(client) => Branding { name: client.name.clone(), ..self.branding.with(&client.branding) },
            None => self.branding.clone(),
        }
    }

    /// Clients of users' own: all but that of Try it.
    pub fn applications(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|c| c.client_id != TRY_IT_CLIENT_ID)
    }

    /// The application that examples are made for: the first confidential one, or else the first one.
    pub fn first_application(&self) -> Option<&Client> {
        self.applications().find(|c| !c.is_public()).or(self.applications().next())
    }

    /// The public client that applications without a secret are pointed to.
    pub fn first_public_client(&self) -> Option<&Client> {
        self.applications().find(|c| c.is_public())
    }

    /// Is this one of the environment's issuers? Any of its URLs is; tokens of all of them are its own.
    pub fn is_issuer(&self, issuer: &str) -> bool {
        let is_of_host = |url: PublicUrl| {
            self.urls_of_host(url.is_secure(), url.authority()).iter().any(|u| u.issuer() == issuer)
        };
        self.public_urls.iter().any(|u| u.issuer() == issuer)
            || PublicUrl::parse(issuer).is_ok_and(is_of_host)
    }

    /// The public URL a request belongs to: the one whose host and port it names, preferring its scheme,
    /// else the first one configured. `authority` is the request's `Host`; it chooses, and adds only where
    /// `issuer_from_host` says so.
    pub fn public_url_for(&self, secure: bool, authority: Option<&str>) -> PublicUrl {
        let wanted = authority.map(str::to_ascii_lowercase);
        let mut named = self.public_urls.iter().filter(|u| Some(u.authority()) == wanted.as_deref());
        let scheme = if secure { "https" } else { "http" };
        let first = named.next();
        named
            .chain(first)
            .find(|u| u.scheme() == scheme)
            .or(first)
            .cloned()
            .or_else(|| self.urls_of_host(secure, authority?).into_iter().next())
            .or_else(|| self.public_urls.first().cloned())
            .unwrap_or_else(|| FALLBACK_URL.clone())
    }

    /// The URLs to show to whoever asked under this one.
    pub fn urls_seen_from(&self, asked: &PublicUrl) -> Vec<PublicUrl> {
        let mut urls = self.urls_of_host(asked.is_secure(), asked.authority());
        urls.extend(self.public_urls.iter().filter(|url| !urls.contains(url)).cloned().collect::<Vec<_>>());
        urls
    }

    /// The URLs that a request's `Host` makes, where it may.
    fn urls_of_host(&self, secure: bool, authority: &str) -> Vec<PublicUrl> {
        if !self.issuer_from_host || !is_private(&host_of(authority)) {
            return vec![];
        }
        let scheme = if secure { "https" } else { "http" };
        let url = PublicUrl::parse(&format!("{scheme}://{authority}"));
        let Some(url) = url.ok().filter(|url| url.path().is_empty()) else { return vec![] };
        match &self.name {
            Some(name) if EnvironmentName::of_authority(authority).as_ref() != Some(name) => {
                // By path first: that is how the request came.
                urls_of(name, &[url]).into_iter().rev().collect()
            }
            _ => vec![url],
        }
    }
}
