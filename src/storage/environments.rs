//! Environments: the default one, isolated ones, and for each the template that a reset goes back to.

use super::environment_record::{EnvironmentRecord, Row, clock_json, template_id, writing_record};
use super::{ClientChanges, Store, StoreError, Transaction, clients, like_pattern, roles, sql};
use crate::domain::clock::{ClockSetting, UnixMs};

impl Store {
    /// Makes the row of the default environment and of its template, where they are missing. `settings` are none,
    /// sealed.
    pub async fn ensure_environment(
        &self,
        id: &str,
        settings: &[u8],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let record = EnvironmentRecord {
            id: id.to_owned(),
            name: None,
            version: 1,
            resets: 0,
            settings: settings.to_vec(),
            clock: ClockSetting::default(),
            created_at_ms: now_ms,
        };
        let mut tx = self.begin_write().await?;
        insert(&mut tx, &record).await?;
        Ok(tx.commit().await?)
    }

    /// The environment with this id.
    pub async fn environment_record(&self, id: &str) -> Result<Option<EnvironmentRecord>, StoreError> {
        let row: Option<Row> =
            sql("SELECT id, name, version, resets, settings, clock_json, created_at_ms FROM environments \
             WHERE id = $1 AND kind <> 'template'")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(EnvironmentRecord::try_from).transpose()
    }

    /// The isolated environment of this name.
    pub async fn environment_named(&self, name: &str) -> Result<Option<EnvironmentRecord>, StoreError> {
        let row: Option<Row> =
            sql("SELECT id, name, version, resets, settings, clock_json, created_at_ms FROM environments \
             WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        row.map(EnvironmentRecord::try_from).transpose()
    }

    /// The isolated environments by name, from `after` on, whose name contains `part`.
    pub async fn environment_records(
        &self,
        after: &str,
        part: &str,
        limit: i64,
    ) -> Result<Vec<EnvironmentRecord>, StoreError> {
        let rows: Vec<Row> =
            sql("SELECT id, name, version, resets, settings, clock_json, created_at_ms FROM environments \
             WHERE name > $1 AND ($2 = '' OR name LIKE $2 ESCAPE '~') ORDER BY name LIMIT $3")
            .bind(after)
            .bind(like_pattern(part))
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(EnvironmentRecord::try_from).collect()
    }

    /// The isolated environments by id, behind `after`.
    pub async fn isolated_environments(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<EnvironmentRecord>, StoreError> {
        let rows: Vec<Row> =
            sql("SELECT id, name, version, resets, settings, clock_json, created_at_ms FROM environments \
             WHERE kind = 'isolated' AND id > $1 ORDER BY id LIMIT $2")
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(EnvironmentRecord::try_from).collect()
    }

    /// How many isolated environments there are.
    pub async fn count_environments(&self) -> Result<i64, StoreError> {
        let query = sql("SELECT COUNT(*) FROM environments WHERE name IS NOT NULL");
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// Makes an environment that signs with the keys of another; `false` when the name is taken.
    pub async fn insert_environment(
        &self,
        record: &EnvironmentRecord,
        keys_of: &str,
        secret: (&str, &[u8]),
        clients: &ClientChanges,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        if !insert(&mut tx, record).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        for id in [&template_id(&record.id), &record.id] {
            if !clients::apply(&mut tx, id, clients, record.created_at_ms).await? {
                tx.rollback().await?;
                return Ok(false);
            }
        }
        sql(
            "INSERT INTO server_secrets (environment_id, name, value, created_at_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(&record.id)
        .bind(secret.0)
        .bind(secret.1.to_vec())
        .bind(record.created_at_ms)
        .execute(&mut tx)
        .await?;
        sql(
            "INSERT INTO signing_keys (environment_id, sequence, kid, private_key, created_at_ms, signs_from_ms) \
             SELECT $1, sequence, kid, private_key, created_at_ms, signs_from_ms FROM signing_keys \
             WHERE environment_id = $2",
        )
        .bind(&record.id)
        .bind(keys_of)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Commits a change over the version in `record`; `false` when somebody else changed it meanwhile.
    pub async fn change_environment(
        &self,
        record: &EnvironmentRecord,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        Ok(self.execute(writing_record(record, now_ms)?).await? == 1)
    }

    /// The settings, sealed, that a reset goes back to.
    pub async fn template_settings(&self, environment_id: &str) -> Result<Vec<u8>, StoreError> {
        let query = sql("SELECT settings FROM environments WHERE template_of = $1").bind(environment_id);
        let (settings,): (Vec<u8>,) = query.fetch_one(&self.pool).await?;
        Ok(settings)
    }

    /// Deletes an environment with everything in it; `false` when it was gone.
    pub async fn delete_environment(&self, id: &str) -> Result<bool, StoreError> {
        let query = sql("DELETE FROM environments WHERE id = $1").bind(id);
        Ok(self.execute(query).await? == 1)
    }
}

/// Adds an environment and its template; `false` where its id or its name is taken.
async fn insert(tx: &mut Transaction, record: &EnvironmentRecord) -> Result<bool, StoreError> {
    let clock = clock_json(&record.clock)?;
    let rows = [
        (
            record.id.clone(),
            if record.name.is_some() { "isolated" } else { "default" },
            record.name.clone(),
            None,
        ),
        (template_id(&record.id), "template", None, Some(record.id.clone())),
    ];
    for (id, kind, name, template_of) in rows {
        let done = sql(
            "INSERT INTO environments (id, kind, name, template_of, version, resets, settings, clock_json, \
             created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT DO NOTHING",
        )
        .bind(id.clone())
        .bind(kind)
        .bind(name)
        .bind(template_of)
        .bind(record.version)
        .bind(record.resets)
        .bind(record.settings.clone())
        .bind(&clock)
        .bind(record.created_at_ms)
        .execute(&mut *tx)
        .await?;
        if done == 0 {
            return Ok(false);
        }
        roles::insert_initial(tx, &id, record.created_at_ms).await?;
    }
    Ok(true)
}
