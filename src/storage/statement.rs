//! A statement with its values, and statements that belong together.
//!
//! `sql("… $1 …").bind(value).fetch_all(&pool)` reads like sqlx's own queries. It differs in that every answer is waited
//! for only so long, and in that nothing stays prepared behind a pooler (see [`super::pool`]).

use futures_util::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Either, Encode, Error, Executor as _, FromRow, Type};
use tracing::{Instrument as _, Span};

/// What a statement can run on: the pool, which lends a connection for it, or a transaction.
pub(super) trait Run: Send {
    fn run(self, statement: Statement) -> impl Future<Output = Result<StatementResult, Error>> + Send;
}

/// A statement with the values of its places.
pub(super) struct Statement {
    sql: &'static str,
    query: Query<'static, Any, AnyArguments>,
}

/// A statement with places `$1`, `$2`…, whose values are bound in their order.
pub(super) fn sql(sql: &'static str) -> Statement {
    Statement { sql, query: sqlx::query(sql) }
}

/// What a statement did.
#[derive(Default)]
pub(super) struct StatementResult {
    pub(super) rows: Vec<AnyRow>,
    /// Rows that were changed, or found where the statement only reads.
    pub(super) rows_affected: u64,
}

impl StatementResult {
    /// The first row, as `O`.
    pub(super) fn first<O: for<'r> FromRow<'r, AnyRow>>(&self) -> Result<Option<O>, Error> {
        self.rows.first().map(O::from_row).transpose()
    }
}

impl Statement {
    /// Gives the next place its value.
    pub(super) fn bind<'t, T: Encode<'t, Any> + Type<Any>>(self, value: T) -> Self {
        Self { query: self.query.bind(value), ..self }
    }

    /// Whatever it gives.
    pub(super) async fn run(self, on: impl Run) -> Result<StatementResult, Error> {
        on.run(self).await
    }

    /// All rows.
    pub(super) async fn fetch_all<O>(self, on: impl Run) -> Result<Vec<O>, Error>
    where
        O: for<'r> FromRow<'r, AnyRow>,
    {
        on.run(self).await?.rows.iter().map(O::from_row).collect()
    }

    /// The first row, if there is one.
    pub(super) async fn fetch_optional<O>(self, on: impl Run) -> Result<Option<O>, Error>
    where
        O: for<'r> FromRow<'r, AnyRow>,
    {
        on.run(self).await?.first()
    }

    /// The first row.
    pub(super) async fn fetch_one<O>(self, on: impl Run) -> Result<O, Error>
    where
        O: for<'r> FromRow<'r, AnyRow>,
    {
        on.run(self).await?.first()?.ok_or(Error::RowNotFound)
    }

    /// How many rows it touched.
    pub(super) async fn execute(self, on: impl Run) -> Result<u64, Error> {
        Ok(on.run(self).await?.rows_affected)
    }

    /// Runs it to its end. A persistent statement stays prepared on its connection.
    pub(super) async fn run_to_end(
        self,
        connection: &mut AnyConnection,
        is_persistent: bool,
    ) -> Result<StatementResult, Error> {
        let span = statement_span(self.sql);
        let steps = connection.fetch_many(self.query.persistent(is_persistent)).try_collect();
        let steps: Vec<_> = steps.instrument(span).await?;
        let mut result = StatementResult::default();
        for step in steps {
            match step {
                Either::Left(end) => result.rows_affected += end.rows_affected(),
                Either::Right(row) => result.rows.push(row),
            }
        }
        // SQLite would tell how many rows the statement before it changed.
        if self.sql.starts_with("SELECT") {
            result.rows_affected = result.rows.len() as u64;
        }
        Ok(result)
    }
}

/// One statement in a trace: its text, in which values are places, and never what stands in them.
pub(super) fn statement_span(sql: &'static str) -> Span {
    tracing::debug_span!("statement", otel.kind = "client", db.query.text = sql)
}

/// A statement of a batch.
struct Part {
    statement: Statement,
    /// It has to touch or find one row, or nothing of the batch stays.
    requires_row: bool,
}

/// Writes that belong together, as values: nothing of them has to be read before the next can be said. They are one
/// transaction on both engines.
#[derive(Default)]
pub(super) struct Batch {
    parts: Vec<Part>,
    /// Who waits for events has to be told once it is committed.
    pub(super) has_events: bool,
}

/// What every statement of a batch did; `None`: one that had to touch a row did not, and nothing stays.
pub(super) type BatchResult = Result<Option<Vec<StatementResult>>, Error>;

impl Batch {
    pub(super) fn write(&mut self, statement: Statement) {
        self.parts.push(Part { statement, requires_row: false });
    }

    /// A statement that has to touch or find one row, or nothing of the batch stays.
    pub(super) fn require_one_row(&mut self, statement: Statement) {
        self.parts.push(Part { statement, requires_row: true });
    }

    /// How many statements it has.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Runs one statement after the other. After anything but `Ok(Some(_))` the caller rolls back.
    pub(super) async fn run_on<C: Send>(self, connection: &mut C) -> BatchResult
    where
        for<'c> &'c mut C: Run,
    {
        let mut results = Vec::with_capacity(self.len());
        for part in self.parts {
            let result = connection.run(part.statement).await?;
            if part.requires_row && result.rows_affected != 1 {
                return Ok(None);
            }
            results.push(result);
        }
        Ok(Some(results))
    }
}
