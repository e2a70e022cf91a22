//! Rules for faults, with their counts.

use super::{EnvironmentRecord, Store, StoreError, environment_record::write_record, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::fault::FaultRule;
use crate::domain::json;

/// A rule as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFault {
    pub id: String,
    pub rule: FaultRule,
    pub matched: i64,
    pub fired: i64,
    pub created_at_ms: UnixMs,
}

row! {
    struct Row {
        id: String,
        rule_json: String,
        matched: i64,
        fired: i64,
        created_at_ms: i64,
    }
}

impl Store {
    /// The rules of an environment, oldest first.
    pub async fn faults(&self, environment_id: &str) -> Result<Vec<StoredFault>, StoreError> {
        let rows: Vec<Row> = sql(
            "SELECT id, rule_json, matched, fired, created_at_ms FROM fault_rules WHERE environment_id = $1 ORDER BY id",
        )
        .bind(environment_id)
        .fetch_all(&self.pool)
        .await?;
        let stored = rows.into_iter().map(|row| {
            let rule = json::from_stored(&row.rule_json).map_err(|_| StoreError::Unreadable("fault rule"))?;
            Ok(StoredFault {
                rule,
                id: row.id,
                matched: row.matched,
                fired: row.fired,
                created_at_ms: row.created_at_ms,
            })
        });
        stored.collect()
    }

    /// Adds rules and commits the record; `false`, and nothing written, when the record was changed meanwhile.
    pub async fn insert_faults(
        &self,
        record: &EnvironmentRecord,
        faults: &[StoredFault],
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        if !write_record(&mut tx, record, now_ms).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        for fault in faults {
            let json =
                serde_json::to_string(&fault.rule).map_err(|_| StoreError::Unreadable("fault rule"))?;
            sql("INSERT INTO fault_rules (environment_id, id, rule_json, matched, fired, created_at_ms) \
                 VALUES ($1, $2, $3, 0, 0, $4)")
            .bind(&record.id)
            .bind(&fault.id)
            .bind(json)
            .bind(fault.created_at_ms)
            .execute(&mut tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes one rule, or all, and commits the record. Tells how many went; `None`, and nothing written, when the
    /// record was changed meanwhile.
    pub async fn delete_faults(
        &self,
        record: &EnvironmentRecord,
        id: Option<&str>,
        now_ms: UnixMs,
    ) -> Result<Option<u64>, StoreError> {
        let mut tx = self.begin_write().await?;
        if !write_record(&mut tx, record, now_ms).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let done = sql("DELETE FROM fault_rules WHERE environment_id = $1 AND ($2 = '' OR id = $2)")
            .bind(&record.id)
            .bind(id.unwrap_or_default())
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(Some(done))
    }

    /// Counts a matching request and tells its number; `None` when the rule is gone.
    pub async fn match_fault(&self, environment_id: &str, id: &str) -> Result<Option<i64>, StoreError> {
        let query = sql(
            "UPDATE fault_rules SET matched = matched + 1 WHERE environment_id = $1 AND id = $2 RETURNING matched",
        );
        let row: Option<(i64,)> = self.write(query.bind(environment_id).bind(id)).await?.first()?;
        Ok(row.map(|(matched,)| matched))
    }

    /// Counts a fault, unless the rule has had as many as it may.
    pub async fn fire_fault(&self, environment_id: &str, id: &str, at_most: i64) -> Result<bool, StoreError> {
        let query = sql(
            "UPDATE fault_rules SET fired = fired + 1 WHERE environment_id = $1 AND id = $2 AND fired < $3",
        );
        Ok(self.execute(query.bind(environment_id.to_owned()).bind(id.to_owned()).bind(at_most)).await? == 1)
    }
}
