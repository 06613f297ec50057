//! Learning a classifier from documents with labels.
//!
//! `DIR/model.bin` is fastText's form, so others read it too; `DIR/model.json` is its [`Card`]; `DIR/manifest.json` what it was made of.

mod barrier;
mod calibrate;
mod descent;
mod examples;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Choice, ClassifierTraining};

pub(crate) use examples::labels_of;

use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tutelage_run::{AtomicFile, Event, FileError, Observer, StopFlag, rename, write_json};

use super::card::Card;
use super::dictionary::Vocabulary;
use super::evaluation::Judge;
use super::{Classifier, ClassifierMemory};
use crate::job::{Job, Outcome, StageFolder, value_of};
use crate::manifest::OutputRecord;
use crate::{CorpusError, Manifest};
use calibrate::{Held, temperature};
use descent::Epoch;
pub(super) use descent::Weights;
use examples::{Counted, Documents, held_out};

/// The stage's name.
const NAME: &str = "classifier";
const MODEL: &str = "model.bin";

/// Learns a classifier, or goes on with it from the last epoch that was done, or finds it done.
///
/// # Errors
/// When a setting or a document's labels do not fit, the folder holds something else, or the system refuses.
pub fn train_classifier(
    job: &Job<'_>,
    settings: &ClassifierTraining,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    settings.check()?;
    if job.shard.is_part() {
        return Err(CorpusError::request("--shard: a classifier learns from all documents at once"));
    }
    let documents = Documents { settings, job: job.settings, inputs: job.inputs };
    let paths = documents.paths();
    if paths.is_empty() {
        return Err(CorpusError::request(
            "no documents: name files or folders, or sources by label with --set 'labels={good=[\"a.jsonl\"],bad=[\"b.jsonl\"]}'",
        ));
    }
    let all = json!({ "text_field": job.settings.text_field, "training": value_of(settings) });
    let folder = StageFolder { stage: NAME, settings: all, inputs: &paths, out: job.out };
    if let Some(manifest) = folder.done(observer)? {
        return Ok(Outcome::Done(Box::new(manifest)));
    }
    let open = folder.begin()?;
    let work = open.work().to_path_buf();
    let begun = Instant::now();
    let vocabulary = match documents.vocabulary(observer, stop) {
        Err(error) => {
            // Nothing depends on the settings yet, and they may be what is wrong.
            open.forget()?;
            return Err(error);
        }
        Ok(None) => return Ok(Outcome::Stopped),
        Ok(Some(vocabulary)) => vocabulary,
    };
    let Some((examples, counted)) = documents.examples(&vocabulary.dictionary, &work, observer, stop)? else {
        return Ok(Outcome::Stopped);
    };
    let n_rows = vocabulary.dictionary.n_words() + vocabulary.dictionary.buckets;
    let n_labels = vocabulary.dictionary.labels.len();
    let mut weights = Weights::new(&examples, n_rows, n_labels, settings.dim, job.threads, settings.seed);
    let detail = format!("{} documents, {n_labels} labels, {n_rows} vectors of {}", examples.len(), settings.dim);
    let total = examples.len() as u64 * u64::from(settings.epochs);
    let (first, mut loss) = read_state(&work, &mut weights)?;
    let done = u64::from(first) * examples.len() as u64;
    observer.event(&Event::StageStarted { stage: NAME, detail: &detail, total: Some(total), done });
    for number in first..settings.epochs {
        let epoch = Epoch { examples: &examples, settings, number };
        let Some(found) = epoch.run(&mut weights, observer, stop) else { return Ok(Outcome::Stopped) };
        if !found.is_finite() {
            return Err(CorpusError::request(format!(
                "the loss of epoch {} is not a number: set a smaller lr than {}",
                number + 1,
                settings.lr
            )));
        }
        loss = found;
        write_state(&work, &weights, number + 1, loss)?;
    }
    let path = work.join(MODEL);
    let mut model = written(&path, &vocabulary, &weights, settings)?;
    let mut by = 1.0;
    if settings.calibrate {
        by = calibration(&model, settings.choice, &work)?;
        weights.output.iter_mut().for_each(|weight| *weight = (f64::from(*weight) / by) as f32);
        model = written(&path, &vocabulary, &weights, settings)?;
    }
    let card = card(&model, settings, &work)?;
    // The card first: a model without one would be taken for another's, and read texts in another way.
    let place = job.out.join(MODEL);
    write_json(&Card::path(&place), &card)?;
    rename(&path, &place)?;
    let manifest = manifest(open.manifest(), &place, &card, counted, by)?;
    let manifest = open.finish(manifest, observer)?;
    let result = format!("loss {loss:.4} in the last epoch");
    observer.event(&Event::StageFinished { stage: NAME, result: &result, seconds: begun.elapsed().as_secs_f64() });
    Ok(Outcome::Done(Box::new(manifest)))
}

