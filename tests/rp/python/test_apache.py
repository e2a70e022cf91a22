"""mod_auth_openidc in an Apache server, unmodified."""

import os
import socket
import subprocess
import time

import pytest
import requests

# Not in everybody's PATH.
APACHE = "/usr/sbin/apache2"
MODULES = "/usr/lib/apache2/modules"
CONFIGURATION = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
User www-data
Group www-data
DocumentRoot {folder}/pages
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
OIDCProviderMetadataURL {environment.url}/.well-known/openid-configuration
OIDCClientID {environment.client_id}
OIDCClientSecret {environment.client_secret}
OIDCRedirectURI http://localhost:{port}/callback
OIDCCryptoPassphrase of-the-test
OIDCScope "openid email"
OIDCPKCEMethod S256
OIDCRemoteUserClaim email
OIDCInfoHook id_token userinfo
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
"""


@pytest.fixture
def apache(environment, tmp_path_factory):
    # Below a folder that Apache's own user may enter.
    folder = tmp_path_factory.mktemp("apache")
    for each in [folder, *folder.parents[:2]]:
        each.chmod(0o755)
    (folder / "pages").mkdir()
    (folder / "pages" / "page.html").write_text("inside")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = CONFIGURATION.format(folder=folder, port=port, modules=MODULES, environment=environment)
    (folder / "apache.conf").write_text(text)
    child = subprocess.Popen([APACHE, "-X", "-f", str(folder / "apache.conf")])
    try:
        home = f"http://localhost:{port}"
        for _ in range(500):
            try:
                requests.get(home, allow_redirects=False, timeout=10)
                break
            except requests.ConnectionError:
                assert child.poll() is None, (folder / "error.log").read_text()
                time.sleep(0.02)
        yield home, folder / "error.log"
    finally:
        child.terminate()
        child.wait(30)


def sign_in(environment, home, address):
    visitor = requests.Session()
    redirect = visitor.get(f"{home}/page.html", allow_redirects=False, timeout=10)
    assert redirect.status_code == 302, redirect.text
    back = environment.sign_in(address, redirect.headers["location"]).callback_url
    return visitor, visitor.get(back, allow_redirects=False, timeout=10)


@pytest.mark.skipif(
    not os.path.exists(APACHE) and os.environ.get("CI") != "true",
    reason="install apache2 and libapache2-mod-auth-openidc",
)
def test_mod_auth_openidc_lets_a_person_in(environment, apache, report_c):
    home, log = apache
    visitor, back = sign_in(environment, home, "jane@example.com")
    assert back.headers.get("location") == f"{home}/page.html", log.read_text()
    assert visitor.get(f"{home}/page.html", timeout=10).text == "inside"
    info = visitor.get(f"{home}/callback?info=json", timeout=10).json()
    assert info["userinfo"]["email"] == "jane@example.com"
    assert info["id_token"]["iss"] == environment.url

    environment.faults.add({"count": 1, "effect": {"kind": "token", "fault": "bad_signature"}})
    visitor, refused = sign_in(environment, home, "eve@example.com")
    assert refused.headers.get("location") is None
    assert visitor.get(f"{home}/page.html", allow_redirects=False, timeout=10).status_code == 302
    did = ["discovery", "PKCE", "state", "nonce", "UserInfo", "an issuer with a path", "refuses a bad signature"]
    report_c("mod_auth_openidc", did)
