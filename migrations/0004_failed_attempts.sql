-- When codes for an address were refused lately, over all its sign-ins.
CREATE TABLE failed_attempts (
    environment_id TEXT NOT NULL,
    email_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    failed_at_ms TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, email_key)
);
CREATE INDEX failed_attempts_by_expiry ON failed_attempts (expires_at_ms);
