//! kill -9 while an organization is deleted with all that hangs on it: all of it is gone, or all of it is there.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

use super::*;

/// Enough for the deletion to be more than one page of the database.
const MEMBERS: usize = 40;

struct Api<'a> {
    client: Client,
    server: &'a str,
}

impl Api<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}/_emulator/v1/api/{path}", self.server)
    }

    async fn get(&self, path: &str) -> Page {
        ask(self.client.get(self.url(path))).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let page = ask(self.client.post(self.url(path)).json(&body)).await.unwrap();
        assert!(page.status < 300, "{path}: {} {}", page.status, page.body);
        page.json()
    }

    /// `None`: the server died before it answered.
    async fn delete(&self, path: &str) -> Option<u16> {
        Some(ask(self.client.delete(self.url(path))).await?.status)
    }

    /// An organization with members who have a role, a domain and a machine client; its id and those of its members.
    async fn organization(&self, round: usize) -> (String, Vec<String>) {
        let created = self.post("organizations", json!({ "display_name": format!("Acme {round}") })).await;
        let id = text(&created["organization"], "id");
        let domain =
            json!({ "domain": format!("acme{round}.example"), "domain_type": "ORGANIZATION_DOMAIN" });
        self.post(&format!("organizations/{id}/domains"), domain).await;
        self.post(&format!("organizations/{id}/clients"), json!({ "name": "Nightly job" })).await;
        let path = format!("organizations/{id}/users?send_invitation_email=false");
        let members = (0..MEMBERS).map(|member| {
            let user = json!({
                "email": format!("member{member}.{round}@example.com"),
                "membership": { "roles": [{ "name": "admin" }] },
            });
            async { text(&self.post(&path, user).await["user"], "id") }
        });
        (id, join_all(members).await)
    }

    /// Is the whole organization there? What is there in part fails the test.
    async fn is_there(&self, organization: &str, members: &[String]) -> bool {
        let there = self.get(&format!("organizations/{organization}")).await.status == 200;
        let users = members.iter().map(async |id| self.get(&format!("users/{id}")).await);
        for user in join_all(users).await {
            // Whoever belongs to nothing else goes with the organization.
            assert_eq!(user.status, if there { 200 } else { 404 }, "{}", user.body);
            if there {
                let user = user.json();
                assert_eq!(user["user"]["memberships"][0]["roles"][0]["name"], "admin", "{user}");
            }
        }
        for (path, list) in [("users", "users"), ("domains", "domains"), ("clients", "clients")] {
            let page = self.get(&format!("organizations/{organization}/{path}?page_size=30")).await;
            let is_full = page.status == 200 && page.json()[list].as_array().is_some_and(|l| !l.is_empty());
            assert_eq!(is_full, there, "{path}: {} {}", page.status, page.body);
        }
        there
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_deleted_whole_or_not_at_all(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some((_database, url)) = database_for(engine).await else { return };
    let mut server = Process::running(url, "").await;
    let rounds = rounds("VESTIBULE_TEST_CRASHES", 5);
    // How long a deletion takes here.
    let api = Api { client: client(), server: &server.url };
    let (id, members) = api.organization(rounds).await;
    let began = Instant::now();
    assert_eq!(api.delete(&format!("organizations/{id}")).await, Some(200));
    let takes = began.elapsed();
    assert!(!api.is_there(&id, &members).await);

    let (mut gone, mut kept) = (0, 0);
    for round in 0..rounds {
        let url = server.url.clone();
        let api = Api { client: client(), server: &url };
        let (id, members) = api.organization(round).await;
        let path = format!("organizations/{id}");
        let killed = async {
            // From its first moment to a little behind its last one.
            tokio::time::sleep(takes.mul_f64(1.2 * (round as f64 + 0.5) / rounds as f64)).await;
            server.kill();
        };
        let (answer, ()) = tokio::join!(api.delete(&path), killed);
        server.start().await;
        let there = Api { client: client(), ..api }.is_there(&id, &members).await;
        if answer == Some(200) {
            assert!(!there, "an acknowledged deletion was lost");
        }
        *(if there { &mut kept } else { &mut gone }) += 1;
    }
    eprintln!("{rounds} kills: {gone} organizations gone, {kept} kept");
}
