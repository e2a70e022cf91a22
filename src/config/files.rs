//! Settings that name a file.

use std::path::{Path, PathBuf};

use super::setting::Setting;
use super::source::Source;

/// A file that has to exist.
pub(super) fn read_file(
    source: &mut Source,
    base: &Path,
    setting: &Setting<Option<&'static str>>,
) -> Option<PathBuf> {
    let path = base.join(source.optional_text(setting)?);
    if !path.is_file() {
        source.problem_with(setting.key(), path.display().to_string(), "there is no such file");
    }
    Some(path)
}
