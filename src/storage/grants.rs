//! Grants: authorization codes, refresh token families and revocations.

use super::{Batch, SessionClient, Statement, Store, StoreError, row::row, session_clients, sql, to_json};
use crate::domain::clock::UnixMs;
use crate::domain::grant::Grant;
use crate::domain::organization::OrganizationSummary;
use crate::domain::session::Session;
use crate::domain::user::UserSummary;

row! {
    struct Row {
        id: String,
        authorization_json: String,
        issuer: String,
        user_id: String,
        session_id: String,
        entered_organization_id: Option<String>,
        custom_claims_json: String,
        authenticated_at_ms: i64,
        code_expires_at_ms: i64,
        code_used_at_ms: Option<i64>,
        refresh_generation: Option<i64>,
        refresh_rotated_at_ms: i64,
        refresh_expires_at_ms: i64,
        revoked_at_ms: Option<i64>,
        expires_at_ms: i64,
    }
}

impl TryFrom<Row> for Grant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            authorization: serde_json::from_str(&row.authorization_json)
                .map_err(|_| StoreError::Unreadable("grant"))?,
            id: row.id,
            issuer: row.issuer,
            user_id: row.user_id,
            session_id: row.session_id,
            organization_id: row.entered_organization_id,
            custom_claims: serde_json::from_str(&row.custom_claims_json)
                .map_err(|_| StoreError::Unreadable("grant"))?,
            authenticated_at_ms: row.authenticated_at_ms,
            code_expires_at_ms: row.code_expires_at_ms,
            code_used_at_ms: row.code_used_at_ms,
            refresh_generation: row.refresh_generation,
            refresh_rotated_at_ms: row.refresh_rotated_at_ms,
            refresh_expires_at_ms: row.refresh_expires_at_ms,
            revoked_at_ms: row.revoked_at_ms,
            kept_until_ms: row.expires_at_ms,
        })
    }
}

/// A grant with those behind it, read in one trip.
#[derive(Debug, Clone)]
pub struct GrantWithSubject {
    pub grant: Grant,
    pub session: Session,
    pub user: UserSummary,
    /// Those the user belongs to, oldest membership first.
    pub organizations: Vec<OrganizationSummary>,
}

row! {
    /// The grant and those behind it, once per organization.
    struct GrantWithSubjectRow {
        grant: Row,
        session_organization_id: Option<String>,
        session_authenticated_at_ms: i64,
        last_active_at_ms: i64,
        absolute_expires_at_ms: i64,
        idle_timeout_s: Option<i64>,
        ended_at_ms: Option<i64>,
        email: String,
        name: Option<String>,
        given_name: Option<String>,
        family_name: Option<String>,
        picture: Option<String>,
        locale: Option<String>,
        external_id: Option<String>,
        created_at_ms: i64,
        updated_at_ms: i64,
        organization_id: Option<String>,
        display_name: Option<String>,
        organization_external_id: Option<String>,
    }
}

impl GrantWithSubjectRow {
    fn organization(&mut self) -> Option<OrganizationSummary> {
        Some(OrganizationSummary {
            id: self.organization_id.take()?,
            display_name: self.display_name.take()?,
            external_id: self.organization_external_id.take(),
        })
    }
}

/// The grant that `$where` names, with those behind it.
macro_rules! with_subject_where {
    ($where:literal) => {
        concat!(
            "SELECT g.id, g.authorization_json, g.issuer, s.user_id, g.session_id, \
             g.organization_id AS entered_organization_id, g.custom_claims_json, g.authenticated_at_ms, g.code_expires_at_ms, g.code_used_at_ms, g.refresh_generation, g.refresh_rotated_at_ms, g.refresh_expires_at_ms, \
             g.revoked_at_ms, g.expires_at_ms, s.authenticated_at_ms AS session_authenticated_at_ms, \
             s.organization_id AS session_organization_id, s.last_active_at_ms, s.absolute_expires_at_ms, \
             s.idle_timeout_s, s.ended_at_ms, u.email, u.name, u.given_name, \
             u.family_name, u.picture, u.locale, u.external_id, u.created_at_ms, u.updated_at_ms, \
             o.id AS organization_id, o.display_name, o.external_id AS organization_external_id FROM grants g \
             JOIN sessions s ON s.environment_id = g.environment_id AND s.id = g.session_id \
             JOIN users u ON u.environment_id = s.environment_id AND u.id = s.user_id \
             LEFT JOIN memberships m ON m.environment_id = u.environment_id AND m.user_id = u.id AND m.status = 'ACTIVE' \
             LEFT JOIN organizations o ON o.environment_id = m.environment_id AND o.id = m.organization_id",
            " WHERE g.environment_id = $1 AND ",
            $where,
            " ORDER BY m.created_at_ms, o.id"
        )
    };
}

