//! The inbox and the outbox.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Batch, Statement, Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;

/// No email is put off for longer, by a claim or a retry, in milliseconds.
const LONGEST_WAIT_MS: i64 = 600_000;

/// An email about to be stored: into the inbox, the outbox, or both.
#[derive(Clone)]
pub struct NewMail {
    pub id: String,
    pub to_address: String,
    pub to_key: String,
    pub subject: String,
    pub text_body: String,
    pub html_body: String,
    pub code: Option<String>,
    pub link: Option<String>,
    pub auth_request_id: String,
    pub kind: &'static str,
    pub is_test_user: bool,
    pub into_inbox: bool,
    /// Why it is not delivered, where that is known from the start.
    pub delivery_error: Option<String>,
    /// Subject and bodies as the outbox keeps them, encrypted. `None`: nothing leaves by SMTP.
    pub sealed: Option<Vec<u8>>,
    /// `None`: it is one of our own.
    pub received: Option<Received>,
}

/// What is kept of an email that another program sent, beside what all emails have.
#[derive(Clone)]
pub struct Received {
    pub from_address: String,
    /// The email as it came.
    pub source: Vec<u8>,
}

impl std::fmt::Debug for NewMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewMail").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

row! {
    /// An email of the inbox.
    #[derive(Debug, Clone)]
    pub struct InboxMessage {
        pub id: String,
        pub to_address: String,
        pub subject: String,
        pub text_body: String,
        pub html_body: String,
        pub code: Option<String>,
        pub link: Option<String>,
        pub auth_request_id: String,
        pub kind: String,
        /// `test_user` or `person`.
        pub recipient_kind: String,
        pub created_at_ms: UnixMs,
        /// Why its delivery by SMTP was given up.
        pub delivery_error: Option<String>,
        /// Who sent it, where it is not one of our own.
        pub from_address: Option<String>,
        /// When it was first opened in the inbox.
        pub read_at_ms: Option<i64>,
    }
}

row! {
    /// How many emails are in the inbox.
    #[derive(Debug, Clone, Copy)]
    pub struct InboxCount {
        pub total: i64,
        pub unread: i64,
    }
}

/// Which emails to list.
#[derive(Debug, Clone, Default)]
pub struct InboxFilter {
    /// See `EmailAddress::key`.
    pub to_key: Option<String>,
    /// Only those of this sign-in.
    pub auth_request_id: Option<String>,
    /// Without what belongs to a sign-in that is over: one that succeeded, was closed or was deleted.
    pub is_unused: bool,
    /// Only emails whose id sorts after this one; ids sort by time.
    pub after_id: Option<String>,
    /// Part of subject, text, code or address; case does not count.
    pub search: Option<String>,
    /// The oldest first, not the newest.
    pub is_oldest_first: bool,
    pub offset: i64,
    pub limit: i64,
}

/// Lists emails in an order of their ids. Tests ask for the newest again and again: for a place that stands bare behind LIMIT or
/// LIKE, SQLite would plan it anew each time.
macro_rules! messages_by {
    ($order:literal) => {
        sql(concat!(
            "SELECT id, to_address, subject, text_body, html_body, code, link, auth_request_id, kind, recipient_kind, \
             created_at_ms, delivery_error, from_address, read_at_ms FROM messages WHERE environment_id = $1 AND ($2 = '' OR to_key = $2) AND id > $3 \
             AND ($4 = '' OR to_key LIKE CAST($4 AS TEXT) ESCAPE '~' \
             OR to_key LIKE CAST($7 AS TEXT) ESCAPE '~' OR LOWER(subject) LIKE CAST($4 AS TEXT) ESCAPE '~' \
             OR LOWER(text_body) LIKE CAST($4 AS TEXT) ESCAPE '~' OR code LIKE CAST($4 AS TEXT) ESCAPE '~') \
             AND ($8 = '' OR auth_request_id = $8) \
             AND ($9 = 0 OR auth_request_id = '' OR EXISTS (SELECT 1 FROM auth_requests r WHERE r.id = auth_request_id \
             AND r.environment_id = $1 AND r.stage = 'awaiting_proof')) ",
            $order,
            " LIMIT CAST($5 AS BIGINT) OFFSET CAST($6 AS BIGINT)"
        ))
    };
}

row! {
    /// An email waiting for the SMTP server.
    #[derive(Debug, Clone)]
    pub struct OutboxMail {
        pub environment_id: String,
        pub id: String,
        pub to_address: String,
        /// See [`NewMail::sealed`].
        pub sealed: Vec<u8>,
        pub auth_request_id: String,
        pub attempts: i64,
        pub created_at_ms: UnixMs,
    }
}

