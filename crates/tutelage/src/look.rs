//! `tutelage data stats`, `sample` and `diff`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tutelage_recipe::EngineChoice;
use tutelage_recipe::corpus::{
    Bin, Change, Diff, Fate, JobSettings, Relational, Sample, Stats, diff, relational_stats, sample as draw,
    stats as count,
};

use crate::commands::print_json;
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Files, folders of files, or folders that a stage wrote
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Who counts: embedded, or datafusion (JSONL without compression; a build with --features cluster)
    #[arg(long, default_value = "embedded", value_parser = ["embedded", "datafusion"])]
    engine: String,
    /// HOST:PORT of a cluster's scheduler that counts (data cluster)
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: Option<String>,
    /// Field of JSONL that holds the text
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Files, folders of files, or folders that a stage wrote
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// How many documents
    #[arg(short, long, default_value_t = 5)]
    n: usize,
    /// Only documents that were dropped for this reason, of a folder 'dropped'
    #[arg(long, value_name = "REASON")]
    dropped: Option<String>,
    /// Of the draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Characters of each text that are shown; 0 for all
    #[arg(long, default_value_t = 600)]
    chars: usize,
    /// Field of JSONL that holds the text
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print the documents as JSONL
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// What a stage read
    before: PathBuf,
    /// The folder that it wrote
    after: PathBuf,
    /// Documents shown of each kind and reason
    #[arg(short, long, default_value_t = 3)]
    n: usize,
    /// Characters of each text that are shown; 0 for all
    #[arg(long, default_value_t = 400)]
    chars: usize,
    /// Before and after in two columns
    #[arg(long)]
    side_by_side: bool,
    /// Characters of a line of both columns [default: the terminal's, or 160]
    #[arg(long, requires = "side_by_side", value_parser = clap::value_parser!(u16).range(20..))]
    width: Option<u16>,
    /// Field of JSONL that holds the text
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn reading(text_field: &str) -> JobSettings {
    JobSettings { text_field: text_field.to_owned(), ..JobSettings::default() }
}

pub(crate) fn stats(args: &StatsArgs, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    let StatsArgs { inputs, text_field, scheduler, .. } = args;
    let found = match args.engine == "datafusion" || scheduler.is_some() {
        true => {
            let relational = Relational::new(scheduler.as_deref(), engine.threads())?;
            relational_stats(&relational, inputs, text_field)?
        }
        false => count(inputs, &reading(text_field), &mut Progress::new())?,
    };
    match args.json {
        true => print_json(&json!(found))?,
        false => print_stats(&found)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_stats(stats: &Stats) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let Stats { documents, pages, bytes, chars, words, longest, .. } = stats;
    let mean = *chars as f64 / (*documents).max(1) as f64;
    writeln!(out, "documents  {documents}")?;
    if *pages > 0 {
        writeln!(out, "pages      {pages}, whose text 'data format' takes out")?;
    }
    writeln!(out, "text       {:.1} MB, {chars} characters, {words} words", *bytes as f64 / 1e6)?;
    writeln!(out, "length     {mean:.0} characters on average, {longest} at most")?;
    print_bins(&mut out, &stats.lengths, "characters")?;
    for (title, counts) in
        [("damaged", &stats.damaged), ("language", &stats.languages), ("dropped for", &stats.reasons)]
    {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (name, count) in counts {
            writeln!(out, "{title}  {count:>10}  {name}")?;
        }
    }
    for (host, count) in &stats.hosts {
        writeln!(out, "host  {count:>10}  {host}")?;
    }
    if !stats.copies.is_empty() {
        print_bins(&mut out, &stats.copies, "copies")?;
    }
    Ok(())
}

fn print_bins(out: &mut impl Write, bins: &[Bin], what: &str) -> Result<(), Failure> {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1);
    for Bin { from, to, count } in bins {
        let bar = "#".repeat((40 * count).div_ceil(most) as usize);
        writeln!(out, "  {from:>8} to {:>8} {what}  {count:>9}  {bar}", to - 1)?;
    }
    Ok(())
}