/// Writes the model, and reads it as everybody will.
fn written(
    path: &Path,
    vocabulary: &Vocabulary,
    weights: &Weights,
    settings: &ClassifierTraining,
) -> Result<Classifier, CorpusError> {
    let mut file = AtomicFile::create(path)?;
    super::write::write(&mut file, vocabulary, weights, settings)?;
    file.commit()?;
    let mut model = Classifier::read(path)?;
    model.prepare = settings.prepare();
    Ok(model)
}

/// The temperature that documents held out for it ask for.
fn calibration(model: &Classifier, choice: Choice, work: &Path) -> Result<f64, CorpusError> {
    let (mut held, mut memory) = (Vec::new(), ClassifierMemory::default());
    for document in held_out(work, true)? {
        let document = document?;
        if let Some(scores) = model.scores(&document.text, &mut memory) {
            held.push(Held { labels: document.labels, scores });
        }
    }
    Ok(temperature(&held, choice))
}

fn card(model: &Classifier, settings: &ClassifierTraining, work: &Path) -> Result<Card, CorpusError> {
    let mut judge = Judge::new(model.labels(), settings.choice == Choice::AnyLabels);
    let mut memory = ClassifierMemory::default();
    for document in held_out(work, false)? {
        let document = document?;
        judge.add(document.language.as_deref(), &document.labels, &model.probabilities(&document.text, &mut memory));
    }
    Ok(Card {
        format: Card::FORMAT.to_owned(),
        model: model.hash().clone(),
        prepare: settings.prepare(),
        min_informedness: settings.min_informedness,
        min_documents: settings.min_documents,
        evaluation: judge.finish(),
    })
}

fn manifest(
    begun: Manifest,
    path: &Path,
    card: &Card,
    counted: Counted,
    temperature: f64,
) -> Result<Manifest, CorpusError> {
    let bytes = std::fs::metadata(path).map_err(FileError::io("read", path))?.len();
    let dropped: u64 = counted.dropped.values().sum();
    let warnings = warnings(card, &counted);
    Ok(Manifest {
        read: counted.read,
        kept: counted.read - dropped,
        dropped: counted.dropped,
        warnings,
        counts: [
            ("learned_from", counted.learned),
            ("held_out_for_calibration", counted.calibrating),
            ("held_out_for_evaluation", counted.evaluated),
            ("temperature_in_thousandths", (temperature * 1000.0).round() as u64),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into(),
        inputs: counted.inputs,
        outputs: vec![OutputRecord { file: MODEL.to_owned(), documents: 0, bytes, hash: card.model.clone() }],
        ..begun
    })
}

fn warnings(card: &Card, counted: &Counted) -> Vec<String> {
    let mut warnings = Vec::new();
    if counted.evaluated == 0 {
        warnings.push("no document was left to evaluate with: nothing is known of what the classifier is worth; raise held_out or name documents as validation".to_owned());
    }
    for (language, informedness) in card.refused() {
        warnings.push(format!(
            "in '{language}' the classifier does not agree with its validation set (informedness {informedness:.2}, below {}): it will decide about no document in that language",
            card.min_informedness
        ));
    }
    let few = card.evaluation.languages.iter().filter(|(_, scores)| scores.documents < card.min_documents);
    let few: Vec<String> = few.map(|(language, scores)| format!("{language} ({})", scores.documents)).collect();
    if !few.is_empty() {
        warnings.push(format!(
            "too few held-out documents to judge by, fewer than {}: {}",
            card.min_documents,
            few.join(", ")
        ));
    }
    warnings
}

const STATE: &str = "state.bin";

/// How many epochs are done, the loss of the last, and the weights after it.
fn read_state(work: &Path, weights: &mut Weights) -> Result<(u32, f64), CorpusError> {
    let path = work.join(STATE);
    if !path.exists() {
        return Ok((0, 0.0));
    }
    let file = tutelage_run::MappedFile::open(&path)?;
    let wrong = || FileError::content(&path, "is not the state of this training; remove the folder to start anew");
    let mut cursor = super::cursor::Cursor::new(file.bytes());
    let (epochs, loss) = cursor.i64().and_then(|epochs| Ok((epochs, cursor.f64()?))).map_err(|_| wrong())?;
    let mut fill = |row: &mut [f32]| {
        row.copy_from_slice(&cursor.floats(row.len()).map_err(|_| wrong())?);
        Ok::<_, FileError>(())
    };
    fill(&mut weights.output)?;
    weights.try_fill_rows(fill)?;
    if cursor.left() > 0 {
        return Err(wrong().into());
    }
    Ok((epochs as u32, loss))
}

fn write_state(work: &Path, weights: &Weights, epochs: u32, loss: f64) -> Result<(), FileError> {
    let mut file = AtomicFile::create(&work.join(STATE))?;
    file.write(&[i64::from(epochs).to_le_bytes(), loss.to_le_bytes()].concat())?;
    super::write::floats(&mut file, &weights.output)?;
    weights.try_each_row(|row| super::write::floats(&mut file, row))?;
    file.commit()
}
