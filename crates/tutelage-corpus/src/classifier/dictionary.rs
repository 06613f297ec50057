//! Words, labels and n-grams of fastText: which rows a text is the mean of (`dictionary.cc` of fastText 0.9.2, MIT).

use rustc_hash::FxHashMap;

use super::cursor::Cursor;

/// Words and labels, and how words outside are hashed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Dictionary {
    words: FxHashMap<Vec<u8>, u32>,
    n_words: usize,
    pub(super) labels: Vec<String>,
    /// How often each label was seen.
    pub(super) label_counts: Vec<i64>,
    /// Rows of n-grams that were kept, by their hash, where not all were.
    kept: Option<FxHashMap<u32, u32>>,
    /// Buckets that n-grams are hashed to.
    pub(super) buckets: usize,
    /// Words of an n-gram, at most.
    pub(super) word_n_grams: usize,
    /// Characters of a part of a word, at least and at most; none if the most is 0.
    pub(super) chars: (usize, usize),
}

const LABEL: &str = "__label__";
const END: &[u8] = b"</s>";

/// A word or a label, and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) word: Vec<u8>,
    pub(super) count: u64,
}

/// What was counted in texts: a dictionary, and what its file says beside it.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) dictionary: Dictionary,
    words: Vec<Entry>,
    n_tokens: u64,
}

impl Vocabulary {
    /// Of words and labels in any order; a text's end is a word too, seen once a document.
    pub(super) fn new(mut words: Vec<Entry>, mut labels: Vec<Entry>, n_documents: u64) -> Self {
        words.push(Entry { word: END.to_vec(), count: n_documents });
        for entries in [&mut words, &mut labels] {
            entries.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.word.cmp(&b.word)));
        }
        let n_tokens = words.iter().map(|entry| entry.count).sum();
        let dictionary = Dictionary {
            words: words.iter().map(|entry| entry.word.clone()).zip(0..).collect(),
            n_words: words.len(),
            labels: labels.iter().map(|entry| String::from_utf8_lossy(&entry.word).into_owned()).collect(),
            label_counts: labels.iter().map(|entry| entry.count as i64).collect(),
            ..Dictionary::default()
        };
        Self { dictionary, words, n_tokens }
    }

    /// Appends it as the file has it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Dictionary { labels, label_counts, .. } = &self.dictionary;
        for n in [self.words.len() + labels.len(), self.words.len(), labels.len()] {
            out.extend((n as i32).to_le_bytes());
        }
        out.extend((self.n_tokens as i64).to_le_bytes());
        // No n-gram was taken out.
        out.extend((-1i64).to_le_bytes());
        let mut entry = |word: &[u8], count: i64, kind: u8| {
            out.extend_from_slice(word);
            out.push(0);
            out.extend(count.to_le_bytes());
            out.push(kind);
        };
        self.words.iter().for_each(|word| entry(&word.word, word.count as i64, 0));
        for (label, count) in labels.iter().zip(label_counts) {
            entry(format!("{LABEL}{label}").as_bytes(), *count, 1);
        }
    }
}

/// The words of a text, as they are counted; what looks like a label is none.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &[u8]> {
    let tokens = text.as_bytes().split(|&byte| is_space(byte));
    tokens.filter(|token| !token.is_empty() && !token.starts_with(LABEL.as_bytes()))
}

impl Dictionary {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let size = cursor.count("the number of entries")?;
        let n_words = cursor.count("the number of words")?;
        let n_labels = cursor.count("the number of labels")?;
        let _tokens = cursor.i64()?;
        let pruned = cursor.i64()?;
        if n_words.checked_add(n_labels) != Some(size) || size > cursor.left() {
            return Err(format!("{size} entries, of which {n_words} are words and {n_labels} labels"));
        }
        let mut dictionary = Self { n_words, ..Self::default() };
        for number in 0..size {
            let word = cursor.word()?;
            let count = cursor.i64()?;
            match (cursor.byte()?, number < n_words) {
                (0, true) => {
                    dictionary.words.insert(word.to_vec(), number as u32);
                }
                (1, false) => {
                    let label = String::from_utf8_lossy(word).into_owned();
                    dictionary.labels.push(label.strip_prefix(LABEL).map_or(label.clone(), str::to_owned));
                    dictionary.label_counts.push(count);
                }
                (kind, _) => return Err(format!("entry {number} is of kind {kind}, which does not belong there")),
            }
        }
        if pruned >= 0 {
            let mut kept = FxHashMap::default();
            for _ in 0..pruned {
                let (hash, row) = (cursor.count("the hash of an n-gram")?, cursor.count("the row of an n-gram")?);
                kept.insert(hash as u32, row as u32);
            }
            dictionary.kept = Some(kept);
        }
        Ok(dictionary)
    }

    pub(super) fn n_words(&self) -> usize {
        self.n_words
    }

    /// The rows of a text: words, parts of words, runs of words. The text is one line.
    pub(super) fn rows(&self, text: &str, out: &mut Vec<u32>) {
        out.clear();
        let mut hashes = Vec::new();
        for token in tokens(text).chain([END]) {
            self.word(token, out);
            hashes.push(hash(token));
        }
        self.runs(&hashes, out);
    }

    fn word(&self, token: &[u8], out: &mut Vec<u32>) {
        let known = self.words.get(token).copied();
        out.extend(known);
        if token != END && self.chars.1 > 0 {
            let whole = [b"<", token, b">"].concat();
            self.parts(&whole, out);
        }
    }

    /// Parts of a word, of so many characters; not its first or last sign alone.
    fn parts(&self, word: &[u8], out: &mut Vec<u32>) {
        let (least, most) = self.chars;
        let continues = |at: usize| word.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        for start in (0..word.len()).filter(|&at| !continues(at)) {
            let mut end = start;
            for n in 1..=most {
                if end >= word.len() {
                    break;
                }
                end += 1;
                while continues(end) {
                    end += 1;
                }
                if n >= least && !(n == 1 && (start == 0 || end == word.len())) {
                    self.bucket(u64::from(hash(&word[start..end])), out);
                }
            }
        }
    }

    fn runs(&self, hashes: &[u32], out: &mut Vec<u32>) {
        for (start, &first) in hashes.iter().enumerate() {
            // Signed there, and widened as such.
            let mut run = i64::from(first as i32) as u64;
            for &next in hashes[start + 1..].iter().take(self.word_n_grams.saturating_sub(1)) {
                run = run.wrapping_mul(116_049_371).wrapping_add(i64::from(next as i32) as u64);
                self.bucket(run, out);
            }
        }
    }

    fn bucket(&self, hash: u64, out: &mut Vec<u32>) {
        if self.buckets == 0 {
            return;
        }
        let bucket = (hash % self.buckets as u64) as u32;
        let row = match &self.kept {
            None => Some(bucket),
            Some(kept) => kept.get(&bucket).copied(),
        };
        out.extend(row.map(|row| self.n_words as u32 + row));
    }
}

/// What separates words there.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0)
}

/// FNV-1a of 32 bits over signed bytes.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261u32, |hash, &byte| (hash ^ (byte as i8) as u32).wrapping_mul(16_777_619))
}
