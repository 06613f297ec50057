//! Ids of short words that were seen before: a table in which a word has one place, and takes it from whoever was there.

const WORD: usize = 24;
const IDS: usize = 8;
const PLACES: usize = 1 << 15;

/// A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Place {
    word: [u64; WORD / 8],
    ids: [u32; IDS],
    len: u8,
    n_ids: u8,
}

const EMPTY: Place = Place { word: [0; WORD / 8], ids: [0; IDS], len: 0, n_ids: 0 };

/// The table.
#[derive(Debug)]
pub(super) struct WordCache(Vec<Place>);

/// A word that the table may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct CachedWord {
    word: [u64; WORD / 8],
    len: u8,
    place: usize,
}

impl CachedWord {
    /// Nothing for words that are too long.
    #[inline]
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > WORD {
            return None;
        }
        let mut padded = [0; WORD];
        padded[..bytes.len()].copy_from_slice(bytes);
        let mut word = [0; WORD / 8];
        for (number, bytes) in word.iter_mut().zip(padded.as_chunks::<8>().0) {
            *number = u64::from_le_bytes(*bytes);
        }
        let mix = |hash: u64, number: u64| (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(23);
        let hash = word.iter().fold(bytes.len() as u64, |hash, &number| mix(hash, number));
        Some(Self { word, len: bytes.len() as u8, place: (hash >> 20) as usize % PLACES })
    }
}

impl Default for WordCache {
    fn default() -> Self {
        Self(vec![EMPTY; PLACES])
    }
}

impl WordCache {
    /// The ids of a word, if it is there.
    #[inline]
    pub(super) fn get(&self, word: &CachedWord) -> Option<&[u32]> {
        let place = &self.0[word.place];
        (place.len == word.len && place.word == word.word).then(|| &place.ids[..usize::from(place.n_ids)])
    }

    /// Keeps them, if they are few.
    pub(super) fn put(&mut self, word: &CachedWord, ids: &[u32]) {
        if ids.len() <= IDS {
            let mut kept = [0; IDS];
            kept[..ids.len()].copy_from_slice(ids);
            self.0[word.place] = Place { word: word.word, ids: kept, len: word.len, n_ids: ids.len() as u8 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let mut cache = WordCache::default();
        let word = |text: &str| CachedWord::new(text.as_bytes());
        cache.put(&word("the").unwrap(), &[1, 2]);
        assert_eq!(cache.get(&word("the").unwrap()), Some(&[1, 2][..]));
        // A zero at the end is not the end.
        assert_eq!(cache.get(&word("the\0").unwrap()), None);
        assert!(word("").is_none() && word(&"x".repeat(25)).is_none() && word(&"x".repeat(24)).is_some());
        cache.put(&word("the").unwrap(), &[7; 9]);
        assert_eq!(cache.get(&word("the").unwrap()), Some(&[1, 2][..]));
    }
}
