-- Applications that are asked before something happens.
CREATE TABLE interceptors (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    trigger_point TEXT NOT NULL CHECK (trigger_point IN
        ('PRE_SIGNUP', 'PRE_SESSION_CREATION', 'PRE_USER_INVITATION', 'PRE_M2M_TOKEN_CREATION')),
    url TEXT NOT NULL,
    timeout_ms BIGINT NOT NULL,
    failure_policy TEXT NOT NULL CHECK (failure_policy IN ('FAIL_OPEN', 'FAIL_CLOSED')),
    is_enabled BIGINT NOT NULL CHECK (is_enabled IN (0, 1)),
    -- The secrets that requests are signed with, sealed, in base64.
    sealed_secrets TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);

-- What they were asked, and what they said. A call outlives its interceptor. `logged_at_ms` is the machine's time.
CREATE TABLE interceptor_calls (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    interceptor_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    trigger_point TEXT NOT NULL,
    -- The sign-in that it was made for, if any.
    flow_id TEXT,
    body TEXT NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('ALLOW', 'DENY', 'FAILED')),
    attempt_json TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX interceptor_calls_by_interceptor ON interceptor_calls (environment_id, interceptor_id, id);
CREATE INDEX interceptor_calls_by_age ON interceptor_calls (environment_id, logged_at_ms);
