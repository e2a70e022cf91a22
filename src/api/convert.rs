//! What messages of several services have in common, to and from our own types.

use prost_types::{FieldMask, Timestamp};
use tonic::{Response, Status};

use super::status::refused;
use crate::domain::api_error::FieldViolation;
use crate::domain::clock::UnixMs;
use crate::domain::record_key::RecordKey;
use crate::service::api::ApiRefusal;

/// The answer of a handler.
pub(super) fn answer<T>(outcome: Result<T, ApiRefusal>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(refused)
}

pub(super) fn to_ms(time: &Timestamp) -> UnixMs {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000)
}

pub(super) fn timestamp(ms: UnixMs) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    Timestamp { seconds: ms.div_euclid(1000), nanos }
}

/// The record that a request's `identities` name.
pub(super) fn record_key(identities: Option<impl Into<RecordKey>>) -> Result<RecordKey, ApiRefusal> {
    let missing = || {
        let text = "identities is required: id or external_id";
        vec![FieldViolation::new("identities", "required", text)].into()
    };
    identities.map(Into::into).ok_or_else(missing)
}

/// Makes a request's `identities` a [`RecordKey`]. In front of a colon stands the arm of our own id, where it is not `Id`.
macro_rules! record_keys {
    ($id:ident: $($request:ident),+ $(,)?) => {
        $(impl From<$request::Identities> for RecordKey {
            fn from(identities: $request::Identities) -> Self {
                match identities {
                    $request::Identities::$id(id) => Self::Id(id),
                    $request::Identities::ExternalId(id) => Self::ExternalId(id),
                }
            }
        })+
    };
    ($($request:ident),+ $(,)?) => { record_keys!(Id: $($request),+); };
}
pub(super) use record_keys;

/// A number that stands for nothing.
pub(super) fn undefined(field: &str) -> ApiRefusal {
    let text = format!("{field} is invalid: there is no such value");
    vec![FieldViolation::new(field, "defined_only", text)].into()
}

/// The fields that an update mask, itself a field of this name, names; `None`: there is no mask.
pub(super) fn masked_fields(
    field: &str,
    mask: Option<FieldMask>,
    known: &[&str],
) -> Result<Option<Vec<String>>, ApiRefusal> {
    let paths = mask.map(|mask| mask.paths).filter(|paths| !paths.is_empty());
    let unknown = paths.iter().flatten().find(|path| !known.contains(&path.as_str()));
    match unknown {
        None => Ok(paths),
        Some(path) => {
            let text = format!("{field} is invalid: {path:?} is none of {}", known.join(", "));
            Err(vec![FieldViolation::new(field, "in", text)].into())
        }
    }
}
