-- What happened to records, for webhooks. An event outlives whatever it names. `occurred_at_ms` is the environment's time,
-- `logged_at_ms` the machine's.
CREATE TABLE events (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN (
        'organization.created', 'organization.updated', 'organization.deleted',
        'organization.domain_created', 'organization.domain_deleted', 'user.organization_invitation', 'user.signup',
        'user.login', 'user.logout',
        'user.organization_membership_created', 'user.organization_membership_updated',
        'user.organization_membership_deleted', 'role.created', 'role.updated', 'role.deleted', 'permission.created',
        'permission.updated', 'permission.deleted'
    )),
    organization_id TEXT,
    data_json TEXT NOT NULL,
    occurred_at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX events_by_age ON events (environment_id, logged_at_ms);

-- Where events are sent.
CREATE TABLE webhook_endpoints (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    url TEXT NOT NULL,
    -- Names of types; none: all.
    events_json TEXT NOT NULL,
    description TEXT NOT NULL,
    is_enabled BIGINT NOT NULL CHECK (is_enabled IN (0, 1)),
    -- The secrets that deliveries are signed with, sealed, in base64.
    sealed_secrets TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);

-- An event on its way to an endpoint, and what became of it. It outlives both. `next_attempt_at_ms` and `created_at_ms` are
-- the environment's time, `leased_until_ms` and `logged_at_ms` the machine's.
CREATE TABLE webhook_deliveries (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    endpoint_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('QUEUED', 'RETRYING', 'SUCCESS', 'FAILED')),
    -- Attempts that were begun; those that failed since it was queued or replayed.
    attempts BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    -- 0: at once. Null: it is over.
    next_attempt_at_ms BIGINT,
    -- Until then it is left to the server that took it.
    leased_until_ms BIGINT NOT NULL,
    log_json TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, endpoint_id, event_id),
    CHECK ((next_attempt_at_ms IS NULL) = (status IN ('SUCCESS', 'FAILED')))
);
CREATE INDEX webhook_deliveries_by_due ON webhook_deliveries (environment_id, endpoint_id, next_attempt_at_ms)
    WHERE next_attempt_at_ms IS NOT NULL;
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (environment_id, logged_at_ms);
