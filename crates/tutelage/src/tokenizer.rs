//! `tutelage tokenizer`.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use tutelage_recipe::{BuildRequest, BuildSizes, build_tokenizer, open_tokenizer};

use crate::args::TokenizerCommand;
use crate::commands::print_json;
use crate::failure::Failure;

pub(crate) fn tokenizer(what: TokenizerCommand) -> Result<ExitCode, Failure> {
    match what {
        TokenizerCommand::Build { base, count, extend, measure, text_field, keep, add, spare, out, json } => {
            let sizes = BuildSizes { keep, add, spare };
            build(&BuildRequest { base, count, extend, measure, text_field, sizes, out }, json)?;
        }
        TokenizerCommand::Encode { tokenizer, text, json } => {
            let tokenizer = open_tokenizer(&tokenizer)?;
            let ids = tokenizer
                .encode(&text)
                .map_err(|error| Failure { message: error.to_string(), is_request: error.is_request() })?;
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
