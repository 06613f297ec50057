//! `tutelage data`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use tutelage_recipe::EngineChoice;
use tutelage_recipe::corpus::{
    CorpusError, Manifest, Outcome, Pipeline, PipelineOutcome, ShardOf, StageName, StageRequest, data_stage, merge,
};

use crate::classifier::{ClassifierCommand, classifier};
use crate::cluster::{ClusterCommand, cluster};
use tutelage_report::{DataReport, write_data_html};

use crate::commands::{INTERRUPTED, print_json, stop_flag};
use crate::failure::Failure;
use crate::look::{DiffArgs, SampleArgs, StatsArgs, compare, sample, stats};
use crate::mix::{ExportArgs, export, mix};
use crate::progress::Progress;

pub(crate) const COMMON: &str = "Settings of every stage (--set KEY=VALUE):\n  \
    text_field=text           field of JSONL that holds the text\n  \
    compression=none|gz|zst   of what is written\n  \
    keep_dropped=false        keep dropped documents in DIR/dropped, each with the reason\n  \
    max_record_bytes=67108864 longer documents are counted as damaged\n\n\
    The same command again goes on where it stopped, inside a file too. DIR/manifest.json says what was read, kept and\n\
    dropped, and why.";

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Files of every kind become JSONL: JSONL, texts, pages, WARC, WET; plain, .gz or .zst
    #[command(after_help = format!("Examples:\n  tutelage data read crawl/*.warc.gz --out data/read\n  \
        tutelage data read books/ --out data/books --set compression=zst\n  \
        tutelage data read crawl/ --out data/read --shard $((SLURM_ARRAY_TASK_ID+1))/64\n\n{COMMON}"))]
    Read(StageArgs),
    /// Pages become texts; texts are written in one way; languages are found; copies of a text are dropped
    #[command(after_help = format!("Examples:\n  tutelage data format data/read --out data/format\n  \
        tutelage data format data/read --out data/format --set 'languages=[\"en\",\"zh\"]' --set min_language_score=0.65\n\n\
        Settings:\n  \
        focus=precision           of the main text of pages; or balanced, recall\n  \
        max_html_bytes=8388608    larger pages are dropped\n  \
        max_html_depth=500        deeper pages are dropped\n  \
        mojibake=true             repair text that was decoded in the wrong way\n  \
        nfc=true                  Unicode's form NFC\n  \
        whitespace=true           line ends and spaces of one kind, no controls\n  \
        language=true             note 'language' and 'language_score'\n  \
        language_model=           a model of fastText's form that finds it (lid.176, GlotLID)\n  \
        languages=[]              keep these only\n  \
        min_language_score=0      keep what is at least this certain\n  \
        exact_duplicates=true     of documents with the same text keep the first\n\n{COMMON}"))]
    Format(StageArgs),
    /// Published heuristic filters: Gopher, C4, FineWeb, RefinedWeb, SlimPajama; every threshold a setting
    #[command(after_help = format!("Examples:\n  tutelage data rules data/read --out data/rules\n  \
        tutelage data rules data/read --out data/rules --set preset=gopher --set gopher_quality.min_words=30\n  \
        tutelage data rules zh/*.jsonl.gz --out data/rules --set by_language.zh.gopher_quality.min_stop_words=1\n\n\
        Settings (docs/data.md has every threshold):\n  \
        preset=fineweb            gopher, c4, fineweb, dclm-refinedweb, slimpajama, internlm2\n  \
        language=auto             code of the language; auto: the field 'language', or what the text looks like\n  \
        order=[...]               which rules, in which order: gopher_quality, gopher_repetition, c4, mc4_paragraphs,\n                            \
        fineweb, refinedweb_quality, refinedweb_repetition, refinedweb_lines, slimpajama, signs\n  \
        RULE.THRESHOLD=X          as in c4.min_sentences=3; by_language.CODE.RULE.THRESHOLD, by_domain.NAME.RULE...\n  \
        domain_field=domain       by which by_domain is chosen\n\n{COMMON}"))]
    Rules(StageArgs),
    /// Of documents that are copies, exact or near, one is kept
    #[command(after_help = format!("Examples:\n  tutelage data dedup data/rules --out data/dedup\n  \
        tutelage data dedup data/rules --out data/dedup --set threshold=0.8 --set keep=longest --set note_copies=true\n  \
        tutelage data dedup data/read --out data/exact --set method=exact\n\n\
        Settings:\n  \
        method=minhash            or exact: the same text; substring: runs of bytes are cut out where they stand again\n  \
        n_gram=5                  words of a shingle\n  \
        hashes=128                hash functions, at most\n  \
        threshold=0.7             similarity from which on documents are likely to be found; the manifest has the curve\n  \
        bands=, rows=             in place of those that follow from the threshold\n  \
        keep=newest               or first, longest\n  \
        date_field=date           by which the newest is known\n  \
        note_copies=false         give what is kept the field 'copies', the size of its cluster\n  \
        memory_bytes=1073741824   for sorting; of substrings about 9 times the text\n  \
        min_bytes=200             of a run that is cut (substring)\n  \
        min_left_chars=50         of a document that was cut and is kept (substring)\n  \
        seed=1                    of the hash functions\n  \
        engine=embedded           or datafusion: who shares keys is found by a relational plan; the kept set is the same\n  \
        scheduler=                HOST:PORT of a cluster that carries the plan out (data cluster)\n\n{COMMON}"))]
    Dedup(StageArgs),
    /// Blocked domains, blocked words; mail addresses, IPs and telephone numbers masked
    #[command(after_help = format!("Examples:\n  tutelage data safety data/dedup --out data/safe \\\n      \
        --set 'blocked_domains=[\"lists/domains.txt\"]' --set 'blocked_words=[\"lists/words.txt\"]'\n  \
        tutelage data safety data/dedup --out data/safe --set 'mask=[\"email\",\"ip\",\"phone\"]'\n\n\
        Settings:\n  \
        blocked_domains=[]        lists of domains, one a line; what is below them is blocked too\n  \
        url_field=url             field that holds where a document came from\n  \
        blocked_words=[]          lists of words, one a line\n  \
        blocked_words_of.CODE=[]  lists for documents of that language\n  \
        min_blocked_words=1       a document is dropped for\n  \
        mask=[]                   email, ip, phone\n\n{COMMON}"))]
    Safety(StageArgs),
    /// Classifiers of fastText's form give scores, and thresholds decide
    #[command(after_help = format!("Example:\n  tutelage data quality data/safe --out data/quality \\\n      \
        --set 'classifiers=[{{name=\"toxicity\",model=\"toxic.bin\",label=\"toxic\",max=0.5}}]'\n\n\
        Of each classifier: name (the field that holds its score), model, label, min, max, languages=[] (that it is\n\
        asked about).\n\n{COMMON}"))]
    Quality(StageArgs),
    /// Learn a classifier from documents with labels, give documents their label, or see how far it is right
    #[command(subcommand)]
    Classifier(ClassifierCommand),
    /// What stands in evaluation sets is taken out: documents, or spans of them
    #[command(after_help = format!("Examples:\n  tutelage data decontaminate data/safe --out data/clean \\\n      \
        --set 'sets=[\"eval/mmlu/test\",\"eval/gsm8k.jsonl\"]' --set keep_dropped=true\n  \
        tutelage data decontaminate data/safe --out data/clean --set 'sets=[\"eval\"]' --set remove=span\n\n\
        What was found is noted in the field 'contamination': set, file, item, words.\n\nSettings:\n  \
        sets=[]                   files (.jsonl, .json, .csv, .tsv, .txt) or folders of them\n  \
        fields=[]                 of their objects; all texts if there are none\n  \
        n_gram=13                 words of a run that is compared\n  \
        min_item_words=8          shorter items are not looked for\n  \
        remove=document           or span: the words, and some around them\n  \
        min_runs=1                a document is touched for\n  \
        context_words=30          that go with a span\n  \
        min_left_chars=200        of a document that was cut\n\n{COMMON}"))]
    Decontaminate(StageArgs),
    /// Documents become tokens, once; 'mix' takes them as sources
    #[command(after_help = format!("Example:\n  tutelage data tokenize data/clean --out data/tokens --set tokenizer=models/smollm2\n\n\
        Settings:\n  \
        tokenizer=                a model's folder, or a tokenizer's file\n  \
        heldout_fraction=0        share of documents that no mixture draws from, by the hash of their text\n\n{COMMON}"))]
    Tokenize(StageArgs),
    /// Sources become token shards, phase by phase: weights, passes, short and long documents; every token accounted for
    #[command(
        after_help = "Examples:\n  tutelage data mix data/web data/books --out data/mix --set tokenizer=models/smollm2\n  \
        tutelage data mix data/web data/books --out data/mix --set tokenizer=models/smollm2 \\\n      \
        --set 'phases=[{name=\"4k\",seq_len=4096,weights={web=0.8,books=0.2}}]'\n\n\
        Each input is a source by the name of its file or folder: documents, or what 'data tokenize' left. DIR/NAME.bin with .idx\n\
        (Megatron) and .ds, .ds.index (nanotron) is the phase NAME; DIR/mix.json has its tokens by source. recipes/data-mix.toml is a\n\
        whole recipe.\n\n\
        Settings:\n  \
        tokenizer=                a model's folder, or a tokenizer's file\n  \
        sources.NAME.inputs=[]    more sources\n  \
        sources.NAME.max_epochs=1 how often its tokens are seen at most, over all phases\n  \
        phases=[]                 of each: name, seq_len=4096, tokens, weights={SOURCE=SHARE} or epochs={SOURCE=PASSES},\n                            \
        short={below=4096,share=0.5}; everything once if there is none\n  \
        heldout_fraction=0        share of documents that no phase has: the shard 'heldout'\n  \
        seed=1                    of the draws\n  \
        text_field=text           field of JSONL that holds the text"
    )]
    Mix(StageArgs),
    /// Tokens or documents for other trainers: Megatron, nanotron, litdata, llm.c; Parquet
    #[command(after_help = "Examples:\n  tutelage data export data/mix/4k --format litdata --out chunks\n  \
        tutelage data export runs/quickstart/shards/train --format nanotron --out nanotron\n  \
        tutelage data export data/clean --format parquet --out parquet")]
    Export(ExportArgs),
    /// The processes of a cluster that 'data dedup --set scheduler=HOST:PORT' asks (a build with --features cluster)
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Bring the parts of a stage together: shards of one job, or what it made of several sources
    #[command(
        after_help = "Examples:\n  tutelage data merge data/read\n  tutelage data merge part1 part2 --out data/read"
    )]
    Merge {
        /// Folders of parts
        #[arg(required = true)]
        parts: Vec<PathBuf>,
        /// The folder to write [default: the folder of the parts, if it is one]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print the manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Numbers of documents: lengths, languages, hosts, reasons, sizes of clusters of copies
    #[command(
        after_help = "Examples:\n  tutelage data stats data/dedup\n  tutelage data stats data/rules/dropped --json"
    )]
    Stats(StatsArgs),
    /// A few documents, each as likely as any other
    #[command(after_help = "Examples:\n  tutelage data sample data/dedup -n 3\n  \
        tutelage data sample data/rules/dropped --dropped curly_bracket")]
    Sample(SampleArgs),
    /// What a stage made of documents, side by side: changed lines, and what was dropped and why
    #[command(after_help = "Example:\n  tutelage data rules data/read --out data/rules --set keep_dropped=true\n  \
        tutelage data diff data/read data/rules")]
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StageArgs {
    /// Files, folders of files, or folders that another stage wrote
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// A setting of the stage; may be given many times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Only the I-th of N parts of the inputs, by file; 'data merge' brings the parts together
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = shard)]
    pub(crate) shard: ShardOf,
    /// Print the manifest as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn shard(text: &str) -> Result<ShardOf, String> {
    text.parse().map_err(|error: CorpusError| error.to_string())
}

pub(crate) fn data(what: DataCommand, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    match what {
        DataCommand::Read(args) => stage(StageName::Read, &args, engine),
        DataCommand::Format(args) => stage(StageName::Format, &args, engine),
        DataCommand::Quality(args) => stage(StageName::Quality, &args, engine),
        DataCommand::Classifier(what) => classifier(what, engine),
        DataCommand::Decontaminate(args) => stage(StageName::Decontaminate, &args, engine),
        DataCommand::Safety(args) => stage(StageName::Safety, &args, engine),
        DataCommand::Tokenize(args) => stage(StageName::Tokenize, &args, engine),
        DataCommand::Mix(args) => mix(&args, engine),
        DataCommand::Export(args) => export(&args),
        DataCommand::Cluster(what) => cluster(what, engine),
        DataCommand::Merge { parts, out, json } => join(&parts, out, json),
        DataCommand::Stats(args) => stats(&args, engine),
        DataCommand::Sample(args) => sample(&args),
        DataCommand::Diff(args) => compare(&args),
        DataCommand::Dedup(args) => stage(StageName::Dedup, &args, engine),
        DataCommand::Rules(args) => stage(StageName::Rules, &args, engine),
    }
}

fn stage(name: StageName, args: &StageArgs, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    let StageArgs { inputs, out, set, shard, json } = args;
    let request = StageRequest { stage: name, inputs, out, set, shard: *shard };
    let stop = stop_flag()?;
    let mut progress = Progress::new();
    let outcome = data_stage(&request, engine, &mut progress, &stop)?;
    drop(progress);
    ended(outcome, out, *json)
}

/// Says how a stage ended.
pub(crate) fn ended(outcome: Outcome, out: &Path, json: bool) -> Result<ExitCode, Failure> {
    match outcome {
        Outcome::Stopped => {
            say!("stopped; what is done is saved in {}: the same command goes on from there", out.display());
            Ok(ExitCode::from(INTERRUPTED))
        }
        Outcome::Done(manifest) => {
            match json {
                true => print_json(&json!(manifest))?,
                false => print_manifest(out, &manifest)?,
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn join(parts: &[PathBuf], out: Option<PathBuf>, json: bool) -> Result<ExitCode, Failure> {
    let out = match (out, parts) {
        (Some(out), _) => out,
        (None, [part]) => part.clone(),
        (None, _) => {
            let message = "several folders: say with --out where they are to be brought together".to_owned();
            return Err(Failure::request(message));
        }
    };
    let manifest = merge(parts, &out)?;
    match json {
        true => print_json(&json!(manifest))?,
        false => print_manifest(&out, &manifest)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_manifest(folder: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let Manifest { read, kept, .. } = manifest;
    let share = |count: u64| 100.0 * count as f64 / (*read).max(1) as f64;
    let bytes: u64 = manifest.outputs.iter().map(|output| output.bytes).sum();
    writeln!(out, "{}: {} of {read} documents kept, {:.1} MB", folder.display(), kept, bytes as f64 / 1e6)?;
    let mut reasons: Vec<_> = manifest.dropped.iter().collect();
    reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    for (reason, count) in reasons {
        writeln!(out, "  dropped {count:>10}  {:>5.1} %  {reason}", share(*count))?;
    }
    for (name, count) in &manifest.counts {
        writeln!(out, "  counted {count:>10}           {name}")?;
    }
    Ok(())
}

/// Carries out a recipe of stages.
pub(crate) fn run_pipeline(
    pipeline: &Pipeline,
    out: Option<&Path>,
    engine: &EngineChoice,
) -> Result<ExitCode, Failure> {
    let stop = stop_flag()?;
    let mut progress = Progress::new();
    let outcome = pipeline.run(out, engine, &mut progress, &stop)?;
    drop(progress);
    match outcome {
        PipelineOutcome::Stopped(folder) => {
            say!("stopped; everything is saved in {}: the same command goes on from there", folder.display());
            Ok(ExitCode::from(INTERRUPTED))
        }
        PipelineOutcome::Done(folder, results) => {
            let path = write_data_html(&DataReport::read(&folder)?)?;
            let mut out = std::io::stdout().lock();
            let width = results.iter().map(|result| result.name.len()).max().unwrap_or(0);
            writeln!(
                out,
                "{:width$}  {:>10}  {:>10}  {:>7}  {:>9}  most dropped for",
                "stage", "read", "kept", "", "MB"
            )?;
            for result in &results {
                let most = result.dropped.iter().max_by_key(|(_, count)| **count);
                let most = most.map_or(String::new(), |(reason, count)| format!("{reason} ({count})"));
                let share = 100.0 * result.kept as f64 / result.read.max(1) as f64;
                let megabytes = result.bytes as f64 / 1e6;
                let (name, read, kept) = (&result.name, result.read, result.kept);
                writeln!(out, "{name:width$}  {read:>10}  {kept:>10}  {share:>5.1} %  {megabytes:>9.1}  {most}")?;
            }
            writeln!(out, "{}", folder.join("data").display())?;
            say!(
                "report: {} ('tutelage report {}' adds lengths, languages and examples)",
                path.display(),
                folder.display()
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints the stages of a recipe.
pub(crate) fn plan_pipeline(pipeline: &Pipeline, json: bool) -> Result<ExitCode, Failure> {
    if json {
        let rows =
            pipeline.rows().map(|(name, from, settings)| json!({ "stage": name, "reads": from, "settings": settings }));
        print_json(&json!({ "stages": rows.collect::<Vec<_>>() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    for (name, from, settings) in pipeline.rows() {
        writeln!(out, "{name}: reads {from}{}{settings}", if settings.is_empty() { "" } else { "; " })?;
    }
    Ok(ExitCode::SUCCESS)
}
