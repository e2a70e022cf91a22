//! Pure rules: no async, no I/O, no framework. Everything here is decided from its arguments.

pub mod api_error;
pub mod auth_request;
pub mod authorization;
pub mod client;
pub mod clock;
pub mod email;
pub mod entropy;
pub mod environment;
pub mod fault;
pub mod field_error;
pub mod flow;
pub mod glob;
pub mod grant;
pub mod headless;
pub mod host;
pub mod ids;
pub mod limits;
pub mod logout_token;
pub mod pkce;
pub mod redirect_uri;
pub mod scalekit_api;
pub mod session;
pub mod settings_change;
pub mod test_user;
pub mod token;
pub mod user;
