//! Clients between configuration, storage and use: their secrets are sealed where they are stored.

use secrecy::{ExposeSecret as _, SecretString};

use super::StartError;
use crate::crypto::at_rest::AtRest;
use crate::domain::client::{Client, ClientKind, ClientSecret};
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::Mode;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::storage::{ClientChanges, ClientRecord, ClientSecretRecord, StoreError};

/// What secrets are sealed as.
const CLIENT_SECRET: &str = "client secret";

/// How many characters of a secret may be shown.
const SUFFIX: usize = 4;

/// Seals and opens the secrets of clients.
#[derive(Clone, Copy)]
pub struct ClientSeal<'a> {
    pub(super) at_rest: &'a AtRest,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) mode: Mode,
}

impl ClientSeal<'_> {
    /// Clients as stored, ready to be used.
    pub fn open_all(&self, records: &[ClientRecord]) -> Result<Vec<Client>, StartError> {
        records.iter().map(|record| self.open(record)).collect()
    }

    fn open(&self, record: &ClientRecord) -> Result<Client, StartError> {
        let unreadable = || StoreError::Unreadable("client");
        let algorithm =
            SigningAlgorithm::ALL.into_iter().find(|a| a.as_str() == record.id_token_signed_response_alg);
        Ok(Client {
            client_id: record.id.clone(),
            name: record.name.clone(),
            kind: match record.kind.as_str() {
                "web" => ClientKind::Web { secrets: self.open_secrets(record)? },
                "spa" => ClientKind::Spa,
                "native" => ClientKind::Native,
                _ => return Err(unreadable().into()),
            },
            redirect_uris: self.patterns(record, &record.redirect_uris),
            post_logout_redirect_uris: self.patterns(record, &record.post_logout_redirect_uris),
            initiate_login_uri: record.initiate_login_uri.clone(),
            backchannel_logout_uri: record.backchannel_logout_uri.clone(),
            enforce_pkce: record.enforce_pkce,
            require_pushed_authorization_requests: record.require_pushed_authorization_requests,
            id_token_signed_response_alg: algorithm.ok_or_else(unreadable)?,
            access_token_lifetime_s: record.access_token_lifetime_s,
            // Production signs nobody in without a proof, whatever was allowed before.
            instant_sign_in: record.instant_sign_in && self.mode == Mode::Development,
            api: serde_json::from_str(&record.api_json).map_err(|_| unreadable())?,
            branding: serde_json::from_str(&record.branding_json).map_err(|_| unreadable())?,
        })
    }

    /// Addresses that the mode allows: a database may have been a development server's before.
    fn patterns(&self, record: &ClientRecord, texts: &[String]) -> Vec<RedirectPattern> {
        let parsed = texts.iter().filter_map(|text| {
            RedirectPattern::parse(text, self.mode)
                .inspect_err(|error| tracing::error!(client_id = record.id, uri = text, %error, "left out"))
                .ok()
        });
        parsed.collect()
    }

    fn open_secrets(&self, record: &ClientRecord) -> Result<Vec<ClientSecret>, StartError> {
        let opened = record.secrets.iter().map(|secret| match (&secret.hash, &secret.sealed) {
            (Some(hash), _) => Ok(ClientSecret::Argon2(hash.clone())),
            (None, Some(sealed)) => {
                let bytes = self.at_rest.open(CLIENT_SECRET, sealed)?;
                let text = String::from_utf8(bytes).map_err(|_| StoreError::Unreadable("client secret"))?;
                Ok(ClientSecret::Plain(SecretString::from(text)))
            }
            (None, None) => Err(StoreError::Unreadable("client secret").into()),
        });
        opened.collect()
    }

    /// What makes of the stored clients these ones.
    pub fn changes(
        &self,
        stored: &[ClientRecord],
        wanted: &[Client],
        now_ms: UnixMs,
    ) -> Result<ClientChanges, StartError> {
        let mut changes = ClientChanges::default();
        let is_wanted = |record: &&ClientRecord| wanted.iter().any(|c| c.client_id == record.id);
        changes.delete.extend(stored.iter().filter(|r| !is_wanted(r)).map(|r| r.id.clone()));
        for (position, client) in (0..).zip(wanted) {
            let earlier = stored.iter().find(|record| record.id == client.client_id);
            let is_same = match earlier {
                Some(record) => record.position == position && self.open(record)? == *client,
                None => false,
            };
            if !is_same {
                changes.put.push(self.record(client, position, earlier, now_ms)?);
            }
        }
        Ok(changes)
    }

    /// A client as it is stored. Secrets that it had before keep their rows.
    fn record(
        &self,
        client: &Client,
        position: i64,
        earlier: Option<&ClientRecord>,
        now_ms: UnixMs,
    ) -> Result<ClientRecord, StartError> {
        let (kind, secrets) = match &client.kind {
            ClientKind::Web { secrets } => ("web", secrets.as_slice()),
            ClientKind::Spa => ("spa", &[][..]),
            ClientKind::Native => ("native", &[][..]),
        };
        let known = match earlier {
            Some(record) => self.open_secrets(record)?.into_iter().zip(&record.secrets).collect(),
            None => vec![],
        };
        let secrets =
            (0..).zip(secrets).map(|(n, secret)| match known.iter().find(|(earlier, _)| earlier == secret) {
                Some((_, record)) => Ok((*record).clone()),
                None => self.secret_record(secret, now_ms + n),
            });
        let texts = |patterns: &[RedirectPattern]| patterns.iter().map(|p| p.as_str().to_owned()).collect();
        Ok(ClientRecord {
            secrets: secrets.collect::<Result<_, StartError>>()?,
            id: client.client_id.clone(),
            version: earlier.and_then(|record| record.version),
            position,
            kind: kind.to_owned(),
            name: client.name.clone(),
            redirect_uris: texts(&client.redirect_uris),
            post_logout_redirect_uris: texts(&client.post_logout_redirect_uris),
            initiate_login_uri: client.initiate_login_uri.clone(),
            backchannel_logout_uri: client.backchannel_logout_uri.clone(),
            enforce_pkce: client.enforce_pkce,
            require_pushed_authorization_requests: client.require_pushed_authorization_requests,
            id_token_signed_response_alg: client.id_token_signed_response_alg.as_str().to_owned(),
            access_token_lifetime_s: client.access_token_lifetime_s,
            instant_sign_in: client.instant_sign_in,
            api_json: serde_json::to_string(&client.api).map_err(|_| StoreError::Unreadable("client"))?,
            branding_json: serde_json::to_string(&client.branding)
                .map_err(|_| StoreError::Unreadable("client"))?,
        })
    }

    fn secret_record(&self, secret: &ClientSecret, now_ms: UnixMs) -> Result<ClientSecretRecord, StartError> {
        let (hash, sealed, suffix) = match secret {
            ClientSecret::Argon2(hash) => (Some(hash.clone()), None, String::new()),
            ClientSecret::Plain(secret) => {
                let text = secret.expose_secret();
                let shown = text.char_indices().rev().nth(SUFFIX - 1).map_or(text, |(at, _)| &text[at..]);
                let sealed = self.at_rest.seal(CLIENT_SECRET, text.as_bytes(), self.entropy)?;
                (None, Some(sealed), shown.to_owned())
            }
        };
        Ok(ClientSecretRecord {
            id: new_id(IdKind::ClientSecret, now_ms, self.entropy),
            hash,
            sealed,
            suffix,
        })
    }
}
