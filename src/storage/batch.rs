//! Statements that belong together, as one message to the database where that can be.

use std::fmt::Write as _;

use futures_util::TryStreamExt as _;
use sqlx::{AnyConnection, AssertSqlSafe, Either, Error, Executor as _, SqlSafeStr as _};
use tracing::Instrument as _;

use super::statement::{Run, Statement, StatementResult, Value, sql};

/// Statements that go to SQLite in one message at most. The text of each message stays prepared.
const MAX_JOINED: usize = 16;

/// The SQLSTATE of a division by zero: see [`Batch::into_one_statement`].
const DIVISION_BY_ZERO: &str = "22012";

/// Several statements as the text of one, which has the places of all.
#[derive(Default)]
struct Joined {
    text: String,
    values: Vec<Value>,
}

impl Joined {
    /// Adds a statement, whose places come behind those that are there.
    fn add(&mut self, statement: Statement) {
        let mut texts = statement.sql.as_str().split('$');
        self.text.push_str(texts.next().unwrap_or_default());
        for text in texts {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (place, text) = text.split_at(digits);
            let place = place.parse::<usize>().unwrap_or_default() + self.values.len();
            let _ = write!(self.text, "${place}{text}");
        }
        self.values.extend(statement.values);
    }

    fn into_statement(self) -> Statement {
        Statement { sql: AssertSqlSafe(self.text).into_sql_str(), values: self.values }
    }
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
    /// No statement reads or changes what another one writes, and nobody asks what each of them did: PostgreSQL may run all
    /// of them as one.
    is_unordered: bool,
    /// Who waits for events has to be told once it is committed.
    pub(super) has_events: bool,
}

/// What every statement of a batch did; `None`: one that had to touch a row did not, and nothing stays.
pub(super) type BatchResult = Result<Option<Vec<StatementResult>>, Error>;

impl Batch {
    /// See [`Batch::is_unordered`].
    pub(super) fn unordered(self, is_unordered: bool) -> Self {
        Self { is_unordered, ..self }
    }

    pub(super) fn is_unordered(&self) -> bool {
        self.is_unordered
    }

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

    /// The same as one statement of PostgreSQL, which is one message to it and one back. Where a part that has to touch a row
    /// did not, it divides by zero, so that nothing of it stays.
    fn into_one_statement(self) -> Statement {
        let (mut one, mut checks) = (Joined::default(), vec![]);
        for (at, part) in self.parts.into_iter().enumerate() {
            let _ = write!(one.text, "{} p{at} AS (", if at == 0 { "WITH" } else { "," });
            one.add(part.statement);
            one.text.push_str(" RETURNING 1)");
            if part.requires_row {
                checks.push(format!("1 / (SELECT COUNT(*) FROM p{at})"));
            }
        }
        let checks = if checks.is_empty() { "1".to_owned() } else { checks.join(", ") };
        let _ = write!(one.text, " SELECT {checks}");
        one.into_statement()
    }

