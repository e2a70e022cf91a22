//! `scalekit.v1.auth.passwordless.PasswordlessService`.

use tonic::{Request, Response, Status};

use super::call::{caller_of, context_of};
use super::pb::scalekit::v1::auth::passwordless::passwordless_service_server::PasswordlessService;
use super::pb::scalekit::v1::auth::passwordless::verify_password_less_request::AuthCredential;
use super::pb::scalekit::v1::auth::passwordless::{
    PasswordlessType, ResendPasswordlessRequest, SendPasswordlessRequest, SendPasswordlessResponse,
    TemplateType, VerifyPasswordLessRequest, VerifyPasswordLessResponse,
};
use super::status::refused;
use crate::domain::headless::{Credential, SendInput, Template, VerifyInput};
use crate::domain::settings;
use crate::service::passwordless::headless::{self, Proven, Sent};

#[derive(Clone)]
pub struct Passwordless;

#[tonic::async_trait]
impl PasswordlessService for Passwordless {
    async fn send_passwordless_email(
        &self,
        request: Request<SendPasswordlessRequest>,
    ) -> Result<Response<SendPasswordlessResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            let client = caller_of(&context, &request)?;
            headless::send(&context, client, input(request.into_inner())).await
        };
        answer.await.map(sent).map_err(refused)
    }

    async fn resend_passwordless_email(
        &self,
        request: Request<ResendPasswordlessRequest>,
    ) -> Result<Response<SendPasswordlessResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            headless::resend(&context, request.into_inner().auth_request_id).await
        };
        answer.await.map(sent).map_err(refused)
    }

    async fn verify_passwordless_email(
        &self,
        request: Request<VerifyPasswordLessRequest>,
    ) -> Result<Response<VerifyPasswordLessResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let credential = request.auth_credential.map(|credential| match credential {
                AuthCredential::Code(code) => Credential::Code(code),
                AuthCredential::LinkToken(token) => Credential::LinkToken(token),
            });
            headless::verify(&context, VerifyInput { credential, auth_request_id: request.auth_request_id })
                .await
        };
        answer.await.map(proven).map_err(refused)
    }
}

fn input(request: SendPasswordlessRequest) -> SendInput {
    SendInput {
        template: match request.template() {
            TemplateType::Unspecified => None,
            TemplateType::Signin => Some(Template::SignIn),
            TemplateType::Signup => Some(Template::SignUp),
        },
        email: request.email,
        magiclink_auth_uri: request.magiclink_auth_uri,
        state: request.state,
        expires_in: request.expires_in,
        template_variables: request.template_variables.into_iter().collect(),
    }
}

fn sent(sent: Sent) -> Response<SendPasswordlessResponse> {
    Response::new(SendPasswordlessResponse {
        auth_request_id: sent.auth_request_id,
        expires_at: sent.expires_at_s,
        expires_in: u32::try_from(sent.expires_in_s).unwrap_or(u32::MAX),
        passwordless_type: passwordless_type(sent.passwordless_type).into(),
    })
}

fn proven(proven: Proven) -> Response<VerifyPasswordLessResponse> {
    let template = proven.template.map(|template| match template {
        Template::SignIn => TemplateType::Signin,
        Template::SignUp => TemplateType::Signup,
    });
    Response::new(VerifyPasswordLessResponse {
        email: proven.email.as_str().to_owned(),
        state: proven.state,
        template: template.map(Into::into),
        passwordless_type: passwordless_type(proven.passwordless_type).into(),
    })
}

fn passwordless_type(kind: settings::PasswordlessType) -> PasswordlessType {
    match kind {
        settings::PasswordlessType::Otp => PasswordlessType::Otp,
        settings::PasswordlessType::Link => PasswordlessType::Link,
        settings::PasswordlessType::LinkOtp => PasswordlessType::LinkOtp,
    }
}
