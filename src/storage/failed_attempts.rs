//! Wrong codes per address: the count that no resend, request, connection or replica gets around.

use super::{Statement, Store, StoreError, sql};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::limits::{FailedAttempts, RecentTimes};

/// What a judgement writes about its address.
#[derive(Debug, Clone, Copy)]
pub struct AttemptUpdate<'a> {
    pub email: &'a EmailAddress,
    /// Still carrying the version that was read.
    pub failed: &'a FailedAttempts,
    pub now_ms: UnixMs,
}

impl Store {
    pub async fn failed_attempts(
        &self,
        environment_id: &str,
        email: &EmailAddress,
    ) -> Result<FailedAttempts, StoreError> {
        let row: Option<(i64, String)> = sql(
            "SELECT version, failed_at_ms FROM failed_attempts WHERE environment_id = $1 AND email_key = $2",
        )
        .bind(environment_id)
        .bind(email.key().to_owned())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map_or_else(FailedAttempts::default, |(version, times)| FailedAttempts {
            version: Some(version),
            times: RecentTimes::parse(&times),
        }))
    }

    /// A right code counts nothing, and stands only if nobody judged another one of its address meanwhile. The embedded
    /// engine writes one transaction after the other, so that looking is enough there; those of PostgreSQL have to write in
    /// order to see each other.
    pub(super) fn holding_failed_attempts(
        &self,
        environment_id: &str,
        counted: AttemptUpdate<'_>,
    ) -> Statement {
        if !self.is_embedded() {
            return writing(environment_id, counted);
        }
        // The first row has version 1.
        let query = sql("SELECT 1 AS held WHERE COALESCE((SELECT version FROM failed_attempts \
             WHERE environment_id = $1 AND email_key = $2), 0) = $3");
        let query = query.bind(environment_id.to_owned()).bind(counted.email.key().to_owned());
        query.bind(counted.failed.version.unwrap_or_default())
    }
}

/// The count of an address, unless somebody else judged a code of it since it was read.
pub(super) fn writing(environment_id: &str, counted: AttemptUpdate<'_>) -> Statement {
    let query = match counted.failed.version {
        None => sql(
            "INSERT INTO failed_attempts (environment_id, email_key, version, failed_at_ms, expires_at_ms) \
             VALUES ($1, $2, $3 + 1, $4, $5) ON CONFLICT (environment_id, email_key) DO NOTHING",
        ),
        Some(_) => {
            sql("UPDATE failed_attempts SET version = version + 1, failed_at_ms = $4, expires_at_ms = $5 \
             WHERE environment_id = $1 AND email_key = $2 AND version = $3")
        }
    };
    query
        .bind(environment_id.to_owned())
        .bind(counted.email.key().to_owned())
        .bind(counted.failed.version.unwrap_or_default())
        .bind(counted.failed.times.to_text())
        .bind(counted.failed.expire_at_ms(counted.now_ms))
}
