//! Chinese words, by jieba.

use std::sync::OnceLock;

use jieba_rs::Jieba;

use super::class::is_space;

/// The dictionary, read when the first Chinese text comes.
#[derive(Debug, Default)]
pub(crate) struct Chinese {
    jieba: OnceLock<Jieba>,
}

impl Chinese {
    /// The words of `text`, without white space.
    pub(super) fn split<'t>(&self, text: &'t str, out: &mut Vec<&'t str>) {
        self.split_all(text, out);
        out.retain(|word| !word.trim_matches(is_space).is_empty());
    }

    /// The same, with white space.
    pub(super) fn split_all<'t>(&self, text: &'t str, out: &mut Vec<&'t str>) {
        let jieba = self.jieba.get_or_init(Jieba::new);
        out.extend(jieba.cut(text, true));
    }
}