    async fn run_as_one_statement(self, on: impl Run) -> BatchResult {
        match on.run(self.into_one_statement()).await {
            Ok(result) => Ok(Some(vec![result])),
            Err(Error::Database(db)) if db.code().as_deref() == Some(DIVISION_BY_ZERO) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Runs it on SQLite in a savepoint `batch`, which ends the one of that name before it. Its statements are one message
    /// to the thread of the connection. After anything but `Ok(Some(_))` the caller rolls back.
    pub(super) async fn run_in_savepoint(self, connection: &mut AnyConnection) -> BatchResult {
        let savepoint = ["RELEASE batch", "SAVEPOINT batch"].map(sql);
        let savepoint = savepoint.map(|statement| Part { statement, requires_row: false });
        let mut results = Vec::with_capacity(self.len() + savepoint.len());
        let mut parts = savepoint.into_iter().chain(self.parts).peekable();
        while parts.peek().is_some() {
            match run_joined(parts.by_ref().take(MAX_JOINED), connection).await? {
                Some(more) => results.extend(more),
                None => return Ok(None),
            }
        }
        Ok(Some(results.split_off(2)))
    }

    /// Runs it on PostgreSQL: as one statement where the order does not matter, or one statement after the other. After
    /// anything but `Ok(Some(_))` the caller rolls back.
    pub(super) async fn run_on<C: Send>(self, connection: &mut C) -> BatchResult
    where
        for<'c> &'c mut C: Run,
    {
        if self.is_unordered && self.len() > 1 {
            return self.run_as_one_statement(connection).await;
        }
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

/// Statements that need not stand or fall together in batches of the same text, as many of it as a power of two: there
/// are few such batches, so that all of them stay prepared.
pub(super) fn batches_of_alike(statements: Vec<Statement>) -> Vec<Batch> {
    let (mut batches, mut left) = (vec![], statements);
    while let Some(first) = left.first() {
        let alike = left.iter().take_while(|s| s.sql.as_str() == first.sql.as_str()).take(MAX_JOINED).count();
        let rest = left.split_off(1 << alike.ilog2());
        let mut batch = Batch::default().unordered(true);
        for statement in left {
            batch.write(statement);
        }
        batches.push(batch);
        left = rest;
    }
    batches
}

/// Runs statements of SQLite, each when the one before it has ended. `None`: one that had to touch a row did not.
async fn run_joined(parts: impl Iterator<Item = Part>, connection: &mut AnyConnection) -> BatchResult {
    let (mut joined, mut kinds) = (Joined::default(), vec![]);
    for part in parts {
        kinds.push((part.requires_row, part.statement.is_reading()));
        joined.add(part.statement);
        joined.text.push(';');
    }
    let statement = joined.into_statement();
    let (span, mut results) = (statement.span(), vec![]);
    let running = async {
        let mut steps = connection.fetch_many(statement.into_query());
        let mut rows = vec![];
        while let Some(step) = steps.try_next().await? {
            match step {
                Either::Right(row) => rows.push(row),
                Either::Left(end) => {
                    let rows = std::mem::take(&mut rows);
                    let (requires_row, is_reading) = kinds.get(results.len()).copied().unwrap_or_default();
                    let rows_affected = if is_reading { rows.len() as u64 } else { end.rows_affected() };
                    if requires_row && rows_affected != 1 {
                        return Ok(None);
                    }
                    results.push(StatementResult { rows, rows_affected });
                }
            }
        }
        Ok(Some(results))
    };
    running.instrument(span).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserting(id: &str) -> Statement {
        sql("insert into t (id, n) VALUES ($1, $2)").bind(id).bind(1)
    }

    #[test]
    fn joined_statements_keep_their_values() {
        let mut joined = Joined::default();
        joined.add(inserting("a"));
        joined.add(sql("; update t SET n = $2 + $3 WHERE id = $1 AND n <> $2").bind("a").bind(2).bind(3));
        let statement = joined.into_statement();
        let text =
            "insert into t (id, n) VALUES ($1, $2); update t SET n = $4 + $5 WHERE id = $3 AND n <> $4";
        assert_eq!((statement.sql.as_str(), statement.values.len()), (text, 5));
    }

    #[test]
    fn one_statement_of_postgresql_fails_where_a_row_was_not_touched() {
        let mut batch = Batch::default();
        batch.require_one_row(sql("update t SET n = 2 WHERE id = $1").bind("a"));
        batch.write(inserting("b"));
        let text = concat!(
            "WITH",
            " p0 AS (update t SET n = 2 WHERE id = $1 RETURNING 1),",
            " p1 AS (insert into t (id, n) VALUES ($2, $3) RETURNING 1) SELECT 1 / (SELECT COUNT(*) FROM p0)"
        );
        assert_eq!(batch.into_one_statement().sql.as_str(), text);
    }

    #[test]
    fn alike_statements_make_few_texts() {
        let statements = (0..27).map(|n| inserting(&n.to_string()));
        let batches = batches_of_alike(statements.chain([sql("delete FROM t"), inserting("last")]).collect());
        let lengths: Vec<usize> = batches.iter().map(Batch::len).collect();
        assert_eq!(lengths, [16, 8, 2, 1, 1, 1]);
        assert!(batches_of_alike(vec![]).is_empty());
    }
}
