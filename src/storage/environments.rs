//! Isolated environments, and what the control API changed of each.

use super::{Store, StoreError, like_pattern, state};
use crate::domain::clock::{ClockSetting, UnixMs};

/// What is stored of an environment. The default one has no row until something of it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRecord {
    pub id: String,
    /// The default one's is its id.
    pub name: String,
    /// Grows with every change; a later change is committed only over the revision that was read. 0: no row yet.
    pub revision: i64,
    /// How often it was reset: makes repeatable randomness start over.
    pub resets: i64,
    /// Changed settings in the configuration's words, sealed.
    pub settings: Vec<u8>,
    /// The settings that a reset goes back to, sealed.
    pub first_settings: Vec<u8>,
    pub clock: ClockSetting,
    pub created_at_ms: UnixMs,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    revision: i64,
    resets: i64,
    settings: Vec<u8>,
    first_settings: Vec<u8>,
    clock_json: String,
    created_at_ms: i64,
}

impl TryFrom<Row> for EnvironmentRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            clock: serde_json::from_str(&row.clock_json).map_err(|_| StoreError::Unreadable("clock"))?,
            id: row.id,
            name: row.name,
            revision: row.revision,
            resets: row.resets,
            settings: row.settings,
            first_settings: row.first_settings,
            created_at_ms: row.created_at_ms,
        })
    }
}

fn clock_json(clock: &ClockSetting) -> Result<String, StoreError> {
    serde_json::to_string(clock).map_err(|_| StoreError::Unreadable("clock"))
}

impl Store {
    pub async fn environment_record(&self, id: &str) -> Result<Option<EnvironmentRecord>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, name, revision, resets, settings, first_settings, clock_json, created_at_ms \
             FROM environments WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(EnvironmentRecord::try_from).transpose()
    }

    pub async fn environment_named(&self, name: &str) -> Result<Option<EnvironmentRecord>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, name, revision, resets, settings, first_settings, clock_json, created_at_ms \
             FROM environments WHERE name = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        row.map(EnvironmentRecord::try_from).transpose()
    }

    /// The isolated environments by name, from `after` on.
    pub async fn environment_records(
        &self,
        default_id: &str,
        after: &str,
        part: &str,
        limit: i64,
    ) -> Result<Vec<EnvironmentRecord>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, name, revision, resets, settings, first_settings, clock_json, created_at_ms \
             FROM environments WHERE id <> $1 AND name <> id AND name > $2 \
             AND ($3 = '' OR name LIKE $3 ESCAPE '~') ORDER BY name LIMIT $4",
        )
        .bind(default_id)
        .bind(after)
        .bind(like_pattern(part))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(EnvironmentRecord::try_from).collect()
    }

    /// Makes an environment that signs with the keys of another; `false` when the name is taken.
    pub async fn insert_environment(
        &self,
        record: &EnvironmentRecord,
        keys_of: &str,
        secret: (&str, &[u8]),
    ) -> Result<bool, StoreError> {
        let clock = clock_json(&record.clock)?;
        let _turn = self.write_turn().await;
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query(
            "INSERT INTO environments (id, name, revision, resets, settings, first_settings, clock_json, \
             created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING",
        )
        .bind(&record.id)
        .bind(&record.name)
        .bind(record.revision)
        .bind(record.resets)
        .bind(record.settings.clone())
        .bind(record.first_settings.clone())
        .bind(clock)
        .bind(record.created_at_ms)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO server_secrets (environment_id, name, value, created_at_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(&record.id)
        .bind(secret.0)
        .bind(secret.1.to_vec())
        .bind(record.created_at_ms)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO signing_keys (environment_id, sequence, kid, private_key, created_at_ms, signs_from_ms) \
             SELECT $1, sequence, kid, private_key, created_at_ms, signs_from_ms FROM signing_keys \
             WHERE environment_id = $2",
        )
        .bind(&record.id)
        .bind(keys_of)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Commits a change over the revision in `record`; `false` when somebody else changed it meanwhile.
    pub async fn change_environment(
        &self,
        record: &EnvironmentRecord,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let _turn = self.write_turn().await;
        let mut connection = self.pool.acquire().await?;
        write_record(&mut connection, record, now_ms).await
    }

    /// Deletes an environment with everything in it; `false` when it was gone.
    pub async fn delete_environment(&self, id: &str) -> Result<bool, StoreError> {
        let _turn = self.write_turn().await;
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query("DELETE FROM environments WHERE id = $1").bind(id).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        state::delete_rows(&mut tx, id).await?;
        state::delete_template(&mut tx, id).await?;
        for statement in [
            "DELETE FROM server_secrets WHERE environment_id = $1",
            "DELETE FROM signing_keys WHERE environment_id = $1",
        ] {
            sqlx::query(statement).bind(id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

pub(super) async fn write_record(
    connection: &mut super::Connection,
    record: &EnvironmentRecord,
    now_ms: UnixMs,
) -> Result<bool, StoreError> {
    let query = if record.revision == 0 {
        sqlx::query(
            "INSERT INTO environments (id, name, revision, resets, settings, first_settings, clock_json, \
             created_at_ms, updated_at_ms) VALUES ($1, $2, $3 + 1, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING",
        )
    } else {
        sqlx::query(
            "UPDATE environments SET revision = revision + 1, resets = $4, settings = $5, first_settings = $6, \
             clock_json = $7, updated_at_ms = $8 WHERE id = $1 AND name = $2 AND revision = $3",
        )
    };
    let done = query
        .bind(&record.id)
        .bind(&record.name)
        .bind(record.revision)
        .bind(record.resets)
        .bind(record.settings.clone())
        .bind(record.first_settings.clone())
        .bind(clock_json(&record.clock)?)
        .bind(now_ms)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}
