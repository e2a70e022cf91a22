//! Mistakes in the configuration, each with the place where it was written.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    Flag(&'static str),
    /// Made at the start.
    Generated,
    /// The control API.
    Api,
    /// Nobody wrote it: a default, or something missing.
    Unwritten,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Api | Self::Generated | Self::Unwritten => Ok(()),
        }
    }
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub location: Location,
    /// Dotted name of the setting.
    pub key: String,
    /// What was written, where the message is about that.
    pub value: Option<String>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Api | Location::Generated | Location::Unwritten => {}
            written => write!(f, "{written}: ")?,
        }
        match &self.value {
            Some(value) => write!(f, "{} = {value:?}: {}", self.key, self.message),
            None if self.key.is_empty() => f.write_str(&self.message),
            None => write!(f, "{} {}", self.key, self.message),
        }
    }
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the configuration has {} mistake{}:",
            self.0.len(),
            if self.0.len() == 1 { "" } else { "s" }
        )?;
        self.0.iter().try_for_each(|p| write!(f, "\n  {p}"))
    }
}
