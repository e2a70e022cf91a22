//! How the API names a record: by our id, or by the application's own.

/// The id of a record, or the one that the application gave it: the arms of a request's `identities`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKey {
    /// Ours.
    Id(String),
    /// The application's own, compared byte for byte.
    ExternalId(String),
}

impl std::fmt::Display for RecordKey {
    /// As a sentence goes on: `organization org_1`, `organization with external_id "acme"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::ExternalId(id) => write!(f, "with external_id {id:?}"),
        }
    }
}
