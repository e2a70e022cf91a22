//! How a PostgreSQL database is used: our schema, and how long it may work on a statement.

use sqlx::any::AnyConnectOptions;
use sqlx::{Any, AssertSqlSafe, SqlSafeStr as _, SqlStr, Transaction};

use super::{PostgresOptions, Store, StoreError, sql};

/// How to connect, and how a transaction begins.
pub(super) struct Opened {
    pub(super) options: AnyConnectOptions,
    pub(super) begin: SqlStr,
}

/// What is set for our statements is set with the connection; behind a pooler, which refuses that and gives the connection
/// to others too, with each transaction, in the same round trip.
pub(super) fn open(url: &str, options: &PostgresOptions) -> Result<Opened, StoreError> {
    let mut connect: AnyConnectOptions = url.parse()?;
    let (schema, timeout_ms) = (&options.schema, options.timeout.as_millis());
    if options.is_transaction_pooler {
        let begin = format!(
            "BEGIN; SET LOCAL search_path = \"{schema}\"; SET LOCAL statement_timeout = {timeout_ms}"
        );
        return Ok(Opened { options: connect, begin: AssertSqlSafe(begin).into_sql_str() });
    }
    let mut parameters = connect.database_url.query_pairs_mut();
    parameters.append_pair("options[search_path]", schema);
    parameters.append_pair("options[statement_timeout]", &timeout_ms.to_string());
    drop(parameters);
    Ok(Opened { options: connect, begin: "BEGIN".into_sql_str() })
}

/// Makes our schema where it is missing, and makes sure that tables would go there.
pub(super) async fn use_schema(tx: &mut Transaction<'_, Any>, schema: &str) -> Result<(), StoreError> {
    let missing = |source| StoreError::NoSchema { schema: schema.to_owned(), source };
    let is_there = "SELECT CAST(nspname AS TEXT) FROM pg_namespace WHERE CAST(nspname AS TEXT) = $1";
    let found = sqlx::query(is_there).persistent(false).bind(schema).fetch_optional(&mut **tx).await?;
    if found.is_none() {
        // Even where it exists, IF NOT EXISTS would need the right to create it.
        let create = AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""));
        sqlx::raw_sql(create).execute(&mut **tx).await.map_err(missing)?;
    }
    let current = sqlx::query_scalar("SELECT CAST(pg_catalog.current_schema() AS TEXT)").persistent(false);
    let current: Option<String> = current.fetch_one(&mut **tx).await?;
    if current.as_deref() != Some(schema) {
        return Err(StoreError::IgnoredSchema(schema.to_owned()));
    }
    Ok(())
}

impl Store {
    /// Has PostgreSQL gather statistics of tables that it knows nothing of. Before that it takes any index that begins with
    /// an environment for as good as the primary key, and reads every user to find one. Autovacuum does the same, a
    /// minute later. The embedded engine needs none.
    pub async fn analyze_new_tables(&self) -> Result<(), StoreError> {
        if self.embedded.is_some() {
            return Ok(());
        }
        let analyze = "DO $$ DECLARE new_table record; BEGIN \
             FOR new_table IN SELECT schemaname, relname FROM pg_stat_user_tables \
             WHERE schemaname = current_schema() AND last_analyze IS NULL AND last_autoanalyze IS NULL AND n_live_tup >= 50 \
             LOOP EXECUTE format('ANALYZE %I.%I', new_table.schemaname, new_table.relname); END LOOP; END $$";
        sql(analyze).execute(&self.pool).await?;
        Ok(())
    }
}
