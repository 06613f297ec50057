//! Models as fastText 0.9.2 writes them.

use tutelage_run::{AtomicFile, FileError};

use super::dictionary::Vocabulary;
use super::train::{Choice, ClassifierTraining, Weights};
use super::{MAGIC, VERSIONS};

/// Writes a model.
pub(super) fn write(
    file: &mut AtomicFile,
    vocabulary: &Vocabulary,
    weights: &Weights,
    settings: &ClassifierTraining,
) -> Result<(), FileError> {
    let dictionary = &vocabulary.dictionary;
    let loss = match settings.choice {
        Choice::OneLabel => 3,
        Choice::AnyLabels => 4,
    };
    // Window, and negatives: of vectors of words, which this is not about.
    let (window, negatives, supervised, rate) = (5, 5, 3, 100);
    let numbers = [
        MAGIC,
        *VERSIONS.end(),
        weights.dim as i32,
        window,
        settings.epochs as i32,
        settings.min_count as i32,
        negatives,
        dictionary.word_n_grams as i32,
        loss,
        supervised,
        dictionary.buckets as i32,
        dictionary.chars.0 as i32,
        dictionary.chars.1 as i32,
        rate,
    ];
    let mut head: Vec<u8> = numbers.into_iter().flat_map(i32::to_le_bytes).collect();
    head.extend(1e-4f64.to_le_bytes());
    vocabulary.write(&mut head);
    // Not quantised.
    head.push(0);
    head.extend(shape(dictionary.n_words() + dictionary.buckets, weights.dim));
    file.write(&head)?;
    weights.try_each_row(|row| floats(file, row))?;
    file.write(&[&[0][..], &shape(dictionary.labels.len(), weights.dim)].concat())?;
    floats(file, &weights.output)
}

fn shape(rows: usize, cols: usize) -> Vec<u8> {
    [rows as i64, cols as i64].into_iter().flat_map(i64::to_le_bytes).collect()
}

/// Writes numbers.
pub(super) fn floats(file: &mut AtomicFile, numbers: &[f32]) -> Result<(), FileError> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    file.write(&bytes)
}