/// Puts an email where it is to go.
pub(super) fn insert(batch: &mut Batch, environment_id: &str, mail: &NewMail, now_ms: UnixMs) {
    if mail.into_inbox {
        let query = sql(
            "INSERT INTO messages (environment_id, id, to_address, to_key, subject, text_body, html_body, code, link, \
             auth_request_id, kind, recipient_kind, created_at_ms, delivery_error, from_address, source_base64) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(environment_id)
        .bind(&mail.id)
        .bind(&mail.to_address)
        .bind(&mail.to_key)
        .bind(&mail.subject)
        .bind(&mail.text_body)
        .bind(&mail.html_body)
        .bind(mail.code.clone())
        .bind(mail.link.clone())
        .bind(&mail.auth_request_id)
        .bind(mail.kind)
        .bind(if mail.is_test_user { "test_user" } else { "person" })
        .bind(now_ms)
        .bind(mail.delivery_error.clone())
        .bind(mail.received.as_ref().map(|received| received.from_address.clone()))
        .bind(mail.received.as_ref().map(|received| STANDARD.encode(&received.source)));
        batch.write(query);
    }
    if let Some(sealed) = &mail.sealed {
        let query = sql(
            "INSERT INTO outbox (environment_id, id, to_address, sealed, auth_request_id, attempts, created_at_ms, \
             next_attempt_at_ms) VALUES ($1, $2, $3, $4, $6, 0, $5, 0)",
        )
        .bind(environment_id)
        .bind(&mail.id)
        .bind(&mail.to_address)
        .bind(sealed.clone())
        .bind(now_ms)
        .bind(&mail.auth_request_id);
        batch.write(query);
    }
}

fn removing(mail: &OutboxMail) -> Statement {
    sql("DELETE FROM outbox WHERE environment_id = $1 AND id = $2")
        .bind(mail.environment_id.clone())
        .bind(mail.id.clone())
}

impl Store {
    /// Emails of the inbox in the order that the filter says.
    pub async fn messages(
        &self,
        environment_id: &str,
        filter: &InboxFilter,
    ) -> Result<Vec<InboxMessage>, StoreError> {
        let search = filter.search.as_deref().filter(|s| !s.is_empty());
        let query = if filter.is_oldest_first {
            messages_by!("ORDER BY id ASC")
        } else {
            messages_by!("ORDER BY id DESC")
        };
        Ok(query
            .bind(environment_id)
            .bind(filter.to_key.clone().unwrap_or_default())
            .bind(filter.after_id.clone().unwrap_or_default())
            .bind(search.map(super::like_pattern).unwrap_or_default())
            .bind(filter.limit)
            .bind(filter.offset)
            .bind(search.map(super::like_key_pattern).unwrap_or_default())
            .bind(filter.auth_request_id.clone().unwrap_or_default())
            .bind(i64::from(filter.is_unused))
            .fetch_all(&self.pool)
            .await?)
    }

    pub async fn message(&self, environment_id: &str, id: &str) -> Result<Option<InboxMessage>, StoreError> {
        Ok(sql(
            "SELECT id, to_address, subject, text_body, html_body, code, link, auth_request_id, kind, recipient_kind, \
             created_at_ms, delivery_error, from_address, read_at_ms FROM messages WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// A received email as it came; `None` where there is none, or it is one of our own.
    pub async fn message_source(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sql("SELECT source_base64 FROM messages WHERE environment_id = $1 AND id = $2 \
             AND source_base64 IS NOT NULL");
        let found: Option<(String,)> = query.bind(environment_id).bind(id).fetch_optional(&self.pool).await?;
        let decoded = found.map(|(source,)| STANDARD.decode(source)).transpose();
        decoded.map_err(|_| StoreError::Unreadable("source_base64"))
    }

    /// Stores the emails that another program sent.
    pub async fn store_received(
        &self,
        environment_id: &str,
        mails: &[NewMail],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for mail in mails {
            insert(&mut batch, environment_id, mail, now_ms);
        }
        self.commit(batch).await?;
        Ok(())
    }

    /// How many emails there are, and how many of them nobody has opened.
    pub async fn count_messages(&self, environment_id: &str) -> Result<InboxCount, StoreError> {
        let query = sql("SELECT COUNT(*) AS total, COUNT(*) - COUNT(read_at_ms) AS unread FROM messages \
             WHERE environment_id = $1");
        Ok(query.bind(environment_id).fetch_one(&self.pool).await?)
    }

    /// Notes that an email was opened; the first time counts.
    pub async fn mark_message_read(
        &self,
        environment_id: &str,
        id: &str,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sql(
            "UPDATE messages SET read_at_ms = $3 WHERE environment_id = $1 AND id = $2 AND read_at_ms IS NULL",
        );
        self.execute(query.bind(environment_id.to_owned()).bind(id.to_owned()).bind(now_ms)).await?;
        Ok(())
    }

    /// Notes that all emails were opened.
    pub async fn mark_all_messages_read(
        &self,
        environment_id: &str,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query =
            sql("UPDATE messages SET read_at_ms = $2 WHERE environment_id = $1 AND read_at_ms IS NULL");
        self.execute(query.bind(environment_id.to_owned()).bind(now_ms)).await?;
        Ok(())
    }

    /// Deletes the emails of an address, or all, and tells how many went.
    pub async fn delete_messages(
        &self,
        environment_id: &str,
        to_key: Option<&str>,
    ) -> Result<u64, StoreError> {
        let query = sql("DELETE FROM messages WHERE environment_id = $1 AND ($2 = '' OR to_key = $2)");
        self.execute(query.bind(environment_id.to_owned()).bind(to_key.unwrap_or_default().to_owned())).await
    }

    /// `false`: there was none.
    pub async fn delete_message(&self, environment_id: &str, id: &str) -> Result<bool, StoreError> {
        let query = sql("DELETE FROM messages WHERE environment_id = $1 AND id = $2");
        Ok(self.execute(query.bind(environment_id.to_owned()).bind(id.to_owned())).await? == 1)
    }

    /// Emails whose time has come, oldest first. One whose time is further off than any we set is due too: the clock
    /// was set back since.
    pub async fn due_mails(&self, now_ms: UnixMs, limit: i64) -> Result<Vec<OutboxMail>, StoreError> {
        Ok(sql(
            "SELECT environment_id, id, to_address, sealed, auth_request_id, attempts, created_at_ms FROM outbox \
             WHERE next_attempt_at_ms <= $1 OR next_attempt_at_ms > $3 ORDER BY next_attempt_at_ms LIMIT $2",
        )
        .bind(now_ms)
        .bind(limit)
        .bind(now_ms.saturating_add(LONGEST_WAIT_MS))
        .fetch_all(&self.pool)
        .await?)
    }

    /// How many emails wait for delivery in all environments, and when the oldest of them was written.
    pub async fn outbox_backlog(&self) -> Result<(i64, Option<UnixMs>), StoreError> {
        let query = sql("SELECT COUNT(*), MIN(created_at_ms) FROM outbox");
        Ok(query.fetch_one(&self.pool).await?)
    }

    /// Takes an email for delivery until `retry_at_ms`; `false` when another replica has it. A process that dies
    /// while it delivers leaves the email to whoever comes after that time.
    pub async fn claim_mail(&self, mail: &OutboxMail, retry_at_ms: UnixMs) -> Result<bool, StoreError> {
        let query = sql("UPDATE outbox SET attempts = attempts + 1, next_attempt_at_ms = $4 \
             WHERE environment_id = $1 AND id = $2 AND attempts = $3");
        let query = query
            .bind(mail.environment_id.clone())
            .bind(mail.id.clone())
            .bind(mail.attempts)
            .bind(retry_at_ms);
        Ok(self.execute(query).await? == 1)
    }

    /// Puts a claimed email back for a later attempt.
    pub async fn postpone_mail(&self, mail: &OutboxMail, retry_at_ms: UnixMs) -> Result<(), StoreError> {
        let query = sql("UPDATE outbox SET next_attempt_at_ms = $3 WHERE environment_id = $1 AND id = $2");
        self.execute(query.bind(mail.environment_id.clone()).bind(mail.id.clone()).bind(retry_at_ms)).await?;
        Ok(())
    }

    /// Takes an email out that will never be delivered, and marks it in the inbox.
    pub async fn give_up_mail(&self, mail: &OutboxMail, reason: &str) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let query = sql("UPDATE messages SET delivery_error = $3 WHERE environment_id = $1 AND id = $2");
        batch.write(query.bind(&mail.environment_id).bind(&mail.id).bind(reason));
        batch.write(removing(mail));
        self.commit(batch).await?;
        Ok(())
    }

    /// Takes a delivered email out.
    pub async fn remove_mail(&self, mail: &OutboxMail) -> Result<(), StoreError> {
        self.execute(removing(mail)).await?;
        Ok(())
    }
}
