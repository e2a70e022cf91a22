//! A request's view of the provider.

use std::sync::Arc;

use super::{EnvironmentRegistry, EnvironmentRuntime, EnvironmentSelector, EnvironmentSnapshot};
use crate::crypto::server_secret::ServerSecret;
use crate::domain::clock::{Clock as _, UnixMs};
use crate::domain::entropy::Entropy;
use crate::domain::environment::Environment;
use crate::domain::host::{can_be_rebound, host_of};
use crate::domain::ids::{IdKind, new_id};
use crate::domain::public_url::PublicUrl;
use crate::storage::Store;

/// A request's view of the provider: which environment it is in and under which URL it came.
#[derive(Clone)]
pub struct Context {
    pub registry: EnvironmentRegistry,
    pub runtime: Arc<EnvironmentRuntime>,
    pub live: Arc<EnvironmentSnapshot>,
    pub environment: Arc<Environment>,
    pub public_url: PublicUrl,
}

impl Context {
    pub fn now_ms(&self) -> UnixMs {
        self.runtime.clock.now_ms()
    }

    /// The time at which tokens are dated.
    pub fn token_date_ms(&self) -> UnixMs {
        self.runtime.clock.token_date_ms()
    }

    pub fn entropy(&self) -> &dyn Entropy {
        &*self.live.randomness.entropy
    }

    pub fn secret(&self) -> &ServerSecret {
        &self.live.secret
    }

    pub fn store(&self) -> &Store {
        &self.runtime.server.store
    }

    pub fn environment_id(&self) -> &str {
        &self.runtime.id
    }

    pub fn issuer(&self) -> &str {
        self.public_url.issuer()
    }

    /// A path of ours as browsers have to ask for it: with the environment's prefix.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.path())
    }

    /// Came this request by a name that a stranger could have pointed here (DNS rebinding), while a client's secret is
    /// known to everybody? A page under that name has the same origin as this server, and would be such a client.
    /// `authority` is the request's `Host`.
    pub fn is_misdirected(&self, authority: Option<&str>) -> bool {
        let Some(host) = authority.map(host_of).filter(|host| can_be_rebound(host)) else { return false };
        let is_ours = self.environment.public_urls.iter().any(|url| url.host() == host);
        let default_uses =
            || self.registry.get().is_some_and(|runtime| runtime.live().uses_well_known_secret());
        !is_ours && (self.live.uses_well_known_secret() || default_uses())
    }

    pub fn new_id(&self, kind: IdKind) -> String {
        new_id(kind, self.live.randomness.id_time_ms(self.now_ms()), self.entropy())
    }

    /// Ids for many things made at once.
    pub fn many_ids(&self, kind: IdKind) -> impl FnMut() -> String {
        let now_ms = self.now_ms();
        let mut count = 0;
        move || {
            count += 1;
            new_id(kind, self.live.randomness.id_time_ms(now_ms + count), self.entropy())
        }
    }

    /// An id for an email, greater than every earlier one of this process, whatever became of the clock.
    pub fn new_message_id(&self) -> String {
        let time_ms = self.live.randomness.id_time_ms(self.runtime.clock.machine_ms());
        self.runtime.mail.message_ids.next(IdKind::Message, time_ms, self.entropy())
    }

    /// An id for an event, greater than every earlier one of this process, whatever became of the clock. By the machine's
    /// clock, so that it is greater than those of earlier processes too.
    pub fn new_event_id(&self) -> String {
        let time_ms = self.live.randomness.id_time_ms(self.runtime.clock.machine_ms());
        self.live.randomness.event_ids.next(IdKind::Event, time_ms, self.entropy())
    }

    /// This request in another environment: with its default URL.
    pub fn in_environment(&self, runtime: Arc<EnvironmentRuntime>) -> Self {
        self.registry.context_of(
            runtime,
            EnvironmentSelector { over_tls: self.public_url.is_secure(), ..EnvironmentSelector::default() },
        )
    }
}
