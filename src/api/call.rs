//! What a handler knows of its call besides the message.

use tonic::Request;

use crate::domain::api_error::ApiErrorCode;
use crate::domain::client::Client;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;

/// Largest message taken, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The id of the client that calls, in the request's extensions.
#[derive(Debug, Clone)]
pub struct CallerId(pub String);

/// The context that `services` put there.
pub fn context_of<T>(request: &Request<T>) -> Result<Context, ApiRefusal> {
    let context = request.extensions().get::<Context>().cloned();
    context.ok_or_else(|| ApiRefusal::new(ApiErrorCode::Internal, "the call has no context"))
}

/// The client that calls.
pub fn caller_of<'c, T>(context: &'c Context, request: &Request<T>) -> Result<&'c Client, ApiRefusal> {
    let id = request.extensions().get::<CallerId>();
    let client = id.and_then(|id| context.environment.client(&id.0));
    client.ok_or_else(|| ApiRefusal::new(ApiErrorCode::Unauthenticated, "the call has no client"))
}
