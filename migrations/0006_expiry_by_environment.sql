-- Rows are cleaned up environment by environment. An index on the time alone does not serve that: SQLite took any index
-- that begins with the environment, and read all of it for every batch.
DROP INDEX auth_requests_by_expiry;
CREATE INDEX auth_requests_by_expiry ON auth_requests (environment_id, expires_at_ms);
DROP INDEX grants_by_expiry;
CREATE INDEX grants_by_expiry ON grants (environment_id, expires_at_ms);
DROP INDEX sessions_by_expiry;
CREATE INDEX sessions_by_expiry ON sessions (environment_id, absolute_expires_at_ms);
DROP INDEX revoked_tokens_by_expiry;
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (environment_id, expires_at_ms);
DROP INDEX session_clients_by_expiry;
CREATE INDEX session_clients_by_expiry ON session_clients (environment_id, expires_at_ms);
DROP INDEX pushed_requests_by_expiry;
CREATE INDEX pushed_requests_by_expiry ON pushed_requests (environment_id, expires_at_ms);
DROP INDEX mail_budgets_by_expiry;
CREATE INDEX mail_budgets_by_expiry ON mail_budgets (environment_id, expires_at_ms);
DROP INDEX failed_attempts_by_expiry;
CREATE INDEX failed_attempts_by_expiry ON failed_attempts (environment_id, expires_at_ms);
