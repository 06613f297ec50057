//! `tutelage teacher`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tutelage_recipe::plan::plan;
use tutelage_recipe::run::{RunOutcome, cache};
use tutelage_recipe::{
    Angle, AnglesRequest, CacheReport, CapturedTexts, EngineChoice, angles, cache_stats, captured_texts, load,
    verify_cache,
};

use crate::args::TeacherCommand;
use crate::commands::{INTERRUPTED, print_json, stop_flag};
use crate::failure::Failure;
use crate::progress::Progress;

pub(crate) fn teacher(what: TeacherCommand, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    match what {
        TeacherCommand::Cache { recipe, name, out, set } => {
            let plan = plan(load(&recipe, &set)?)?;
            let stop = stop_flag()?;
            let mut progress = Progress::new();
            let outcome = cache(&plan, &name, out.as_deref(), engine, &mut progress, &stop)?;
            drop(progress);
            Ok(match outcome {
                RunOutcome::Done(folder) => {
                    writeln!(std::io::stdout(), "{}", folder.join("caches").join(&name).display())?;
                    ExitCode::SUCCESS
                }
                RunOutcome::Stopped(_) => {
                    say!("stopped; the parts so far are kept: the same command goes on from there");
                    ExitCode::from(INTERRUPTED)
                }
            })
        }
        TeacherCommand::Verify { cache, json } => {
            let tokens = verify_cache(&cache, &mut Progress::new())?;
            match json {
                true => print_json(&json!({ "cache": cache, "tokens": tokens, "whole": true }))?,
                false => writeln!(std::io::stdout(), "{}: whole, {tokens} tokens", cache.display())?,
            }
            Ok(ExitCode::SUCCESS)
        }
        TeacherCommand::Angles { run, student, teacher, sequences, top_k, samples, json } => {
            let widen = |numbers: Vec<u16>| numbers.into_iter().map(|n| usize::from(n).max(1)).collect::<Vec<_>>();
            let (top_k, samples) = (widen(top_k), widen(samples));
            let request = AnglesRequest {
                run: &run,
                student: &student,
                teacher: &teacher,
                sequences: usize::from(sequences),
                top_k: &top_k,
                samples: &samples,
            };
            let found = angles(&request, engine, &mut Progress::new())?;
            match json {
                true => print_json(&json!(found))?,
                false => print_angles(&found)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        TeacherCommand::Texts { capture, tokenizer, out, json } => {
            let found = captured_texts(&capture, &tokenizer, &out, &mut Progress::new(), &stop_flag()?)?;
            let Some(found) = found else {
                say!("stopped; nothing was written");
                return Ok(ExitCode::from(INTERRUPTED));
            };
            let CapturedTexts { documents, written, ids, same } = found;
            match json {
                true => print_json(&json!(found))?,
                false => writeln!(
                    std::io::stdout(),
                    "{}: {written} of {documents} documents; their texts make {:.2} % of {ids} ids again",
                    out.display(),
                    100.0 * same as f64 / ids as f64
                )?,
            }
            Ok(ExitCode::SUCCESS)
        }
        TeacherCommand::Stats { cache, json } => {
            let report = cache_stats(&cache, &mut Progress::new())?;
            match json {
                true => print_json(&json!(report))?,
                false => print_stats(&cache, &report)?,
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print_angles(angles: &[Angle]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let tokens = angles.first().map_or(0, |angle| angle.tokens);
    writeln!(out, "gradient of KL over {tokens} tokens, beside that of the whole distribution")?;
    writeln!(out, "{:18}  {:>7}  {:>7}  {:>10}", "target", "entries", "degrees", "norm ratio")?;
    for angle in angles {
        let Angle { target, entries_per_token, degrees, norm_ratio, .. } = angle;
        writeln!(out, "{target:18}  {entries_per_token:>7.1}  {degrees:>7.2}  {norm_ratio:>10.3}")?;
    }
    Ok(())
}

fn print_stats(path: &Path, report: &CacheReport) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let (tokens, coding) = (report.tokens.max(1) as f64, &report.coding);
    writeln!(
        out,
        "{}: {} of {} tokens, teacher {}",
        path.display(),
        report.header.kept,
        report.tokens,
        report.header.teacher
    )?;
    if let Some(mass) = coding.kept_mass {
        writeln!(out, "kept probability   {mass:>8.4} of 1, on average")?;
    }
    let per_token = report.bytes as f64 / tokens;
    writeln!(out, "bytes a token      {per_token:>8.1}  ({:.1} entries)", report.entries as f64 / tokens)?;
    writeln!(out, "bits an entry      {:>8.2}  its id", coding.id_bits)?;
    writeln!(out, "                   {:>8.2}  its value", coding.value_bits)?;
    let all = 8.0 * report.bytes as f64 / report.entries.max(1) as f64;
    writeln!(out, "                   {:>8.2}  files, tables, index", all - coding.id_bits - coding.value_bits)?;
    writeln!(out, "an id otherwise    {:>8.2}  as a plain number", coding.plain_id_bits)?;
    writeln!(out, "                   {:>8.2}  entropy of sets of the vocabulary, all as likely", coding.set_bits)?;
    writeln!(
        out,
        "                   {:>8.2}  entropy of each id's being kept, by how often it is",
        coding.inclusion_bits
    )?;
    if coding.n_tokens < report.tokens {
        writeln!(out, "(bits of {} tokens, spread evenly)", coding.n_tokens)?;
    }
    Ok(())
}