impl Store {
    /// Adds a grant, and notes with it that its application wants to hear of the session's end.
    pub async fn insert_grant(
        &self,
        environment_id: &str,
        grant: &Grant,
        code_digest: &str,
        backchannel_client: Option<&SessionClient>,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.write(inserting(environment_id, grant, code_digest, now_ms)?);
        if let Some(client) = backchannel_client {
            batch.write(session_clients::noting(environment_id, &grant.session_id, &grant.user_id, client));
        }
        self.commit(batch).await?;
        Ok(())
    }

    pub async fn grant(&self, environment_id: &str, id: &str) -> Result<Option<Grant>, StoreError> {
        let row: Option<Row> = sql(
            "SELECT g.id, g.authorization_json, g.issuer, s.user_id, g.session_id, \
             g.organization_id AS entered_organization_id, g.custom_claims_json, g.authenticated_at_ms, g.code_expires_at_ms, g.code_used_at_ms, g.refresh_generation, g.refresh_rotated_at_ms, \
             g.refresh_expires_at_ms, g.revoked_at_ms, g.expires_at_ms FROM grants g \
             JOIN sessions s ON s.environment_id = g.environment_id AND s.id = g.session_id \
             WHERE g.environment_id = $1 AND g.id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(Grant::try_from).transpose()
    }

    /// A grant with those behind it.
    pub async fn grant_with_subject(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<GrantWithSubject>, StoreError> {
        let query = sql(with_subject_where!("g.id = $2")).bind(environment_id).bind(id);
        standing(query.fetch_all(&self.pool).await?)
    }

    /// The grant of an access token that was not revoked itself, with those behind it.
    pub async fn grant_with_subject_of_token(
        &self,
        environment_id: &str,
        id: &str,
        jti: &str,
    ) -> Result<Option<GrantWithSubject>, StoreError> {
        let query = sql(with_subject_where!(
            "g.id = $2 AND NOT EXISTS \
             (SELECT 1 FROM revoked_tokens r WHERE r.environment_id = g.environment_id AND r.jti = $3)"
        ));
        standing(query.bind(environment_id).bind(id).bind(jti).fetch_all(&self.pool).await?)
    }

    /// The grant whose authorization code has this digest, with those behind it.
    pub async fn grant_with_subject_by_code(
        &self,
        environment_id: &str,
        id: &str,
        code_digest: &str,
    ) -> Result<Option<GrantWithSubject>, StoreError> {
        let query = sql(with_subject_where!("g.id = $2 AND g.code_digest = $3"));
        let query = query.bind(environment_id).bind(id).bind(code_digest);
        standing(query.fetch_all(&self.pool).await?)
    }

    /// Uses up a code. `false` when it was used or revoked already: whoever asks is too late or a thief.
    pub async fn consume_code(
        &self,
        environment_id: &str,
        grant: &Grant,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        // Lifetimes may have grown since. Where not, the index by expiry is left alone.
        let query = if grant.refresh_expires_at_ms > grant.kept_until_ms {
            sql(
                "UPDATE grants SET code_used_at_ms = $3, refresh_generation = $4, refresh_rotated_at_ms = $3, \
                 refresh_expires_at_ms = $5, expires_at_ms = $5 \
                 WHERE environment_id = $1 AND id = $2 AND code_used_at_ms IS NULL AND revoked_at_ms IS NULL",
            )
        } else {
            sql(
                "UPDATE grants SET code_used_at_ms = $3, refresh_generation = $4, refresh_rotated_at_ms = $3, \
                 refresh_expires_at_ms = $5 \
                 WHERE environment_id = $1 AND id = $2 AND code_used_at_ms IS NULL AND revoked_at_ms IS NULL",
            )
        };
        let query = query
            .bind(environment_id.to_owned())
            .bind(grant.id.clone())
            .bind(now_ms)
            .bind(grant.refresh_generation)
            .bind(grant.refresh_expires_at_ms);
        Ok(self.execute(query).await? == 1)
    }

    /// Rotates a refresh token from its current generation to the next. `false` when somebody else just did.
    pub async fn rotate_refresh(
        &self,
        environment_id: &str,
        grant_id: &str,
        generation: i64,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let query =
            sql("UPDATE grants SET refresh_generation = refresh_generation + 1, refresh_rotated_at_ms = $4 \
             WHERE environment_id = $1 AND id = $2 AND refresh_generation = $3 AND revoked_at_ms IS NULL");
        let query =
            query.bind(environment_id.to_owned()).bind(grant_id.to_owned()).bind(generation).bind(now_ms);
        Ok(self.execute(query).await? == 1)
    }

    /// Revokes a grant and with it every token that came from it. Doing so again changes nothing.
    pub async fn revoke_grant(
        &self,
        environment_id: &str,
        grant_id: &str,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sql(
            "UPDATE grants SET revoked_at_ms = $3 WHERE environment_id = $1 AND id = $2 AND revoked_at_ms IS NULL",
        );
        self.execute(query.bind(environment_id.to_owned()).bind(grant_id.to_owned()).bind(now_ms)).await?;
        Ok(())
    }

    /// Revokes one access token, until it would have expired anyway.
    pub async fn revoke_token(
        &self,
        environment_id: &str,
        jti: &str,
        expires_at_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query =
            sql("INSERT INTO revoked_tokens (environment_id, jti, expires_at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (environment_id, jti) DO NOTHING");
        self.execute(query.bind(environment_id.to_owned()).bind(jti.to_owned()).bind(expires_at_ms)).await?;
        Ok(())
    }

    pub async fn is_token_revoked(&self, environment_id: &str, jti: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> =
            sql("SELECT expires_at_ms FROM revoked_tokens WHERE environment_id = $1 AND jti = $2")
                .bind(environment_id)
                .bind(jti)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }
}

/// One grant from its rows, of which there is one per organization.
fn standing(rows: Vec<GrantWithSubjectRow>) -> Result<Option<GrantWithSubject>, StoreError> {
    let mut rows = rows.into_iter();
    let Some(mut first) = rows.next() else { return Ok(None) };
    let mut organizations: Vec<OrganizationSummary> = first.organization().into_iter().collect();
    organizations.extend(rows.filter_map(|mut row| row.organization()));
    let grant = Grant::try_from(first.grant)?;
    let session = Session {
        id: grant.session_id.clone(),
        user_id: grant.user_id.clone(),
        organization_id: first.session_organization_id,
        authenticated_at_ms: first.session_authenticated_at_ms,
        last_active_at_ms: first.last_active_at_ms,
        absolute_expires_at_ms: first.absolute_expires_at_ms,
        idle_timeout_s: first.idle_timeout_s,
        ended_at_ms: first.ended_at_ms,
    };
    let user = UserSummary {
        id: grant.user_id.clone(),
        email: first.email,
        name: first.name,
        given_name: first.given_name,
        family_name: first.family_name,
        picture: first.picture,
        locale: first.locale,
        external_id: first.external_id,
        created_at_ms: first.created_at_ms,
        updated_at_ms: first.updated_at_ms,
    };
    Ok(Some(GrantWithSubject { grant, session, user, organizations }))
}

/// A new grant of the user whose session it names, with the claims that the session has by then.
pub(super) fn inserting(
    environment_id: &str,
    grant: &Grant,
    code_digest: &str,
    now_ms: UnixMs,
) -> Result<Statement, StoreError> {
    Ok(sql(
        "INSERT INTO grants (environment_id, id, code_digest, authorization_json, session_id, issuer, \
         authenticated_at_ms, code_expires_at_ms, refresh_rotated_at_ms, refresh_expires_at_ms, created_at_ms, \
         expires_at_ms, client_id, organization_id, custom_claims_json) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, $11, $12, $13, \
         COALESCE((SELECT custom_claims_json FROM sessions WHERE environment_id = $1 AND id = $5), '{}'))",
    )
    .bind(environment_id)
    .bind(&grant.id)
    .bind(code_digest)
    .bind(to_json(&grant.authorization)?)
    .bind(&grant.session_id)
    .bind(&grant.issuer)
    .bind(grant.authenticated_at_ms)
    .bind(grant.code_expires_at_ms)
    .bind(now_ms)
    .bind(grant.refresh_expires_at_ms)
    .bind(grant.kept_until_ms)
    .bind(&grant.authorization.client_id)
    .bind(grant.organization_id.clone()))
}
