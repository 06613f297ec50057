//! Numbers of documents as relational plans over JSONL, which the processes of a cluster read by themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::{JsonReadOptions, SessionContext};
use tokio::runtime::Runtime;
use tutelage_corpus::{CorpusError, Histogram, Stats, plain_files};

use crate::Relational;
use crate::plan::failed;

/// What `tutelage_corpus::stats` gives, for JSONL without damage: a line that is none ends the plan with an error.
///
/// # Errors
/// When there is nothing to read, a file is compressed or no JSONL, or the engine fails.
pub fn relational_stats(engine: &Relational, inputs: &[PathBuf], text_field: &str) -> Result<Stats, CorpusError> {
    let files = plain_files(inputs)?;
    // Others read them by these paths.
    let absolute = |path: &PathBuf| path.canonicalize().map_err(tutelage_run::FileError::io("read", path));
    let files: Vec<PathBuf> = files.iter().map(absolute).collect::<Result<_, _>>()?;
    let runtime = Runtime::new().map_err(failed)?;
    runtime.block_on(counted(engine, &files, text_field)).map_err(|error| engine.failed(error))
}

async fn counted(engine: &Relational, files: &[PathBuf], text_field: &str) -> Result<Stats, DataFusionError> {
    let context = engine.context().await?;
    register(&context, files, text_field).await?;
    let text = format!("\"{}\"", text_field.replace('"', "\"\""));
    let both = |name: &str| format!("coalesce({name}, meta['{name}'])");
    let mut stats = Stats::default();
    let groups = format!(
        "SELECT {} AS language, dropped, text_bin({text}) AS bin, count(*) AS n, count({text}) AS documents, \
         coalesce(sum(text_bytes({text})), 0) AS bytes, coalesce(sum(text_chars({text})), 0) AS chars, \
         coalesce(sum(text_words({text})), 0) AS words, coalesce(max(text_chars({text})), 0) AS longest \
         FROM documents GROUP BY 1, 2, 3",
        both("language")
    );
    let mut lengths: BTreeMap<usize, u64> = BTreeMap::new();
    for batch in context.sql(&groups).await?.collect().await? {
        let rows = Rows::new(&batch, 2)?;
        for row in 0..batch.num_rows() {
            let number = |column: usize| rows.number(column, row);
            let (n, documents) = (number(3), number(4));
            stats.documents += documents;
            stats.pages += n - documents;
            stats.bytes += number(5);
            stats.chars += number(6);
            stats.words += number(7);
            stats.longest = stats.longest.max(number(8));
            *lengths.entry(number(2) as usize).or_default() += documents;
            for (counts, name) in [(&mut stats.languages, rows.text(0, row)), (&mut stats.reasons, rows.text(1, row))] {
                if let Some(name) = name {
                    *counts.entry(name).or_default() += n;
                }
            }
        }
    }
    stats.lengths = Histogram::from_counts(lengths.into_iter().filter(|(_, n)| *n > 0)).bins();
    let hosts = format!(
        "SELECT url_host({}) AS host, count(*) AS n FROM documents GROUP BY 1 HAVING url_host({}) IS NOT NULL \
         ORDER BY n DESC, host LIMIT 20",
        both("url"),
        both("url")
    );
    for batch in context.sql(&hosts).await?.collect().await? {
        let rows = Rows::new(&batch, 1)?;
        let host = |row| rows.text(0, row).map(|host| (host, rows.number(1, row)));
        stats.hosts.extend((0..batch.num_rows()).filter_map(host));
    }
    let copies = format!("SELECT {} AS size, count(*) AS n FROM documents GROUP BY 1", both("copies"));
    let mut sizes = Vec::new();
    for batch in context.sql(&copies).await?.collect().await? {
        let rows = Rows::new(&batch, 0)?;
        let known = (0..batch.num_rows()).filter(|&row| !batch.column(0).is_null(row));
        sizes.extend(known.map(|row| (Histogram::bin_of(rows.number(0, row)), rows.number(1, row))));
    }
    stats.copies = Histogram::from_counts(sizes).bins();
    Ok(stats)
}

/// The table `documents`: what statistics ask for, of whatever else there is.
async fn register(context: &SessionContext, files: &[PathBuf], text_field: &str) -> Result<(), DataFusionError> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let copies = Field::new("copies", DataType::UInt64, true);
    let meta = Fields::from(vec![text("language"), text("url"), copies.clone()]);
    let schema = Schema::new(vec![
        text(text_field),
        text("language"),
        text("dropped"),
        text("url"),
        copies,
        Field::new("meta", DataType::Struct(meta), true),
    ]);
    let ending = files.first().and_then(|path| Path::new(path).extension()).unwrap_or_default();
    let ending = format!(".{}", ending.to_string_lossy());
    let options = JsonReadOptions { schema: Some(&schema), file_extension: &ending, ..JsonReadOptions::default() };
    let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let table = context.read_json(paths, options).await?;
    context.register_table("documents", Arc::clone(&table.into_view()))?;
    Ok(())
}

/// A batch whose first columns are texts, and the others numbers.
struct Rows {
    columns: Vec<datafusion::arrow::array::ArrayRef>,
}

impl Rows {
    fn new(batch: &RecordBatch, n_texts: usize) -> Result<Self, DataFusionError> {
        let of = |(i, column): (usize, &datafusion::arrow::array::ArrayRef)| {
            Ok(cast(column, if i < n_texts { &DataType::Utf8 } else { &DataType::UInt64 })?)
        };
        Ok(Self { columns: batch.columns().iter().enumerate().map(of).collect::<Result<_, DataFusionError>>()? })
    }

    fn text(&self, column: usize, row: usize) -> Option<String> {
        let texts = self.columns[column].as_string::<i32>();
        texts.iter().nth(row).flatten().map(str::to_owned)
    }

    fn number(&self, column: usize, row: usize) -> u64 {
        let numbers = self.columns[column].as_primitive::<UInt64Type>();
        numbers.iter().nth(row).flatten().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use tutelage_corpus::{JobSettings, stats};
    use tutelage_run::Silent;
    use tutelage_testkit::Scratch;

    use super::*;

    #[test]
    fn the_plan_counts_what_the_embedded_path_counts() {
        let scratch = Scratch::new("cluster-stats");
        let inputs = [scratch.join("a.jsonl"), scratch.join("b.jsonl")];
        let mut lines = "{\"text\":\"one two\",\"meta\":{\"language\":\"en\",\"url\":\"http://A.com/x\"}}\n\
             {\"text\":\"\u{4e09}\u{4e2a}\u{5b57}\",\"meta\":{\"language\":\"zh\",\"url\":\"https://a.com\"},\"copies\":3}\n\
             {\"html\":\"<p>x\"}\n{\"text\":\"\",\"dropped\":\"empty\"}\n"
            .to_owned();
        (0..500).for_each(|i| {
            let more = "word ".repeat(i % 90);
            lines.push_str(&format!(
                "{{\"id\":{i},\"text\":\"{more}\",\"language\":\"en\",\"url\":\"http://h{}.org/\"}}\n",
                i % 30
            ));
        });
        std::fs::write(&inputs[0], &lines).unwrap();
        std::fs::write(&inputs[1], "{\"text\":\"another\"}\n").unwrap();
        let expected = stats(&inputs, &JobSettings::default(), &mut Silent).unwrap();
        let engine = Relational::new(None, 2).unwrap();
        assert_eq!(relational_stats(&engine, &inputs, "text").unwrap(), expected);
        assert!(expected.documents == 504 && expected.pages == 1 && expected.hosts.len() == 20);
    }
}
