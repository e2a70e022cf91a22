//! Rows as structs, without a derive: sqlx's would build a second SQLite for the compiler's sake.

use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What a field of a `row!` is read from: the column of its name or, where it is a `row!` itself, several of the same row.
pub(super) trait Column: Sized {
    fn read(row: &AnyRow, name: &str) -> Result<Self, sqlx::Error>;
}

macro_rules! columns {
    ($($type:ty),*) => {
        $(impl Column for $type {
            fn read(row: &AnyRow, name: &str) -> Result<Self, sqlx::Error> {
                row.try_get(name)
            }
        })*
    };
}

columns!(i64, String, Vec<u8>, Option<i64>, Option<String>, Option<Vec<u8>>);

/// A struct whose fields are read from the columns of the same names.
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type,)*
        }

        impl<'r> sqlx::FromRow<'r, sqlx::any::AnyRow> for $name {
            fn from_row(row: &'r sqlx::any::AnyRow) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: $crate::storage::row::Column::read(row, stringify!($field))?,)* })
            }
        }

        impl $crate::storage::row::Column for $name {
            fn read(row: &sqlx::any::AnyRow, _name: &str) -> Result<Self, sqlx::Error> {
                sqlx::FromRow::from_row(row)
            }
        }
    };
}

pub(super) use row;