pub(crate) fn sample(args: &SampleArgs) -> Result<ExitCode, Failure> {
    let found = draw(&args.inputs, &reading(&args.text_field), args.n, args.dropped.as_deref(), args.seed)?;
    let mut out = std::io::stdout().lock();
    for Sample { file, place, document, text } in &found {
        if args.json {
            writeln!(out, "{}", document.get())?;
            continue;
        }
        writeln!(out, "--- {file}, {place}: {} characters", text.chars().count())?;
        writeln!(out, "{}", shortened(text, args.chars))?;
    }
    if found.is_empty() {
        say!("no document there{}", args.dropped.as_ref().map_or(String::new(), |r| format!(" was dropped for '{r}'")));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn compare(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let DiffArgs { before, after, n, chars, side_by_side, width, text_field, json } = args;
    let found = diff(std::slice::from_ref(before), after, &reading(text_field), *n)?;
    match json {
        true => print_json(&json!(found))?,
        false => {
            let terminal = || console::Term::stdout().size_checked().map_or(160, |(_, columns)| columns);
            let width = side_by_side.then(|| usize::from(width.unwrap_or_else(terminal)));
            print_diff(&found, after, *chars, width)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_diff(diff: &Diff, after: &Path, chars: usize, width: Option<usize>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let Diff { same, changed, dropped, added, without_id, changes } = diff;
    writeln!(out, "{}: {same} the same, {changed} changed, {dropped} dropped, {added} new", after.display())?;
    if *without_id > 0 {
        writeln!(out, "{without_id} documents have no id and cannot be matched; 'data format' gives them one")?;
    }
    for Change { id, fate, before, after } in changes {
        match fate {
            Fate::Changed => {
                writeln!(out, "--- {id}: changed")?;
                match width {
                    Some(width) => print_columns(&mut out, before, after, chars, width)?,
                    None => print_lines(&mut out, before, after, chars)?,
                }
            }
            Fate::Dropped(reason) => {
                let reason = reason.as_deref().unwrap_or("(keep_dropped=true would tell why)");
                writeln!(out, "--- {id}: dropped, {reason}")?;
                writeln!(out, "{}", shortened(before, chars))?;
            }
        }
    }
    Ok(())
}

/// The lines that are not the same, with what was before and what is after.
fn print_lines(out: &mut impl Write, before: &str, after: &str, chars: usize) -> Result<(), Failure> {
    let diff = similar::TextDiff::from_lines(before, after);
    let mut shown = 0;
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Equal => continue,
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
        };
        let line = change.value().trim_end_matches('\n');
        writeln!(out, "{sign} {}", shortened(line, chars))?;
        shown += line.chars().count();
        if chars > 0 && shown > chars {
            writeln!(out, "  ...")?;
            break;
        }
    }
    Ok(())
}

/// Both texts, line by line in two columns; lines that are not the same have a mark between them.
fn print_columns(out: &mut impl Write, before: &str, after: &str, chars: usize, width: usize) -> Result<(), Failure> {
    let column = width.saturating_sub(3) / 2;
    let (left, right): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let diff = similar::TextDiff::from_slices(&left, &right);
    let mut shown = 0;
    for op in diff.ops() {
        let (old, new) = (op.old_range(), op.new_range());
        let mark = if op.tag() == similar::DiffTag::Equal { ' ' } else { '|' };
        for i in 0..old.len().max(new.len()) {
            let of = |lines: &[&str], range: &std::ops::Range<usize>| {
                range.clone().nth(i).map_or_else(|| vec![String::new()], |at| wrapped(lines[at], column))
            };
            let (one, other) = (of(&left, &old), of(&right, &new));
            for row in 0..one.len().max(other.len()) {
                let cell = |rows: &[String]| rows.get(row).cloned().unwrap_or_default();
                let (one, other) = (cell(&one), cell(&other));
                // Wide characters take two places of a terminal.
                let fill = column.saturating_sub(console::measure_text_width(&one));
                writeln!(out, "{one}{:fill$} {mark} {other}", "")?;
                shown += one.chars().count().max(other.chars().count());
            }
            if chars > 0 && shown > chars {
                writeln!(out, "...")?;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A line in pieces that fit a column.
fn wrapped(line: &str, column: usize) -> Vec<String> {
    let (mut rows, mut row, mut width) = (Vec::new(), String::new(), 0);
    for c in line.chars() {
        let wide = console::measure_text_width(c.encode_utf8(&mut [0; 4]));
        if width + wide > column && !row.is_empty() {
            rows.push(std::mem::take(&mut row));
            width = 0;
        }
        row.push(if c == '\t' { ' ' } else { c });
        width += wide;
    }
    rows.push(row);
    rows
}

fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) if chars > 0 => format!("{} ...", &text[..end]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_beside_each_other() {
        let mut out = Vec::new();
        print_columns(&mut out, "same\nold line\n中文字", "same\nnew", 0, 15).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "same     same\nold li | new\nne     | \n中文字 | \n";
        assert_eq!(text, expected);
    }
}
