//! `vestibule init`: files to begin with. What is there already stays as it is.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{print, print_json};

#[derive(Debug, Clone, Args)]
pub struct InitOptions {
    /// Write a compose file, too
    #[arg(long)]
    pub compose: bool,
    /// Write a CI workflow, too
    #[arg(long, value_enum, value_name = "SERVICE")]
    pub ci: Option<CiService>,
    /// Print the names of the files as JSON
    #[arg(long)]
    pub json: bool,
    /// Folder of the project
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

/// Whose workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CiService {
    Github,
    Gitlab,
}

/// A file to begin with.
struct Template {
    path: &'static str,
    text: &'static str,
    /// What to do with it.
    next: &'static str,
}

const CONFIGURATION: Template = Template {
    path: "vestibule.toml",
    text: include_str!("../../templates/init/vestibule.toml"),
    next: "the server's settings: run `vestibule`, or `vestibule dev -- COMMAND`",
};

const COMPOSE: Template = Template {
    path: "compose.vestibule.yml",
    text: include_str!("../../templates/init/compose.yml"),
    next: "make its secrets as its head says, then `docker compose -f compose.vestibule.yml up --wait`",
};

const GITHUB: Template = Template {
    path: ".github/workflows/vestibule.yml",
    text: include_str!("../../templates/init/github.yml"),
    next: "runs `npm test` in every pull request; change the command as you need it",
};

const GITLAB: Template = Template {
    path: ".gitlab/vestibule.yml",
    text: include_str!("../../templates/init/gitlab.yml"),
    next: "include it in .gitlab-ci.yml, as its head says",
};

/// Writes the files that are not there yet.
pub(super) fn run(options: &InitOptions) -> anyhow::Result<()> {
    let ci = options.ci.map(|service| match service {
        CiService::Github => GITHUB,
        CiService::Gitlab => GITLAB,
    });
    let asked = [Some(CONFIGURATION), options.compose.then_some(COMPOSE), ci];
    let (mut written, mut kept) = (vec![], vec![]);
    for template in asked.into_iter().flatten() {
        let path = options.folder.join(template.path);
        let is_new = create(&path, &template.text.replace("VERSION", release()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        if is_new { written.push(template) } else { kept.push(template) }
    }
    if options.json {
        let paths = |templates: &[Template]| templates.iter().map(|t| t.path).collect::<Vec<_>>();
        return print_json(&json!({ "written": paths(&written), "kept": paths(&kept) }));
    }
    let lines = written.iter().map(|t| format!("{}: {}\n", t.path, t.next));
    let stays = kept.iter().map(|t| format!("{}: is there already, and stays as it is\n", t.path));
    print(&lines.chain(stays).collect::<String>())
}

/// `false`: there is one already.
fn create(path: &Path, text: &str) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The release that images and packages are named by: `0.2` of `0.2.7`.
fn release() -> &'static str {
    let version = env!("CARGO_PKG_VERSION");
    version.rsplit_once('.').map_or(version, |(release, _)| release)
}
