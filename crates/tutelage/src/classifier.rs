//! `tutelage data classifier`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use tutelage_recipe::EngineChoice;
use tutelage_recipe::corpus::{
    Card, Scores, ShardOf, StageName, StageRequest, classifier_evaluation, classifier_training, data_stage,
};

use crate::commands::{print_json, stop_flag};
use crate::data::{COMMON, ended};
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Subcommand)]
pub(crate) enum ClassifierCommand {
    /// Learn a classifier of fastText's form from documents with labels; it is evaluated on held-out ones, by language
    #[command(
        after_help = "Examples:\n  tutelage data classifier train toxic.jsonl --out toxic --set label_field=toxic\n  \
        tutelage data classifier train --out quality --set 'labels={good=[\"wiki\"],bad=[\"crawl\"]}'\n\n\
        DIR/model.bin is read by fastText's users too; DIR/model.json says how far it is right. In a language in which it does\n\
        not agree with held-out documents it decides about no document. The same command goes on after an interruption.\n\n\
        Settings (--set KEY=VALUE):\n  \
        label_field=label         field that holds the label, or a list of labels\n  \
        labels={}                 files and folders by label, where all documents of a source have one\n  \
        choice=one_label          or any_labels: a document may have several, or none\n  \
        dim=16                    width of vectors\n  \
        epochs=5                  how often each document is seen\n  \
        lr=0.5                    at the start; it falls to 0\n  \
        word_n_grams=2            words of a run that counts\n  \
        chars=[0,0]               characters of a part of a word that counts, such as [2,4]\n  \
        buckets=0                 vectors that runs and parts share; 0: by their number, up to two million\n  \
        min_count=1               how often a word is seen to have a vector\n  \
        lowercase=true            letters in lower case\n  \
        split_punctuation=true    punctuation apart from words\n  \
        split_scripts=true        characters of scripts without spaces apart from each other\n  \
        held_out=0.1              share of documents for calibration and evaluation, half each\n  \
        validation=[]             documents for it in their place\n  \
        calibrate=true            probabilities say how often they are right (temperature scaling)\n  \
        min_informedness=0.5      agreement beyond chance, below which a language is refused\n  \
        min_documents=30          held-out documents of a language for that to count\n  \
        seed=1                    of first weights and order\n  \
        text_field=text           field of JSONL that holds the text"
    )]
    Train(TrainArgs),
    /// Give documents their label and its probability; none is dropped (the stage 'quality' drops by scores)
    #[command(after_help = format!("Example:\n  tutelage data classifier apply toxic/model.bin data/safe --out data/labelled\n\n\
        Settings:\n  \
        name=label                field that is given the label; NAME_score is given its probability\n  \
        all_scores=false          NAME_scores is given the probability of every label\n\n{COMMON}"))]
    Apply(ApplyArgs),
    /// How far a classifier is right: precision and recall by language, calibration, thresholds
    #[command(after_help = "Examples:\n  tutelage data classifier evaluate toxic/model.bin test.jsonl\n  \
        tutelage data classifier evaluate lid.176.ftz labelled.jsonl --set label_field=language --json\n\n\
        Settings:\n  \
        label_field=label         field that holds the label, or a list of labels\n  \
        record=false              what is found lies beside the model from then on: languages are refused by it\n  \
        min_informedness=0.5      agreement beyond chance, below which a language is refused\n  \
        min_documents=30          documents of a language for that to count\n  \
        text_field=text           field of JSONL that holds the text")]
    Evaluate(EvaluateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Files, folders of files, or folders that a stage wrote
    inputs: Vec<PathBuf>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A setting; may be given many times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The model's file, of fastText's form
    model: PathBuf,
    /// Files, folders of files, or folders that a stage wrote
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A setting; may be given many times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only the I-th of N parts of the inputs, by file; 'data merge' brings the parts together
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = crate::data::shard)]
    shard: ShardOf,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The model's file, of fastText's form
    model: PathBuf,
    /// Files, folders of files, or folders that a stage wrote
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// A setting; may be given many times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn classifier(what: ClassifierCommand, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    match what {
        ClassifierCommand::Train(args) => train(&args, engine),
        ClassifierCommand::Apply(args) => apply(args, engine),
        ClassifierCommand::Evaluate(EvaluateArgs { model, inputs, set, json }) => {
            let mut progress = Progress::new();
            let card = classifier_evaluation(&model, &inputs, &set, &mut progress)?;
            drop(progress);
            show(&card, json)
        }
    }
}

fn train(args: &TrainArgs, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    let TrainArgs { inputs, out, set, json } = args;
    let stop = stop_flag()?;
    let mut progress = Progress::new();
    let outcome = classifier_training(inputs, out, set, engine, &mut progress, &stop)?;
    drop(progress);
    if *json || outcome == tutelage_recipe::corpus::Outcome::Stopped {
        return ended(outcome, out, *json);
    }
    ended(outcome, out, false)?;
    show(&Card::beside(&out.join("model.bin"))?, false)
}

fn apply(args: ApplyArgs, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    let ApplyArgs { model, inputs, out, mut set, shard, json } = args;
    if let Some(other) = set.iter().find(|set| set.starts_with("model=")) {
        let message = format!("--set {other}: the model is the first argument, {}", model.display());
        return Err(Failure::request(message));
    }
    set.push(format!("model={}", json!(model.display().to_string())));
    let request = StageRequest { stage: StageName::Classify, inputs: &inputs, out: &out, set: &set, shard };
    let stop = stop_flag()?;
    let mut progress = Progress::new();
    let outcome = data_stage(&request, engine, &mut progress, &stop)?;
    drop(progress);
    ended(outcome, &out, json)
}

fn show(card: &Card, json: bool) -> Result<ExitCode, Failure> {
    if json {
        print_json(&json!(card))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    let evaluation = &card.evaluation;
    let Scores { nll, calibration_error, .. } = &evaluation.all;
    writeln!(out, "loss {nll:.4} nats, calibration error {calibration_error:.4}")?;
    writeln!(
        out,
        "{:16} {:>9} {:>9} {:>9} {:>9} {:>9}  label",
        "language", "documents", "accuracy", "informed", "precision", "recall"
    )?;
    let all = ("all", &evaluation.all);
    for (language, scores) in
        [all].into_iter().chain(evaluation.languages.iter().map(|(name, scores)| (&name[..], scores)))
    {
        let Scores { documents, accuracy, informedness, labels, .. } = scores;
        let verdict = if card.refuses(language) && language != "all" { "  refused" } else { "" };
        writeln!(out, "{language:16} {documents:>9} {accuracy:>9.3} {informedness:>9.3}{verdict}")?;
        // Labels of which there are many are looked at as JSON.
        for (label, scores) in labels.iter().filter(|(_, scores)| scores.documents > 0).take(8) {
            let (documents, precision, recall) = (scores.documents, scores.precision, scores.recall);
            writeln!(out, "{:16} {documents:>9} {:>9} {:>9} {precision:>9.3} {recall:>9.3}  {label}", "", "", "")?;
        }
    }
    for (label, steps) in evaluation.thresholds.iter().filter(|_| evaluation.thresholds.len() <= 4) {
        writeln!(out, "threshold on '{label}': share of documents, precision, recall")?;
        for step in steps.iter().skip(1).step_by(2) {
            writeln!(
                out,
                "  {:>4.2}  {:>6.3}  {:>6.3}  {:>6.3}",
                step.threshold, step.share, step.precision, step.recall
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
