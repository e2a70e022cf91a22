//! The page where a user chooses the organization that a sign-in enters.

use super::interception::Answers;
use super::organization_entry;
use super::passwordless::{PasswordlessError, answer_by_session, answering_session, request_of_browser};
use super::sessions::Browser;
use super::sign_in::{self, Arrival, Entering, Judged, SignedIn};
use super::{Failure, memberships, retry_on_conflict};
use crate::domain::auth_request::AuthRequest;
use crate::domain::email::EmailAddress;
use crate::domain::organization_choice::{OrganizationChoice, OrganizationEntry, Tie};
use crate::domain::record_key::RecordKey;
use crate::domain::session::Session;
use crate::domain::user::{User, UserSummary};
use crate::runtime::Context;
use crate::storage::{StoreError, WithUser};

/// What a user chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// The organization of this id.
    Organization(String),
    /// One that is made for the user.
    New,
    /// What is left where nothing is to choose.
    Decided,
}

/// What came of a choice.
#[derive(Debug)]
pub enum ChoiceResult {
    SignedIn(SignedIn),
    /// That is not offered, or not any more.
    NotOffered,
}

/// What is offered to whom.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The address of the user.
    pub email: EmailAddress,
    pub choice: OrganizationChoice,
    /// Nothing is to choose: the sign-in was interrupted while an interceptor was asked, or what it could enter is full.
    /// It goes on.
    pub is_decided: bool,
}

/// What a request offers to this browser, which began it or proved the address. `None`: there is nothing to choose.
pub async fn offer(
    context: &Context,
    browser: &Browser,
    request: &AuthRequest,
) -> Result<Option<Offer>, Failure> {
    if request.closed(context.now_ms()).is_some() {
        return Ok(None);
    }
    if let Some(email) = request.choosing() {
        let user = context.store().user_of_email(context.environment_id(), email).await?;
        let authorization = &request.origin.authorization;
        let (entry, choice) =
            organization_entry::decide_on_page(context, authorization, email, user.as_ref()).await?;
        let is_decided = entry != OrganizationEntry::Choose;
        let may_create = if is_decided { entry == OrganizationEntry::New } else { choice.may_create };
        let choice = OrganizationChoice { may_create, ..choice };
        return Ok(Some(Offer { email: email.clone(), choice, is_decided }));
    }
    let Some((session, _)) = choosing_session(context, browser, request).await? else { return Ok(None) };
    let Some((user, choice)) = choice_of_session(context, &session).await? else { return Ok(None) };
    Ok((choice.options.len() > 1).then_some(Offer { email: user.email, choice, is_decided: false }))
}

/// The browser's session, where its user may choose: the application named no organization.
async fn choosing_session(
    context: &Context,
    browser: &Browser,
    request: &AuthRequest,
) -> Result<Option<(Session, UserSummary)>, Failure> {
    let is_named = request.origin.authorization.organization_id.is_some();
    if is_named || !context.environment.tokens.user_management {
        return Ok(None);
    }
    answering_session(context, browser, request).await
}

/// What the user of a session can enter without a new proof: nothing is made for a session.
async fn choice_of_session(
    context: &Context,
    session: &Session,
) -> Result<Option<(User, OrganizationChoice)>, Failure> {
    let key = RecordKey::Id(session.user_id.clone());
    let Some(user) = context.store().user(context.environment_id(), &key).await? else { return Ok(None) };
    let choice = organization_entry::choice(context, &user.email, Some(&user)).await?;
    Ok(Some((user, OrganizationChoice { may_create: false, ..choice })))
}

/// Enters what the user chose, by one write that uses the request up.
pub async fn choose(
    context: &Context,
    browser: &Browser,
    id: &str,
    chosen: &Chosen,
) -> Result<ChoiceResult, PasswordlessError> {
    let answers = &Answers::default();
    retry_on_conflict(|| async {
        let request = request_of_browser(context, browser, id).await?;
        if let Some(closed) = request.closed(context.now_ms()) {
            return Err(PasswordlessError::Closed(closed));
        }
        match request.choosing().cloned() {
            Some(_) if *chosen == Chosen::Decided => {
                let done = sign_in::finish(context, id, browser, true).await?;
                Ok(Some(ChoiceResult::SignedIn(done)))
            }
            Some(email) => by_proof(context, browser, request, &email, chosen, answers).await,
            None => by_session(context, browser, &request, chosen).await,
        }
    })
    .await
}

