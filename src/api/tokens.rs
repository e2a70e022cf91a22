//! `scalekit.v1.tokens.ApiTokenService`: API tokens of organizations and of their members.

use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, timestamp, to_ms};
use super::pb::scalekit::v1::tokens::api_token_service_server::ApiTokenService;
use super::pb::scalekit::v1::tokens::{
    CreateTokenRequest, CreateTokenResponse, InvalidateTokenRequest, ListTokensRequest, ListTokensResponse,
    Token, UpdateTokenRequest, UpdateTokenResponse, ValidateTokenRequest, ValidateTokenResponse,
};
use crate::domain::api_token::{ApiTokenChange, ApiTokenInfo};
use crate::service::api_tokens::{self, NewApiToken};

#[derive(Clone)]
pub struct Tokens;

#[tonic::async_trait]
impl ApiTokenService for Tokens {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let new = request.into_inner().token.unwrap_or_default();
            let new = NewApiToken {
                organization_id: new.organization_id,
                user_id: Some(new.user_id).filter(|id| !id.is_empty()),
                fields: ApiTokenChange {
                    description: Some(new.description),
                    custom_claims: new.custom_claims.into_iter().collect(),
                },
                expires_at_ms: new.expiry.as_ref().map(to_ms),
            };
            let (info, value) = api_tokens::create(&context, new).await?;
            Ok(CreateTokenResponse {
                token: value.expose_secret().to_owned(),
                token_id: info.token.id.clone(),
                token_info: Some(shown(info)),
            })
        };
        answer(created.await)
    }

    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenResponse>, Status> {
        let validated = async {
            let context = context_of(&request)?;
            let info = api_tokens::validate(&context, &request.into_inner().token).await?;
            Ok(ValidateTokenResponse { token_info: Some(shown(info)) })
        };
        answer(validated.await)
    }

    async fn invalidate_token(
        &self,
        request: Request<InvalidateTokenRequest>,
    ) -> Result<Response<()>, Status> {
        let invalidated = async {
            let context = context_of(&request)?;
            api_tokens::invalidate(&context, &request.into_inner().token).await
        };
        answer(invalidated.await)
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListTokensRequest { organization_id, user_id, page_size, page_token } = request.into_inner();
            let user_id = user_id.as_deref().filter(|id| !id.is_empty());
            let page_size = u32::try_from(page_size).unwrap_or_default();
            let page = api_tokens::list(&context, &organization_id, user_id, page_size, &page_token).await?;
            Ok(ListTokensResponse {
                tokens: page.records.into_iter().map(shown).collect(),
                total_count: i32::try_from(page.total).unwrap_or(i32::MAX),
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
            })
        };
        answer(listed.await)
    }

    async fn update_token(
        &self,
        request: Request<UpdateTokenRequest>,
    ) -> Result<Response<UpdateTokenResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateTokenRequest { token, custom_claims, description } = request.into_inner();
            let change = ApiTokenChange { description, custom_claims: custom_claims.into_iter().collect() };
            let info = api_tokens::update(&context, &token, change).await?;
            Ok(UpdateTokenResponse { token_info: Some(shown(info)) })
        };
        answer(updated.await)
    }
}

fn shown(info: ApiTokenInfo) -> Token {
    let token = info.token;
    Token {
        token_id: token.id,
        organization_id: token.organization_id,
        organization_external_id: info.organization_external_id.unwrap_or_default(),
        user_id: token.user_id,
        user_external_id: info.user_external_id,
        custom_claims: token.custom_claims.into_iter().collect(),
        expiry: token.expires_at_ms.map(timestamp),
        created_at: Some(timestamp(token.created_at_ms)),
        description: token.description,
        token_suffix: token.suffix,
        email: info.email,
        roles: info.roles,
    }
}
