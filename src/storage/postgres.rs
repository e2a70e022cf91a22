//! How a PostgreSQL database is used: our schema, and how long it may work on a statement.

use sqlx::any::AnyConnectOptions;
use sqlx::{Any, AssertSqlSafe, SqlSafeStr as _, SqlStr, Transaction};

use super::{PostgresOptions, StoreError};

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
