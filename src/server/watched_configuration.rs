//! `--watch`: a configuration file that is saved while the server runs is applied.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;

use crate::config::{Config, ConfigurationUpdate, Overrides, Source, configuration_file};
use crate::crypto::entropy::SystemEntropy;
use crate::domain::ids::{IdKind, many_ids};
use crate::runtime::{EnvironmentRegistry, SavedConfiguration, StartError};
use crate::service::seed;

/// How often the file is looked at. Looking works on every file system; those that tell of changes do not all do so
/// through containers and networks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is read again when the file is saved. Made before the configuration is read, so that no change is missed.
#[derive(Debug, Clone)]
pub struct WatchedConfiguration {
    path: PathBuf,
    overrides: Overrides,
    variables: Vec<(String, String)>,
    read: Option<Stamp>,
}

/// What tells that a file changed: when it was written and how long it is.
type Stamp = (SystemTime, u64);

impl WatchedConfiguration {
    /// The file of these flags and variables.
    pub fn new(overrides: Overrides, variables: impl Iterator<Item = (String, String)>) -> Self {
        let variables: Vec<(String, String)> = variables.collect();
        let (path, _) = configuration_file(&overrides, &variables);
        Self { read: stamp(&path), path, overrides, variables }
    }

    /// Applies the file whenever it is saved. Mistakes are told, and what held before goes on.
    pub(super) async fn watch(self, registry: EnvironmentRegistry) {
        let watched = Arc::new(self);
        let (mut applied, mut seen) = (watched.read, watched.read);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let path = watched.path.clone();
            let now = spawn_blocking(move || stamp(&path)).await.unwrap_or_default();
            // Editors write in steps, and some put another file in its place: it is read once it stays as it is.
            let is_settled = now == seen;
            seen = now;
            if is_settled && now.is_some() && now != applied && watched.apply(&registry).await {
                applied = now;
            }
        }
    }

    /// `false`: it is to be tried again.
    async fn apply(self: &Arc<Self>, registry: &EnvironmentRegistry) -> bool {
        let Some(default) = registry.get() else { return false };
        let server = default.server.clone();
        let (watched, layers) = (self.clone(), server.layers());
        let update = spawn_blocking(move || {
            let (source, base) = Source::of(&watched.overrides, watched.variables.iter().cloned());
            let later = Config::read(source, &base)?;
            layers.updated(&later)
        });
        let path = self.path.display();
        let update = match update.await {
            Ok(Ok(update)) => update,
            Ok(Err(problems)) => {
                tracing::error!("{path} was saved and is not applied: {problems}");
                let problems = problems.0.iter().map(ToString::to_string).collect();
                server.note_saved_configuration(SavedConfiguration {
                    problems,
                    ..SavedConfiguration::default()
                });
                return true;
            }
            Err(error) => {
                tracing::error!(%error, "{path} was saved and cannot be read");
                return false;
            }
        };
        let needs_restart = update.needs_restart.clone();
        match apply_to(registry, &update).await {
            Ok(()) => {
                tracing::info!("{path} was saved and is applied");
                if !needs_restart.is_empty() {
                    tracing::warn!("restart the server to apply: {}", needs_restart.join(", "));
                }
                server.note_saved_configuration(SavedConfiguration { problems: vec![], needs_restart });
                true
            }
            Err(error) => {
                tracing::error!(%error, "{path} was saved and is not applied yet");
                !error.is_passing()
            }
        }
    }
}

async fn apply_to(registry: &EnvironmentRegistry, update: &ConfigurationUpdate) -> Result<(), StartError> {
    let Some(default) = registry.get() else { return Ok(()) };
    let now_ms = default.clock.machine_ms();
    let seed = seed::with_ids(&update.seed, now_ms, many_ids(IdKind::User, now_ms, &SystemEntropy));
    registry.apply(update, &seed).await
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
