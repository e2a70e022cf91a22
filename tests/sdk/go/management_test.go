package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	scalekit "github.com/scalekit-inc/scalekit-sdk-go/v2"
	commonsv1 "github.com/scalekit-inc/scalekit-sdk-go/v2/pkg/grpc/scalekit/v1/commons"
	rolesv1 "github.com/scalekit-inc/scalekit-sdk-go/v2/pkg/grpc/scalekit/v1/roles"
	usersv1 "github.com/scalekit-inc/scalekit-sdk-go/v2/pkg/grpc/scalekit/v1/users"
)

func succeeds(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// claimsOf reads a token, without a look at its signature.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	succeeds(t, err)
	var claims map[string]any
	succeeds(t, json.Unmarshal(payload, &claims))
	return claims
}

// invitedMember makes an organization, a role with a permission, and a member who has it and has accepted the
// invitation; it gives the ids of organization and user.
func (a *app) invitedMember(t *testing.T, address string) (string, string) {
	t.Helper()
	ctx := t.Context()
	created, err := a.Organization().CreateOrganization(ctx, "Acme", scalekit.CreateOrganizationOptions{ExternalId: "acme"})
	succeeds(t, err)
	_, err = a.Permission().CreatePermission(ctx, &rolesv1.CreatePermission{Name: "read:documents", Description: "Read documents"})
	succeeds(t, err)
	_, err = a.Role().CreateRole(ctx, &rolesv1.CreateRole{Name: "reader", DisplayName: "Reader", Permissions: []string{"read:documents"}})
	succeeds(t, err)
	membership := &usersv1.CreateMembership{Roles: []*commonsv1.Role{{Name: "reader"}}}
	organization := created.GetOrganization().GetId()
	invited, err := a.User().CreateUserAndMembership(ctx, organization, &usersv1.CreateUser{Email: address, Membership: membership}, true)
	succeeds(t, err)
	response, err := http.Post(a.mail(t, address, nil).Link, "application/x-www-form-urlencoded", nil)
	succeeds(t, err)
	response.Body.Close()
	equal(t, "the status of the acceptance", response.StatusCode, http.StatusOK)
	return organization, invited.GetUser().GetId()
}

// machineClient makes a machine client of an organization, which gets tokens of its own until it is deleted.
func (a *app) machineClient(t *testing.T, organization string) {
	t.Helper()
	ctx := t.Context()
	options := scalekit.CreateOrganizationClientOptions{Name: "Robot", Scopes: []string{"read"}, Audience: []string{"documents"}}
	made, err := a.M2M().CreateOrganizationClient(ctx, organization, options)
	succeeds(t, err)
	machine := made.GetClient().GetClientId()
	credentials := scalekit.GenerateClientTokenOptions{ClientID: machine, ClientSecret: made.GetPlainSecret()}
	token, err := a.GenerateClientToken(ctx, credentials)
	succeeds(t, err)
	claims := claimsOf(t, token.AccessToken)
	equal[any](t, "client_id", claims["client_id"], machine)
	equal[any](t, "oid", claims["oid"], organization)
	succeeds(t, a.M2M().DeleteOrganizationClient(ctx, organization, machine))
	_, err = a.GenerateClientToken(ctx, credentials)
	refusedByOAuth(t, err, http.StatusUnauthorized, "invalid_client")
}

func management(t *testing.T, main *app) {
	app := appOf(t, startFor(t, main.transport, "management"), main.transport)
	ctx := t.Context()
	address := app.addressFor("member")
	organization, user := app.invitedMember(t, address)
	first := app.signedIn(t, address, scalekit.AuthorizationUrlOptions{Scopes: []string{"openid", "email", "offline_access"}})
	claims := claimsOf(t, first.AccessToken)
	equal[any](t, "sub", claims["sub"], user)
	equal[any](t, "oid", claims["oid"], organization)
	equal(t, "roles", fmt.Sprint(claims["roles"]), "[reader]")
	equal(t, "permissions", fmt.Sprint(claims["permissions"]), "[read:documents]")

	admin := &usersv1.UpdateMembership{Roles: []*commonsv1.Role{{Name: "admin"}}}
	_, err := app.User().UpdateMembership(ctx, organization, user, admin)
	succeeds(t, err)
	second, err := app.RefreshAccessToken(ctx, first.RefreshToken)
	succeeds(t, err)
	equal(t, "roles after a refresh", fmt.Sprint(claimsOf(t, second.AccessToken)["roles"]), "[admin]")

	listed, err := app.Session().GetUserSessions(ctx, user, 10, "", nil)
	succeeds(t, err)
	statuses := map[string]string{}
	for _, session := range listed.GetSessions() {
		statuses[session.GetSessionId()] = session.GetStatus()
	}
	session := fmt.Sprint(claims["sid"])
	equal(t, "the status of the session", statuses[session], "active")
	revoked, err := app.Session().RevokeSession(ctx, session)
	succeeds(t, err)
	equal(t, "the status of the revoked session", revoked.GetRevokedSession().GetStatus(), "revoked")
	_, err = app.RefreshAccessToken(ctx, second.RefreshToken)
	refusedByOAuth(t, err, http.StatusBadRequest, "invalid_grant")

	app.machineClient(t, organization)
	succeeds(t, app.User().DeleteUser(ctx, user))
	succeeds(t, app.Organization().DeleteOrganization(ctx, organization))
	succeeds(t, app.Role().DeleteRole(ctx, "reader"))
	succeeds(t, app.Permission().DeletePermission(ctx, "read:documents"))
	_, noUser := app.User().GetUser(ctx, user)
	_, noOrganization := app.Organization().GetOrganization(ctx, organization)
	_, noRole := app.Role().GetRole(ctx, "reader")
	_, noPermission := app.Permission().GetPermission(ctx, "read:documents")
	for _, err := range []error{noUser, noOrganization, noRole, noPermission} {
		equal(t, "the refusal of what is deleted", connect.CodeOf(err), connect.CodeNotFound)
	}
}
