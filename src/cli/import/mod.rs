//! `vestibule import`: what a Scalekit environment has, read through its public API, as a file that a server starts
//! from.

mod anonymize;
mod records;

use clap::Args;
use serde_json::Value;

use super::progress;
use super::remote::{self, Remote, RemoteOptions};
use super::seed_file::{SeedFile, SeedOutput};
use crate::config::seed_from_json;

/// The environment, and where the file goes.
#[derive(Debug, Clone, Args)]
pub struct ImportOptions {
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// Replace names, email addresses and external ids by those of people who do not exist
    #[arg(long)]
    pub anonymize: bool,
    #[command(flatten)]
    pub output: SeedOutput,
}

/// How many records a page of a list has.
const PAGE_SIZE: usize = 100;

/// Applications come in pages of at most this size.
const CLIENTS_PAGE_SIZE: usize = 30;

/// Reads the environment and writes the file. One call at a time; nothing there is changed.
pub(super) async fn run(options: &ImportOptions) -> anyhow::Result<()> {
    options.output.check()?;
    let mut remote = Remote::connect(&options.remote).await?;
    let mut file = read(&mut remote).await?;
    if options.anonymize {
        anonymize::anonymize(&mut file);
    }
    for problem in seed_from_json(&file.seed()).err().unwrap_or_default() {
        progress::note(&format!("a server will refuse {}: {}", problem.field, problem.reason))?;
    }
    options.output.write(&file)?;
    if !file.clients.is_empty() {
        progress::note(
            "secrets cannot be read: give the applications new ones ([[clients]], client_secret)",
        )?;
    }
    Ok(())
}

async fn read(remote: &mut Remote) -> anyhow::Result<SeedFile> {
    let all = pages(remote, "permissions", PAGE_SIZE).await?;
    let permissions: Vec<_> = all.iter().filter_map(records::permission).collect();
    if permissions.len() < all.len() {
        let count = all.len() - permissions.len();
        progress::note(&format!("left out: Scalekit's own permissions, which are there anyway: {count}"))?;
    }
    let roles = list(&remote.get("/roles?include=permissions").await?, "roles");
    progress::done("roles", roles.len())?;
    let organizations = pages(remote, "organizations", PAGE_SIZE).await?;
    let domains = domains(remote, &organizations).await?;
    let users = pages(remote, "users", PAGE_SIZE).await?;
    let clients = pages(remote, "clients", CLIENTS_PAGE_SIZE).await?;
    let passwordless = passwordless(remote).await?;
    let roles: Vec<_> = roles.iter().map(records::role).collect();
    let read = records::ImportedUsers::of(&users, &roles, &organizations);
    for note in read.left_out() {
        progress::note(&note)?;
    }
    Ok(SeedFile {
        passwordless: passwordless.as_ref().map(records::passwordless),
        clients: clients.iter().map(records::client).collect(),
        permissions,
        organizations: organizations.iter().zip(&domains).map(|(o, d)| records::organization(o, d)).collect(),
        roles,
        users: read.users,
    })
}

/// All records of a list, page by page; `name` is that of the resource and of the field.
async fn pages(remote: &mut Remote, name: &str, size: usize) -> anyhow::Result<Vec<Value>> {
    let mut found: Vec<Value> = vec![];
    let mut token = String::new();
    loop {
        let page =
            remote.get(&format!("/{name}?page_size={size}&page_token={}", remote::escaped(&token))).await?;
        let records = list(&page, name);
        let is_last = records.is_empty();
        found.extend(records);
        progress::step(name, found.len(), total(&page))?;
        token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() || is_last {
            progress::done(name, found.len())?;
            return Ok(found);
        }
    }
}

/// The domains of each organization.
async fn domains(remote: &mut Remote, organizations: &[Value]) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut all = Vec::with_capacity(organizations.len());
    for organization in organizations {
        let id = remote::escaped(organization["id"].as_str().unwrap_or_default());
        let mut found: Vec<Value> = vec![];
        // Pages have numbers here, and no token.
        for number in 0.. {
            let path = format!("/organizations/{id}/domains?page_size={PAGE_SIZE}&page_number={number}");
            let records = list(&remote.get(&path).await?, "domains");
            let is_full = records.len() >= PAGE_SIZE;
            found.extend(records);
            if !is_full {
                break;
            }
        }
        all.push(found);
        progress::step("organizations with their domains", all.len(), Some(organizations.len()))?;
    }
    progress::done("domains", all.iter().map(Vec::len).sum())?;
    Ok(all)
}

/// The environment's connection for sign-in by email, if it has one.
async fn passwordless(remote: &mut Remote) -> anyhow::Result<Option<Value>> {
    let connections = list(&remote.get("/connections").await?, "connections");
    let of_environment = |connection: &&Value| {
        let organization = connection["organization_id"].as_str().unwrap_or_default();
        connection["type"] == "PASSWORDLESS" && organization.is_empty()
    };
    let Some(connection) = connections.iter().find(of_environment) else { return Ok(None) };
    let id = remote::escaped(connection["id"].as_str().unwrap_or_default());
    Ok(Some(remote.get(&format!("/connections/{id}")).await?["connection"].clone()))
}

/// How many records the list has in all.
fn total(page: &Value) -> Option<usize> {
    usize::try_from(page["total_size"].as_u64()?).ok()
}

fn list(answer: &Value, field: &str) -> Vec<Value> {
    answer[field].as_array().cloned().unwrap_or_default()
}
