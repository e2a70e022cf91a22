//! Metadata: names and values that an application keeps with a record.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Names and values that an application keeps with a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(pub BTreeMap<String, String>);

/// How much metadata a kind of record takes. Lengths are in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataLimits {
    /// Most pairs.
    pub pairs: usize,
    /// Length of a name.
    pub key: RangeInclusive<usize>,
    /// Length of a value.
    pub value: RangeInclusive<usize>,
}

impl MetadataLimits {
    /// Of an organization.
    pub const ORGANIZATION: Self = Self { pairs: 10, key: 3..=25, value: 1..=256 };
}

impl Metadata {
    /// Does it hold nothing?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is it within the limits? The API's own requests are checked before, by their field rules.
    ///
    /// # Errors
    /// A sentence that goes on after the field's name.
    pub fn check(&self, limits: &MetadataLimits) -> Result<(), String> {
        if self.0.len() > limits.pairs {
            return Err(format!("must have at most {} pairs", limits.pairs));
        }
        for (key, value) in &self.0 {
            if !limits.key.contains(&key.chars().count()) {
                let (least, most) = (limits.key.start(), limits.key.end());
                return Err(format!("has the name {key:?}: names have {least} to {most} characters"));
            }
            if !limits.value.contains(&value.chars().count()) {
                let (least, most) = (limits.value.start(), limits.value.end());
                return Err(format!("has a value for {key:?} that is not {least} to {most} characters long"));
            }
        }
        Ok(())
    }
}

impl<M: IntoIterator<Item = (String, String)>> From<M> for Metadata {
    fn from(pairs: M) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: MetadataLimits = MetadataLimits::ORGANIZATION;

    fn pairs(count: usize, key: usize, value: usize) -> Metadata {
        let key = |at: usize| format!("{at:0>key$}").replace('0', "é");
        (0..count).map(|at| (key(at + 1), "ü".repeat(value))).collect::<Vec<_>>().into()
    }

    #[test]
    fn limits_hold_to_the_pair_and_to_the_character() {
        assert_eq!(Metadata::default().check(&LIMITS), Ok(()));
        assert_eq!(pairs(10, 3, 1).check(&LIMITS), Ok(()));
        assert_eq!(pairs(10, 25, 256).check(&LIMITS), Ok(()));
        for bad in [pairs(11, 3, 1), pairs(1, 2, 1), pairs(1, 26, 1), pairs(1, 3, 0), pairs(1, 3, 257)] {
            assert!(bad.check(&LIMITS).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pairs in prop::collection::btree_map(".*", ".*", 0..12)) {
            let metadata = Metadata(pairs);
            let text = serde_json::to_string(&metadata).unwrap();
            prop_assert_eq!(serde_json::from_str::<Metadata>(&text).unwrap(), metadata);
        }
    }
}
