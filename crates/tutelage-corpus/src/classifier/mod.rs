//! Linear classifiers over words and their n-grams, in fastText's format (Joulin and others, 1607.01759): models of others are read, dense
//! and quantised, with every loss.
//!
//! Departure: labels that stand alone (losses `ova` and `ns`) have their exact probability, which fastText takes from a table of 512
//! steps (up to 0.008 away).

mod apply;
mod card;
mod cursor;
mod dictionary;
mod evaluate;
mod evaluation;
mod matrix;
mod prepare;
#[cfg(test)]
mod tests;
mod train;
mod write;

pub use apply::{ClassifierApplying, Classify};
pub use card::Card;
pub use evaluate::{ClassifierEvaluating, evaluate_classifier};
pub use evaluation::{AtThreshold, Evaluation, LabelScores, Scores};
pub use prepare::Prepare;
pub use train::{Choice, ClassifierTraining, train_classifier};

use std::path::Path;

use tutelage_run::{FileError, Hash, MappedFile, hash_bytes};

use cursor::Cursor;
use dictionary::Dictionary;
use matrix::Matrix;

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    dictionary: Dictionary,
    input: Matrix,
    output: Matrix,
    loss: Loss,
    hash: Hash,
    prepare: Prepare,
    card: Option<Card>,
}

/// How rows of the output become probabilities.
#[derive(Debug, Clone, PartialEq)]
enum Loss {
    /// All together make 1.
    Softmax,
    /// Each by itself.
    Independent,
    /// Down a tree: of each inner node the children, inner nodes after the labels.
    Tree(Vec<(u32, u32)>),
}

const MAGIC: i32 = 793_712_314;
const VERSIONS: std::ops::RangeInclusive<i32> = 11..=12;

