//! A statement with its values.
//!
//! `sql("… $1 …").bind(value).fetch_all(&pool)` reads like sqlx's own queries. It differs in that every answer is waited
//! for only so long, and in that nothing stays prepared behind a pooler (see [`super::pool`]).

use futures_util::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Either, Error, Executor as _, FromRow, SqlStr};
use tracing::{Instrument as _, Span};

/// What a statement can run on: the pool, which lends a connection for it, or a transaction.
pub(super) trait Run: Send {
    fn run(self, statement: Statement) -> impl Future<Output = Result<StatementResult, Error>> + Send;
}

/// What stands in a place of a statement.
pub(super) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! values {
    ($($kind:ident: $($from:ty),+;)+) => {$($(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$kind(Some(value.into()))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$kind(value.map(Into::into))
            }
        }
    )+)+};
}
values! {
    Integer: i64, i32;
    Text: String, &str, &String;
    Bytes: Vec<u8>, &[u8];
}

/// A statement with the values of its places.
pub(super) struct Statement {
    pub(super) sql: SqlStr,
    pub(super) values: Vec<Value>,
}

/// A statement with places `$1`, `$2`…, whose values are bound in their order.
pub(super) fn sql(sql: &'static str) -> Statement {
    Statement { sql: SqlStr::from_static(sql), values: vec![] }
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
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
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
        let (span, is_reading) = (self.span(), self.is_reading());
        let steps = connection.fetch_many(self.into_query().persistent(is_persistent)).try_collect();
        let steps: Vec<_> = steps.instrument(span).await?;
        let mut result = StatementResult::default();
        for step in steps {
            match step {
                Either::Left(end) => result.rows_affected += end.rows_affected(),
                Either::Right(row) => result.rows.push(row),
            }
        }
        if is_reading {
            result.rows_affected = result.rows.len() as u64;
        }
        Ok(result)
    }

    /// Does it only read? SQLite would tell how many rows the statement before it changed.
    pub(super) fn is_reading(&self) -> bool {
        self.sql.as_str().starts_with("SELECT")
    }

    /// It in a trace: its text, in which values are places, and never what stands in them.
    pub(super) fn span(&self) -> Span {
        tracing::debug_span!("statement", otel.kind = "client", db.query.text = self.sql.as_str())
    }

    pub(super) fn into_query(self) -> Query<'static, Any, AnyArguments> {
        self.values.into_iter().fold(sqlx::query(self.sql), |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        })
    }
}
