//! Records of a list that have in common what only one may have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::setting::Setting;
use super::source::Source;

/// Refuses a record that has the id or the mailbox of another: one of the two would be lost without a word. `records` says
/// what the setting comes to in each table, however it is spelled.
pub(super) fn refuse_twins(
    source: &mut Source,
    setting: &Setting<Option<&'static str>>,
    records: impl Iterator<Item = (usize, String)>,
) {
    let name = setting.key().split_once('.').map_or(setting.key(), |(_, name)| name);
    let mut first = BTreeMap::new();
    for (index, identity) in records {
        let setting = setting.at(index);
        match first.entry(identity) {
            Entry::Vacant(entry) => {
                entry.insert(setting);
            }
            Entry::Occupied(entry) => {
                let other = entry.get().key();
                let written = source.location(other).map(|at| format!(" ({at})")).unwrap_or_default();
                let text = format!("is the same {name} as {other}{written}");
                let value = source.optional_text(&setting).unwrap_or_default();
                source.problem_with(setting.key(), value, text);
            }
        }
    }
}
