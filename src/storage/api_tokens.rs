//! API tokens of organizations and of their members.

use super::{Statement, Store, StoreError, row::row, sql};
use crate::domain::api_token::{ApiToken, ApiTokenInfo};
use crate::domain::clock::UnixMs;
use crate::domain::page::{PageAnchor, PageRequest};

row! {
    /// A token with one of its member's roles; without a member or a role, none.
    struct TokenRow {
        id: String,
        version: i64,
        organization_id: String,
        user_id: Option<String>,
        description: Option<String>,
        custom_claims_json: String,
        digest: String,
        suffix: String,
        created_at_ms: i64,
        expires_at_ms: Option<i64>,
        invalidated_at_ms: Option<i64>,
        organization_external_id: Option<String>,
        user_external_id: Option<String>,
        email: Option<String>,
        role_name: Option<String>,
    }
}

impl TryFrom<TokenRow> for ApiTokenInfo {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let token = ApiToken {
            custom_claims: serde_json::from_str(&row.custom_claims_json)
                .map_err(|_| StoreError::Unreadable("API token"))?,
            id: row.id,
            version: row.version,
            organization_id: row.organization_id,
            user_id: row.user_id,
            description: row.description,
            digest: row.digest,
            suffix: row.suffix,
            created_at_ms: row.created_at_ms,
            expires_at_ms: row.expires_at_ms,
            invalidated_at_ms: row.invalidated_at_ms,
        };
        Ok(Self {
            token,
            organization_external_id: row.organization_external_id,
            user_external_id: row.user_external_id,
            email: row.email,
            roles: row.role_name.into_iter().collect(),
        })
    }
}

/// Joins rows of one token, which come one after the other.
fn tokens_of(rows: Vec<TokenRow>) -> Result<Vec<ApiTokenInfo>, StoreError> {
    let mut tokens: Vec<ApiTokenInfo> = vec![];
    for row in rows {
        match tokens.last_mut() {
            Some(last) if last.token.id == row.id => last.roles.extend(row.role_name),
            _ => tokens.push(row.try_into()?),
        }
    }
    Ok(tokens)
}

/// Tokens that a subquery selects, with those that they stand for and their roles.
macro_rules! tokens_with_roles {
    ($tokens:literal, $order:literal) => {
        sql(concat!(
            "SELECT t.id, t.version, t.organization_id, t.user_id, t.description, t.custom_claims_json, t.digest, \
             t.suffix, t.created_at_ms, t.expires_at_ms, t.invalidated_at_ms, \
             o.external_id AS organization_external_id, u.external_id AS user_external_id, u.email AS email, \
             r.name AS role_name FROM ( ",
            $tokens,
            ") t JOIN organizations o ON o.environment_id = t.environment_id AND o.id = t.organization_id \
             LEFT JOIN users u ON u.environment_id = t.environment_id AND u.id = t.user_id \
             LEFT JOIN membership_roles g ON g.environment_id = t.environment_id AND g.user_id = t.user_id \
             AND g.organization_id = t.organization_id \
             LEFT JOIN roles r ON r.environment_id = g.environment_id AND r.id = g.role_id ORDER BY ",
            $order,
            ", r.id"
        ))
    };
}

