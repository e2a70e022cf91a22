"""What an application with Scalekit's Python SDK does for its customers, against the running server."""

import base64
import json

import pytest
import requests
from scalekit.common import exceptions
from scalekit.v1.clients.clients_pb2 import OrganizationClient
from scalekit.v1.commons.commons_pb2 import Role
from scalekit.v1.organizations.organizations_pb2 import CreateOrganization
from scalekit.v1.roles.roles_pb2 import CreatePermission, CreateRole
from scalekit.v1.users.users_pb2 import CreateMembership, CreateUser, UpdateMembership

from conftest import TRANSPORT
from server import Vestibule
from test_scenarios import client_of, scenario, tokens_of

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def server():
    with Vestibule(TRANSPORT, toml="[tokens]\nuser_management = true\n") as server:
        yield server


@pytest.fixture
def scalekit(server):
    return client_of(server)


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def invited_member(server, scalekit, address):
    """An organization, a role with a permission, and a member who has it and has accepted the invitation."""
    created, _ = scalekit.organization.create_organization(CreateOrganization(display_name="Acme", external_id="acme"))
    scalekit.permissions.create_permission(CreatePermission(name="read:documents", description="Read documents"))
    scalekit.roles.create_role(CreateRole(name="reader", display_name="Reader", permissions=["read:documents"]))
    user = CreateUser(email=address, membership=CreateMembership(roles=[Role(name="reader")]))
    invited, _ = scalekit.users.create_user_and_membership(created.organization.id, user, send_invitation_email=True)
    accepted = requests.post(server.mail_to(address)["link"], headers=FORM, timeout=20)
    assert accepted.status_code == 200, accepted.text
    return created.organization.id, invited.user.id


def machine_client(scalekit, organization_id):
    """A machine client of an organization, which gets tokens of its own until it is deleted."""
    robot = OrganizationClient(name="Robot", scopes=["read"], audience=["documents"])
    made, _ = scalekit.m2m_client.create_organization_client(organization_id, robot)
    client_id = made.client.client_id
    token = claims(scalekit.generate_client_token(client_id, made.plain_secret))
    assert (token["client_id"], token["oid"]) == (client_id, organization_id)
    scalekit.m2m_client.delete_organization_client(organization_id, client_id)
    with pytest.raises(exceptions.ScalekitUnauthorizedException):
        scalekit.generate_client_token(client_id, made.plain_secret)


@scenario("management")
def test_an_organization_has_a_member_with_a_role_and_a_session_and_a_machine(server, scalekit):
    address = "member@example.com"
    organization_id, user_id = invited_member(server, scalekit, address)
    first = tokens_of(server, scalekit, address)
    token = claims(first["access_token"])
    assert (token["sub"], token["oid"]) == (user_id, organization_id)
    assert (token["roles"], token["permissions"]) == (["reader"], ["read:documents"])

    admin = UpdateMembership(roles=[Role(name="admin")])
    scalekit.users.update_membership(organization_id, user_id, admin)
    second = scalekit.refresh_access_token(first["refresh_token"])
    assert claims(second["access_token"])["roles"] == ["admin"]

    listed, _ = scalekit.sessions.get_user_sessions(user_id)
    assert (token["sid"], "active") in [(session.session_id, session.status) for session in listed.sessions]
    revoked, _ = scalekit.sessions.revoke_session(token["sid"])
    assert revoked.revoked_session.status == "revoked"
    with pytest.raises(exceptions.ScalekitBadRequestException):
        scalekit.refresh_access_token(second["refresh_token"])

    machine_client(scalekit, organization_id)
    scalekit.users.delete_user(user_id)
    scalekit.organization.delete_organization(organization_id)
    scalekit.roles.delete_role("reader")
    scalekit.permissions.delete_permission("read:documents")
    for call, name in (
        (scalekit.users.get_user, user_id),
        (scalekit.organization.get_organization, organization_id),
        (scalekit.roles.get_role, "reader"),
        (scalekit.permissions.get_permission, "read:documents"),
    ):
        with pytest.raises(exceptions.ScalekitNotFoundException):
            call(name)
