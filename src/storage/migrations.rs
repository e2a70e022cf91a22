//! The schema's migrations, which are part of the program, and running them.

use std::sync::Arc;
use std::time::Duration;

use rust_embed::RustEmbed;
use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, Error, SqlSafeStr as _};
use tokio::runtime::Handle;

use super::pool::Pool;
use super::{StoreError, postgres, sqlite};

/// How long all migrations together may take.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Whoever migrates a PostgreSQL database holds this lock until the end of the transaction.
const LOCK: &str = "DO $$ BEGIN PERFORM pg_advisory_xact_lock(8530219943614870892); END $$";

/// How often a migration of a shared SQLite file is tried again, beside once for each that somebody else did.
const RETRIES: usize = 5;

/// `0001_environments.sql` and so on.
#[derive(RustEmbed)]
#[folder = "migrations"]
struct Files;

fn migrator() -> Result<Migrator, StoreError> {
    let migrations = Files::iter().map(|name| read(&name).ok_or(StoreError::Unreadable("migration")));
    Ok(Migrator::with_migrations(migrations.collect::<Result<_, _>>()?))
}

/// The number of the newest migration that this program knows.
pub(super) fn newest() -> i64 {
    let numbers = Files::iter().filter_map(|name| Some(read(&name)?.version));
    numbers.max().unwrap_or_default()
}

/// A file's name begins with the number of the migration.
fn read(name: &str) -> Option<Migration> {
    let (number, description) = name.strip_suffix(".sql")?.split_once('_')?;
    let sql = String::from_utf8(Files::get(name)?.data.into_owned()).ok()?;
    Some(Migration::new(
        number.parse().ok()?,
        description.replace('_', " ").into(),
        MigrationType::Simple,
        AssertSqlSafe(sql).into_sql_str(),
        false,
    ))
}

/// Brings an embedded database up to date. There is no lock: a process that loses to another, at any migration, looks again
/// at what is done.
pub(super) async fn run_on_sqlite(options: AnyConnectOptions) -> Result<(), StoreError> {
    // A future that migrates a connection cannot move between threads, see below; one that migrates a pool can.
    let pool = sqlite::pool_of_one(options);
    let migrator = migrator()?;
    let mut outcome = migrator.run(&pool).await;
    for _ in 0..migrator.iter().count() + RETRIES {
        if outcome.is_ok() {
            break;
        }
        outcome = migrator.run(&pool).await;
    }
    pool.close().await;
    Ok(outcome?)
}

/// Brings a PostgreSQL database up to date, in one transaction that holds the lock: a lock of the session, which sqlx would
/// take, stays behind on a connection of a pooler, and so do statements by name.
pub(super) async fn run_on_postgres(pool: &Pool, schema: Arc<str>) -> Result<(), StoreError> {
    let mut migrator = migrator()?;
    migrator.set_locking(false);
    let (begin, through_pooler) = (pool.begin.clone(), pool.through_pooler);
    let mut connection = pool.detached().await?;
    let migrate = async move || {
        let mut tx = connection.begin_with(begin).await?;
        sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
        if through_pooler {
            sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *tx).await?;
        }
        sqlx::raw_sql(LOCK).execute(&mut *tx).await?;
        postgres::use_schema(&mut tx, &schema).await?;
        migrator.run(&mut tx).await?;
        if through_pooler {
            sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(connection.close().await?)
    };
    // The future of `run` cannot move between threads (its `Acquire` holds for one lifetime only), so it stays on one.
    let runtime = Handle::current();
    let migrated = move || runtime.block_on(async { tokio::time::timeout(TIMEOUT, migrate()).await });
    match tokio::task::spawn_blocking(migrated).await {
        Ok(outcome) => outcome.unwrap_or_else(|_| Err(StoreError::no_answer())),
        Err(failed) => Err(Error::Io(failed.into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        let numbers: Vec<i64> = migrator().unwrap().iter().map(|migration| migration.version).collect();
        assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<i64>>());
    }
}