impl Store {
    /// Adds a token. [`StoreError::MissingParent`]: its organization or membership is gone.
    pub async fn insert_api_token(&self, environment_id: &str, token: &ApiToken) -> Result<(), StoreError> {
        let query =
            sql("INSERT INTO api_tokens (environment_id, id, version, description, custom_claims_json, \
             invalidated_at_ms, organization_id, user_id, digest, suffix, created_at_ms, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
        let query = bind_changing(query, environment_id, token)?
            .bind(token.organization_id.clone())
            .bind(token.user_id.clone())
            .bind(token.digest.clone())
            .bind(token.suffix.clone())
            .bind(token.created_at_ms)
            .bind(token.expires_at_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// A token, valid or not.
    pub async fn api_token(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<ApiTokenInfo>, StoreError> {
        let query =
            tokens_with_roles!("SELECT * FROM api_tokens WHERE environment_id = $1 AND id = $2", "t.id");
        let rows = query.bind(environment_id).bind(id).fetch_all(&self.pool).await?;
        Ok(tokens_of(rows)?.into_iter().next())
    }

    /// A page of the valid tokens of an organization, or of one of its members, as [`PageRequest::page`] takes it.
    pub async fn api_tokens(
        &self,
        environment_id: &str,
        organization_id: &str,
        user_id: Option<&str>,
        now_ms: UnixMs,
        page: &PageRequest,
    ) -> Result<Vec<ApiTokenInfo>, StoreError> {
        let query = match &page.anchor {
            PageAnchor::Newest | PageAnchor::After(_) => tokens_with_roles!(
                "SELECT * FROM api_tokens WHERE environment_id = $1 AND organization_id = $2 \
                 AND ($3 = '' OR user_id = $3) AND invalidated_at_ms IS NULL \
                 AND (expires_at_ms IS NULL OR expires_at_ms > $4) AND (created_at_ms, id) < ($5, $6) \
                 ORDER BY created_at_ms DESC, id DESC LIMIT $7",
                "t.created_at_ms DESC, t.id DESC"
            ),
            PageAnchor::Before(_) => tokens_with_roles!(
                "SELECT * FROM api_tokens WHERE environment_id = $1 AND organization_id = $2 \
                 AND ($3 = '' OR user_id = $3) AND invalidated_at_ms IS NULL \
                 AND (expires_at_ms IS NULL OR expires_at_ms > $4) AND (created_at_ms, id) > ($5, $6) \
                 ORDER BY created_at_ms, id LIMIT $7",
                "t.created_at_ms, t.id"
            ),
        };
        let (created_at_ms, id) = page.anchor.bound();
        let rows = query
            .bind(environment_id)
            .bind(organization_id)
            .bind(user_id.unwrap_or_default().to_owned())
            .bind(now_ms)
            .bind(created_at_ms)
            .bind(id.to_owned())
            .bind(page.limit())
            .fetch_all(&self.pool)
            .await?;
        tokens_of(rows)
    }

    /// How many tokens [`Store::api_tokens`] has in all.
    pub async fn count_api_tokens(
        &self,
        environment_id: &str,
        organization_id: &str,
        user_id: Option<&str>,
        now_ms: UnixMs,
    ) -> Result<i64, StoreError> {
        let query =
            sql("SELECT COUNT(*) FROM api_tokens WHERE environment_id = $1 AND organization_id = $2 \
             AND ($3 = '' OR user_id = $3) AND invalidated_at_ms IS NULL \
             AND (expires_at_ms IS NULL OR expires_at_ms > $4)");
        let query = query.bind(environment_id).bind(organization_id);
        let query = query.bind(user_id.unwrap_or_default().to_owned()).bind(now_ms);
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// Writes description, claims and end of a token; `false` when it was changed or deleted since its version was read.
    pub async fn update_api_token(&self, environment_id: &str, token: &ApiToken) -> Result<bool, StoreError> {
        let query =
            sql("UPDATE api_tokens SET version = version + 1, description = $4, custom_claims_json = $5, \
             invalidated_at_ms = $6 WHERE environment_id = $1 AND id = $2 AND version = $3");
        Ok(self.execute(bind_changing(query, environment_id, token)?).await? == 1)
    }
}

/// Binds what names a token and what changes of it to $1 to $6, with the names that the statements above give them.
fn bind_changing(query: Statement, environment_id: &str, token: &ApiToken) -> Result<Statement, StoreError> {
    let claims =
        serde_json::to_string(&token.custom_claims).map_err(|_| StoreError::Unreadable("API token"))?;
    Ok(query
        .bind(environment_id.to_owned())
        .bind(token.id.clone())
        .bind(token.version)
        .bind(token.description.clone())
        .bind(claims)
        .bind(token.invalidated_at_ms))
}
