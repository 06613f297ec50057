//! `tutelage tokenizer`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use tutelage_recipe::{BuildRequest, BuildSizes, build_tokenizer, open_tokenizer};

use crate::commands::print_json;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenizerCommand {
    /// Keep the most used part of a base vocabulary, add tokens for another language, spare slots, a multiple of 256
    /// (InternLM2's construction); says bytes a token before and after
    #[command(after_help = "Example, with InternLM2's sizes:\n  \
        tutelage tokenizer build --base cl100k_base.tiktoken --count english.jsonl --count code.jsonl \
        --extend chinese.jsonl.gz --keep 60004 --add 32397 --out tokenizer\n\n\
        The paper's 60004 + 32397 + 147 with three border tokens become 92672, the next multiple of 256 (the released\n\
        vocabulary of 92544 is a multiple of 128).")]
    Build {
        /// The base: a folder, tokenizer.json, a .tiktoken file or a GGUF file with a byte-level BPE
        #[arg(long, value_name = "PATH")]
        base: PathBuf,
        /// Documents that the base's tokens are counted on: JSONL or text, also .gz and .zst
        #[arg(long, value_name = "FILE", required = true)]
        count: Vec<PathBuf>,
        /// Documents that tokens are added for
        #[arg(long, value_name = "FILE", required = true)]
        extend: Vec<PathBuf>,
        /// Other documents to measure on
        #[arg(long, value_name = "FILE")]
        measure: Vec<PathBuf>,
        /// The field of JSONL documents that holds the text
        #[arg(long, default_value = "text")]
        text_field: String,
        /// Tokens of the base to keep
        #[arg(long)]
        keep: usize,
        /// Tokens to add
        #[arg(long)]
        add: usize,
        /// Spare slots at least, six of which are control tokens of chats
        #[arg(long, default_value_t = 147)]
        spare: usize,
        /// The folder to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ids of a text, and the pieces they stand for
    #[command(after_help = "Example:\n  tutelage tokenizer encode models/smollm2 \"The sea is\"")]
    Encode {
        /// A model's folder, tokenizer.json, tokenizer.model, a .tiktoken or a GGUF file
        tokenizer: PathBuf,
        /// The text
        text: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn tokenizer(what: TokenizerCommand) -> Result<ExitCode, Failure> {
    match what {
        TokenizerCommand::Build { base, count, extend, measure, text_field, keep, add, spare, out, json } => {
            let sizes = BuildSizes { keep, add, spare };
            build(&BuildRequest { base, count, extend, measure, text_field, sizes, out }, json)?;
        }
        TokenizerCommand::Encode { tokenizer, text, json } => {
            let tokenizer = open_tokenizer(&tokenizer)?;
            let ids = tokenizer.encode(&text).map_err(|error| Failure::of(&error, error.is_request()))?;
            let pieces: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default()).collect();
            if json {
                print_json(&json!({ "ids": ids, "pieces": pieces }))?;
            } else {
                let mut out = std::io::stdout().lock();
                for (id, piece) in ids.iter().zip(pieces) {
                    writeln!(out, "{id:>7}  {piece}")?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn build(request: &BuildRequest, json: bool) -> Result<(), Failure> {
    let (entries, gains) = build_tokenizer(request)?;
    if json {
        let gains: Vec<_> = gains
            .iter()
            .map(|g| {
                json!({ "path": g.path, "bytes": g.bytes, "bytes_per_token_before": g.before,
                    "bytes_per_token_after": g.after })
            })
            .collect();
        return print_json(&json!({ "out": request.out, "vocab_size": entries, "files": gains }));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {entries} entries; bytes a token before and after:", request.out.display())?;
    for g in gains {
        writeln!(out, "  {:>6.3} {:>6.3}  {} ({} bytes)", g.before, g.after, g.path.display(), g.bytes)?;
    }
    Ok(())
}
