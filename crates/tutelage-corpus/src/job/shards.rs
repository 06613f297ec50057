//! Parts of a job, for machines that share nothing but a folder.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CorpusError;
use crate::input::Unit;

/// The `i`-th of `n` parts, counted from one: the units whose number leaves `i - 1` when divided by `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardOf {
    index: u32,
    of: u32,
}

impl ShardOf {
    /// All of it.
    pub const ALL: Self = Self { index: 1, of: 1 };

    /// Which part, counted from one.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    pub(crate) fn n_parts(self) -> u32 {
        self.of
    }

    /// Whether it is less than all.
    pub fn is_part(self) -> bool {
        self.of > 1
    }

    /// A name of this part: as given where it is all.
    pub(crate) fn named(self, name: &str, ending: &str) -> String {
        match self.is_part() {
            true => format!("{name}-{:05}-of-{:05}{ending}", self.index, self.of),
            false => format!("{name}{ending}"),
        }
    }

    /// Its units, with their numbers among all.
    pub(crate) fn of(self, units: &[Unit]) -> Vec<(u32, &Unit)> {
        (0u32..).zip(units).filter(|(number, _)| self.has(*number)).collect()
    }

    /// Whether it has the unit of this number.
    pub(crate) fn has(self, number: u32) -> bool {
        number % self.of == self.index - 1
    }
}

impl fmt::Display for ShardOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl From<ShardOf> for String {
    fn from(shard: ShardOf) -> Self {
        shard.to_string()
    }
}

impl TryFrom<String> for ShardOf {
    type Error = CorpusError;

    fn try_from(text: String) -> Result<Self, CorpusError> {
        text.parse()
    }
}

impl FromStr for ShardOf {
    type Err = CorpusError;

    fn from_str(text: &str) -> Result<Self, CorpusError> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) && of <= 99_999 => Ok(Self { index, of }),
            _ => Err(CorpusError::request(format!("'{text}' is no part: expected i/n with i from 1 to n, as in 3/16"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_named() {
        let shard: ShardOf = "3/16".parse().unwrap();
        assert_eq!(shard.named("manifest", ".json"), "manifest-00003-of-00016.json");
        assert_eq!(ShardOf::ALL.named("manifest", ".json"), "manifest.json");
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<ShardOf>().is_err(), "{wrong}");
        }
    }
}
