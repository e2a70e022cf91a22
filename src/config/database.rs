//! Which database: `[database]` and `ephemeral`.

use secrecy::SecretString;

use super::setting::{Facts, Section, Setting};
use super::source::Source;

pub(super) static EPHEMERAL: Setting<bool> = Setting::boolean(
    "ephemeral",
    false,
    "Keep nothing: the database is a private temporary file, deleted at the end.",
);

pub(super) static URL: Setting<Option<&str>> = Setting::optional_text(
    "database.url",
    "postgres://user:password@localhost/vestibule",
    "Several servers may share one database.",
)
.also_from("DATABASE_URL");

static MAX_CONNECTIONS: Setting<i64> =
    Setting::integer("database.max_connections", 1..=1000, 10, "Connections per server.");

static TIMEOUT_S: Setting<i64> = Setting::integer(
    "database.timeout_s",
    1..=60,
    5,
    "Seconds to wait for a connection, and for each response, before a request fails with 503.",
);

static SCHEMA: Setting<&str> = Setting::text(
    "database.schema",
    "vestibule",
    "Schema of Vestibule's tables, apart from an application's own in the same database. It is created where it is missing.",
);

static TRANSACTION_POOLER: Setting<bool> = Setting::boolean(
    "database.transaction_pooler",
    false,
    "Set it to true if PgBouncer or another pooler is in front of the database.",
);

pub(super) fn settings() -> Vec<Facts> {
    vec![EPHEMERAL.facts()]
}

pub(super) fn section() -> Section {
    Section {
        table: "database",
        is_list: false,
        about: "PostgreSQL instead of the embedded database.",
        settings: vec![
            URL.facts(),
            MAX_CONNECTIONS.facts(),
            TIMEOUT_S.facts(),
            SCHEMA.facts(),
            TRANSACTION_POOLER.facts(),
        ],
    }
}

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file below `data_dir`.
    Sqlite,
    /// A private file that is deleted at the end.
    Ephemeral,
    Postgres {
        url: SecretString,
        max_connections: u32,
        /// How long a request waits for a connection, and for each response, in seconds.
        timeout_s: u64,
        /// Where our tables are.
        schema: String,
        /// In between is a pooler in transaction mode.
        is_transaction_pooler: bool,
    },
}

pub(super) fn read(source: &mut Source) -> Database {
    let ephemeral = source.boolean(&EPHEMERAL);
    let max_connections = source.unsigned(&MAX_CONNECTIONS);
    let timeout_s = source.integer(&TIMEOUT_S).unsigned_abs();
    let schema = read_schema(source);
    let is_transaction_pooler = source.boolean(&TRANSACTION_POOLER);
    match source.optional_text(&URL) {
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            if ephemeral {
                let text = "cannot be combined with a PostgreSQL database (DATABASE_URL)";
                source.problem(EPHEMERAL.key(), text);
            }
            let url = SecretString::from(url);
            Database::Postgres { url, max_connections, timeout_s, schema, is_transaction_pooler }
        }
        Some(_) => {
            let text = "must start with postgres://; leave it out for the embedded database";
            source.problem(URL.key(), text);
            Database::Sqlite
        }
        None if ephemeral => Database::Ephemeral,
        None => Database::Sqlite,
    }
}

/// A plain name: it needs no quotes in PostgreSQL's own tools either.
fn read_schema(source: &mut Source) -> String {
    let schema = source.text(&SCHEMA);
    let is_plain = schema.len() <= 63
        && schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !schema.starts_with("pg_");
    if !is_plain {
        source.problem(
            SCHEMA.key(),
            "must be a name of lower-case letters, digits and underscores that does not begin with a digit or pg_",
        );
    }
    schema
}