impl Classifier {
    /// Reads a model: fastText's `.bin` or `.ftz`, with its [`Card`] if there is one beside it.
    ///
    /// # Errors
    /// When the file cannot be read, is no such model, or is damaged; or the card is that of another model.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file = MappedFile::open(path)?;
        let model = Self::parse(file.bytes());
        let mut model = model.map_err(|found| FileError::content(path, format!("no classifier: {found}")))?;
        if let Some(card) = Card::of(path, &model.hash)? {
            model.prepare = card.prepare;
            model.card = Some(card);
        }
        Ok(model)
    }

    /// Reads a model out of bytes.
    ///
    /// # Errors
    /// With what was found, when they are no model.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut cursor = Cursor::new(bytes);
        let (magic, version) = (cursor.i32()?, cursor.i32()?);
        if magic != MAGIC || !VERSIONS.contains(&version) {
            return Err(format!(
                "begins with {magic:#x}, version {version}; fastText's files begin with {MAGIC:#x}, 12"
            ));
        }
        let dim = cursor.count("dim")?;
        let [_window, _epochs, _min_count, _negatives] = cursor.numbers()?;
        let word_n_grams = cursor.count("wordNgrams")?;
        let (loss, kind) = (cursor.i32()?, cursor.i32()?);
        let (buckets, minn, maxn) = (cursor.count("bucket")?, cursor.count("minn")?, cursor.count("maxn")?);
        let (_rate, _sampling) = (cursor.i32()?, cursor.f64()?);
        if kind != 3 {
            return Err("holds vectors of words, not a classifier (a supervised model)".to_owned());
        }
        let mut dictionary = Dictionary::read(&mut cursor)?;
        // Models of version 11 have no parts of words.
        let chars = if version == 11 { (0, 0) } else { (minn, maxn) };
        (dictionary.buckets, dictionary.word_n_grams, dictionary.chars) = (buckets, word_n_grams, chars);
        let quantised = cursor.flag("whether it is quantised")?;
        let input = if quantised { Matrix::quantised(&mut cursor)? } else { Matrix::dense(&mut cursor)? };
        let quantised_output = cursor.flag("whether the output is quantised")?;
        let output = match quantised && quantised_output {
            true => Matrix::quantised(&mut cursor)?,
            false => Matrix::dense(&mut cursor)?,
        };
        let n_labels = dictionary.labels.len();
        if n_labels == 0 || output.rows() != n_labels || input.cols() != dim || output.cols() != dim {
            let (rows, input, output) = (output.rows(), input.cols(), output.cols());
            return Err(format!(
                "{n_labels} labels, {rows} rows of them; {dim} columns, {input} and {output} in matrices"
            ));
        }
        if input.rows() < dictionary.n_words() {
            return Err(format!("{} rows for {} words", input.rows(), dictionary.n_words()));
        }
        let loss = match loss {
            1 => Loss::Tree(tree(&dictionary.label_counts)),
            3 => Loss::Softmax,
            2 | 4 => Loss::Independent,
            other => return Err(format!("its loss is of kind {other}, which there is not")),
        };
        Ok(Self { dictionary, input, output, loss, hash: hash_bytes(bytes), prepare: Prepare::default(), card: None })
    }

    /// The labels, without `__label__`.
    pub fn labels(&self) -> &[String] {
        &self.dictionary.labels
    }

    /// Hash of its file.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// What is known of how far it may be believed.
    pub fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    /// Whether each label stands alone, rather than one being chosen.
    fn is_independent(&self) -> bool {
        self.loss == Loss::Independent
    }

    /// The mean of a text's vectors; false where nothing in it is known.
    fn hidden(&self, text: &str, memory: &mut ClassifierMemory) -> bool {
        let ClassifierMemory { rows, hidden, text: written } = memory;
        if self.prepare.is_nothing() {
            self.dictionary.rows(text, rows);
        } else {
            self.prepare.write(text, written);
            self.dictionary.rows(written, rows);
        }
        // Rows of n-grams that a damaged file has no numbers for.
        rows.retain(|&row| (row as usize) < self.input.rows());
        if rows.is_empty() {
            return false;
        }
        hidden.clear();
        hidden.resize(self.input.cols(), 0.0);
        rows.iter().for_each(|&row| self.input.add_row(row as usize, hidden));
        let share = 1.0 / rows.len() as f32;
        hidden.iter_mut().for_each(|x| *x *= share);
        true
    }

    /// What is made probabilities of, for every label; nothing for a text without anything known.
    fn scores(&self, text: &str, memory: &mut ClassifierMemory) -> Option<Vec<f32>> {
        self.hidden(text, memory).then(|| self.products(&memory.hidden))
    }

    fn products(&self, hidden: &[f32]) -> Vec<f32> {
        (0..self.labels().len()).map(|label| self.output.dot_row(label, hidden)).collect()
    }

    /// The probability of every label for a text, whose line ends count as spaces. All are 0 for a text without anything known.
    pub fn probabilities(&self, text: &str, memory: &mut ClassifierMemory) -> Vec<f32> {
        let n_labels = self.labels().len();
        if !self.hidden(text, memory) {
            return vec![0.0; n_labels];
        }
        let hidden = &memory.hidden;
        match &self.loss {
            Loss::Softmax => {
                let mut scores = self.products(hidden);
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                scores.iter_mut().for_each(|score| *score = (*score - most).exp());
                let sum: f32 = scores.iter().sum();
                scores.iter_mut().for_each(|score| *score /= sum);
                scores
            }
            Loss::Independent => self.products(hidden).into_iter().map(sigmoid).collect(),
            Loss::Tree(children) => {
                let mut scores = vec![1.0f32; n_labels + children.len()];
                // Inner nodes come after what is below them.
                for (inner, &(left, right)) in children.iter().enumerate().rev() {
                    let here = scores[n_labels + inner];
                    let right_share = sigmoid(self.output.dot_row(inner, hidden));
                    scores[left as usize] = here * (1.0 - right_share);
                    scores[right as usize] = here * right_share;
                }
                scores.truncate(n_labels);
                scores
            }
        }
    }

    /// The most likely label and its probability.
    pub fn best(&self, text: &str, memory: &mut ClassifierMemory) -> Option<(&str, f32)> {
        let probabilities = self.probabilities(text, memory);
        let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))?;
        (*best.1 > 0.0).then(|| (&self.labels()[best.0][..], *best.1))
    }
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub struct ClassifierMemory {
    rows: Vec<u32>,
    hidden: Vec<f32>,
    text: String,
}

/// A score as documents carry it: not more digits than it has meaning.
pub(crate) fn rounded(score: f64) -> f64 {
    (score * 1e4).round() / 1e4
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The Huffman tree over labels by how often they were seen, as fastText builds it: labels come with falling counts.
fn tree(counts: &[i64]) -> Vec<(u32, u32)> {
    let n = counts.len();
    const NONE: i64 = 1_000_000_000_000_000;
    let mut all: Vec<i64> = counts.iter().copied().chain(std::iter::repeat_n(NONE, n.saturating_sub(1))).collect();
    let (mut leaf, mut node) = (n, n);
    let mut children = Vec::with_capacity(n.saturating_sub(1));
    for inner in n..all.len() {
        let mut next = || {
            if leaf > 0 && all.get(node).is_none_or(|&count| all[leaf - 1] < count) {
                leaf -= 1;
                leaf
            } else {
                node += 1;
                node - 1
            }
        };
        let (left, right) = (next(), next());
        all[inner] = all[left].saturating_add(all[right]);
        children.push((left as u32, right as u32));
    }
    children
}
