//! Deleting what nobody can use any more, in small batches so that no request waits long.

use super::{Store, StoreError, sql};
use crate::domain::clock::UnixMs;

impl Store {
    /// Deletes up to `batch` rows of each kind of an environment that expired before `before_ms`, and tells how many
    /// went.
    pub async fn delete_expired(
        &self,
        environment_id: &str,
        before_ms: UnixMs,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let statements = [
            "DELETE FROM auth_requests WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM auth_requests WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            "DELETE FROM grants WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM grants WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            // Grants say how long their tokens are good, which may be longer than the session.
            "DELETE FROM sessions WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM sessions s WHERE environment_id = $3 AND absolute_expires_at_ms < $1 \
             AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.environment_id = s.environment_id AND g.session_id = s.id) \
             LIMIT $2)",
            "DELETE FROM revoked_tokens WHERE (environment_id, jti) IN \
             (SELECT environment_id, jti FROM revoked_tokens WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            "DELETE FROM session_clients WHERE (environment_id, session_id, client_id) IN \
             (SELECT environment_id, session_id, client_id FROM session_clients \
             WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            "DELETE FROM pushed_requests WHERE (environment_id, request_digest) IN \
             (SELECT environment_id, request_digest FROM pushed_requests \
             WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            "DELETE FROM portal_links WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM portal_links WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            // Those that were invalidated are known for a while too, so that it can be done twice.
            "DELETE FROM api_tokens WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM api_tokens WHERE environment_id = $3 \
             AND COALESCE(invalidated_at_ms, expires_at_ms) < $1 LIMIT $2)",
            "DELETE FROM mail_budgets WHERE (environment_id, email_key) IN \
             (SELECT environment_id, email_key FROM mail_budgets WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
            "DELETE FROM failed_attempts WHERE (environment_id, email_key) IN \
             (SELECT environment_id, email_key FROM failed_attempts WHERE environment_id = $3 AND expires_at_ms < $1 LIMIT $2)",
        ];
        let mut deleted = 0;
        for statement in statements {
            deleted += self
                .execute(sql(statement).bind(before_ms).bind(batch).bind(environment_id.to_owned()))
                .await?;
        }
        Ok(deleted)
    }
}