fn entering(choice: &OrganizationChoice, chosen: &Chosen) -> Option<Entering> {
    let id = match chosen {
        Chosen::New => return choice.may_create.then_some(Entering::New),
        Chosen::Decided => return None,
        Chosen::Organization(id) => id,
    };
    Some(match choice.tie(id)? {
        Tie::Member => Entering::Existing(Some(id.clone())),
        Tie::Invited => Entering::Invited(id.clone()),
        Tie::AllowedDomain => Entering::AllowedDomain(id.clone()),
    })
}

/// `None`: somebody else moved request or user meanwhile.
async fn by_proof(
    context: &Context,
    browser: &Browser,
    request: AuthRequest,
    email: &EmailAddress,
    chosen: &Chosen,
    answers: &Answers,
) -> Result<Option<ChoiceResult>, PasswordlessError> {
    let before = context.store().user_of_email(context.environment_id(), email).await?;
    if before.is_none() && !context.environment.passwordless.sign_up_allowed {
        return Ok(Some(ChoiceResult::NotOffered));
    }
    let choice = organization_entry::choice(context, email, before.as_ref()).await?;
    let judged = request.choose(context.now_ms()).map_err(PasswordlessError::Closed)?;
    let (Some(judged), Some(entering)) = (judged, entering(&choice, chosen)) else {
        return Ok(Some(ChoiceResult::NotOffered));
    };
    let judged = Judged { request: &judged, email, proof: None, counted: None };
    let done = sign_in::commit(context, judged, before.as_ref(), &entering, browser, answers).await?;
    Ok(done.map(ChoiceResult::SignedIn))
}

/// The same for a choice that needs no new proof.
async fn by_session(
    context: &Context,
    browser: &Browser,
    request: &AuthRequest,
    chosen: &Chosen,
) -> Result<Option<ChoiceResult>, PasswordlessError> {
    let Some((session, summary)) = choosing_session(context, browser, request).await? else {
        return Ok(Some(ChoiceResult::NotOffered));
    };
    let Some((user, choice)) = choice_of_session(context, &session).await? else {
        return Ok(Some(ChoiceResult::NotOffered));
    };
    let organization_id = match entering(&choice, chosen) {
        Some(Entering::Existing(id)) => id,
        Some(entering @ (Entering::Invited(_) | Entering::AllowedDomain(_))) => {
            let Some(id) = join(context, &user, &entering).await? else { return Ok(None) };
            Some(id)
        }
        Some(Entering::New | Entering::Granted(_)) | None => return Ok(Some(ChoiceResult::NotOffered)),
    };
    let done = answer_by_session(context, request, &session, &summary, organization_id, browser).await?;
    Ok(Some(ChoiceResult::SignedIn(done)))
}

/// Makes the user of a session a member, and gives the organization's id. `None`: somebody else changed the user or the
/// organization meanwhile.
async fn join(context: &Context, before: &User, entering: &Entering) -> Result<Option<String>, Failure> {
    let arrival = sign_in::arrive(context, &before.email, Some(before), entering).await?;
    let Some(Arrival { mut user, joined: Some(organization), told, .. }) = arrival else { return Ok(None) };
    let mut held = None;
    if matches!(entering, Entering::AllowedDomain(_)) {
        held = organization.max_allowed_users.and(Some(&organization));
        let roles = memberships::default_roles(context, &organization.id).await?;
        if let Some(membership) = user.membership_mut(&organization.id) {
            membership.roles = roles;
        }
    }
    let with = WithUser { held, events: &told, ..WithUser::default() };
    match context.store().update_user(context.environment_id(), before, &user, with).await {
        Ok(true) => Ok(Some(organization.id)),
        Ok(false) | Err(StoreError::MissingParent(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
