//! `vestibule mcp`: the control API for coding agents, by the Model Context Protocol on standard input and output.

mod browser;
mod tools;

use anyhow::bail;
use clap::Args;
use rmcp::ServiceExt as _;

use self::tools::Tools;
use super::control_client::ControlClient;
use super::running::{RunningServer, ServerOptions, find_running};
use crate::domain::host::is_loopback;

#[derive(Debug, Clone, Args)]
pub struct McpOptions {
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Answers an agent until it closes the connection. The server is looked for with every call, since it may be started or
/// started anew meanwhile.
pub(super) async fn run(options: McpOptions) -> anyhow::Result<()> {
    let service = Tools::new(options.server).serve(rmcp::transport::stdio()).await?;
    service.waiting().await?;
    Ok(())
}

/// The server that runs on this machine.
async fn local_server(options: &ServerOptions) -> anyhow::Result<RunningServer> {
    let server = find_running(options).await?;
    let url = url::Url::parse(&server.facts.environment_url)?;
    if !url.host_str().is_some_and(|host| is_loopback(host.trim_matches(['[', ']']))) {
        bail!("{url} is not on this machine, and agents are given servers of this machine alone");
    }
    Ok(server)
}

/// The control API of an environment of that server; without a name, of its default one.
async fn control_of(options: &ServerOptions, environment: Option<&str>) -> anyhow::Result<ControlClient> {
    let control = local_server(options).await?.control()?;
    Ok(match environment {
        None => control,
        Some(name) => {
            let url = format!("{}/e/{}", control.base(), super::remote::escaped(name));
            control.of_environment(&url)
        }
    })
}
