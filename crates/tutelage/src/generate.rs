//! `tutelage generate`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use tutelage_recipe::{
    Continuation, Continued, EngineChoice, FileRequest, GenerateRequest, Grammar, Prompt, Sampling, SpeculationStats,
    Written, continue_file, continue_text,
};
use tutelage_run::{read_json, read_text};

use crate::chat::chat;
use crate::commands::{INTERRUPTED, print_json, stop_flag};
use crate::failure::Failure;
use crate::model::ModelArgs;

/// Flags of `tutelage generate`.
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// The model's folder, or a GGUF file
    model: PathBuf,
    #[command(flatten)]
    how: ModelArgs,
    /// The text to continue; with --chat the user's message
    #[arg(long, required_unless_present_any = ["messages", "file", "chat"])]
    prompt: Option<String>,
    /// Answer as the model's chat template has it, instead of continuing the text; without --prompt an interactive chat
    #[arg(long)]
    chat: bool,
    /// The system's message before the prompt (implies --chat)
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    system: Option<String>,
    /// A chat to answer: a JSON file, an array of objects with role and content (implies --chat)
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    messages: Option<PathBuf>,
    /// Tools for the chat: a JSON file, an array of function schemas (implies --chat)
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Continue every prompt of a file: JSON lines with prompt or messages; needs --out
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with_all = ["prompt", "messages", "chat", "system", "tools"])]
    file: Option<PathBuf>,
    /// Where the lines of --file go, with completions, in the same order; what is there already is kept
    #[arg(long, value_name = "FILE", requires = "file")]
    out: Option<PathBuf>,
    /// Prompts of --file that are worked on together; changes no text
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096), requires = "file")]
    batch_size: u16,
    /// Most tokens to write
    #[arg(long, default_value_t = 100)]
    max_tokens: usize,
    /// Divides the logits; 0 takes the most likely token always
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    temperature: f64,
    /// Only the most likely so many tokens; 0 for all
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Only the most likely tokens that together reach this mass
    #[arg(long, default_value_t = 0.95, allow_negative_numbers = true)]
    top_p: f64,
    /// Only tokens at least so likely, in proportion to the most likely one
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    min_p: f64,
    /// Only the tokens whose surprise is nearest to the expected one and that together reach this mass
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    typical_p: f64,
    /// Divides positive logits of tokens of prompt and text, multiplies negative ones
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    repetition_penalty: f64,
    /// Is taken from the logits of tokens that were written
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    presence_penalty: f64,
    /// Is taken from the logits of tokens as often as they were written
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    frequency_penalty: f64,
    /// Is added to the logit of a token, as in 42=-5 (-inf forbids it); may be given many times
    #[arg(long, value_name = "ID=BIAS", value_parser = bias)]
    logit_bias: Vec<(u32, f64)>,
    /// A text that ends the text and is not shown; may be given many times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// A token that ends the text, by its id, beside the model's own; may be given many times
    #[arg(long, value_name = "ID")]
    stop_id: Vec<u32>,
    /// Continuations of each prompt
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    samples: u16,
    /// Draw so many and keep those that the model finds the most likely, by the mean of their tokens' log-probabilities
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    best_of: Option<u16>,
    /// Follow so many beams in place of drawing: the texts that are likeliest as a whole; --samples prints the best of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), conflicts_with_all = [
        "file", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "presence_penalty",
        "frequency_penalty", "logit_bias", "stop", "stop_id", "best_of", "json_schema", "regex", "logprobs", "seed", "draft",
    ])]
    beams: Option<u16>,
    /// Beams are compared by the sum of their log-probabilities over the length to this power: 0 for the likeliest text
    #[arg(long, default_value_t = 1.0, requires = "beams", allow_negative_numbers = true)]
    length_penalty: f64,
    /// A JSON schema that the text must keep to: a file
    #[arg(long, value_name = "FILE", conflicts_with = "regex")]
    json_schema: Option<PathBuf>,
    /// A regular expression that the text must match as a whole
    #[arg(long, value_name = "PATTERN")]
    regex: Option<String>,
    /// Say how likely each token was, and so many of the most likely in its place (needs --json or --file)
    #[arg(long, value_name = "N")]
    logprobs: Option<usize>,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON when done, instead of text as it comes
    #[arg(long)]
    json: bool,
}

/// A token and its bias, such as `42=-5`.
fn bias(text: &str) -> Result<(u32, f64), String> {
    let parts = text.split_once('=').and_then(|(id, bias)| Some((id.parse().ok()?, bias.parse().ok()?)));
    parts.ok_or_else(|| "expected a token's id and a number, as in 42=-5".to_owned())
}

pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

pub(crate) fn generate(args: GenerateArgs, engine: EngineChoice) -> Result<ExitCode, Failure> {
    let grammar = match (&args.json_schema, args.regex) {
        (Some(path), _) => Some(Grammar::JsonSchema(read_json(path)?)),
        (None, pattern) => pattern.map(Grammar::Regex),
    };
    let how = Continuation {
        max_tokens: args.max_tokens,
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            min_p: args.min_p,
            typical_p: args.typical_p,
            repetition_penalty: args.repetition_penalty,
            presence_penalty: args.presence_penalty,
            frequency_penalty: args.frequency_penalty,
            logit_bias: args.logit_bias,
            seed: args.seed,
        },
        stop: args.stop,
        stop_ids: args.stop_id,
        n_samples: usize::from(args.samples),
        best_of: args.best_of.map(usize::from),
        grammar,
        beams: args.beams.map(|width| (usize::from(width), args.length_penalty)),
        logprobs: args.logprobs,
    };
    let model = args.how.of(args.model);
    let prints_all = args.json || args.file.is_some();
    if how.logprobs.is_some() && !prints_all {
        return Err(Failure::request("--logprobs is not printed with the text; give --json or --file"));
    }
    if let (Some(prompts), Some(out)) = (args.file, args.out) {
        let (batch_size, now) = (usize::from(args.batch_size), now());
        return file(&FileRequest { model, prompts, out, how, batch_size, now, engine }, args.json);
    }
    if args.prompt.is_none() && args.messages.is_none() {
        if !std::io::stdin().is_terminal()
            || args.json
            || args.tools.is_some()
            || args.samples > 1
            || how.chooses()
            || how.beams.is_some()
        {
            return Err(Failure::request(
                "--chat without --prompt is for a terminal; give --prompt, --messages or --file",
            ));
        }
        return chat(&model, how, args.system, &engine);
    }
    let prompt = chat_or_text(args.prompt, args.chat, args.system, (args.messages.as_deref(), args.tools.as_deref()))?;
    one(&GenerateRequest { model, prompt, how, engine }, args.json)
}

/// What is asked: a text to continue, or a chat to answer.
fn chat_or_text(
    prompt: Option<String>,
    chat: bool,
    system: Option<String>,
    (messages, tools): (Option<&Path>, Option<&Path>),
) -> Result<Prompt, Failure> {
    let prompt = prompt.unwrap_or_default();
    if !(chat || system.is_some() || messages.is_some() || tools.is_some()) {
        return Ok(Prompt::Text(prompt));
    }
    let messages = match messages {
        Some(path) => read_text(path)?,
        None => {
            let system = system.map(|content| json!({ "role": "system", "content": content }));
            let user = json!({ "role": "user", "content": prompt });
            json!(system.into_iter().chain([user]).collect::<Vec<_>>()).to_string()
        }
    };
    let tools = tools.map(read_text).transpose()?;
    Ok(Prompt::Chat { messages, tools, now: now() })
}

fn speculated(stats: SpeculationStats) -> serde_json::Value {
    json!({ "proposed": stats.n_proposed, "accepted": stats.n_accepted, "acceptance": stats.acceptance() })
}

fn one(request: &GenerateRequest, json: bool) -> Result<ExitCode, Failure> {
    let stop = stop_flag()?;
    let streams = !json && request.how.n_samples == 1 && !request.how.chooses() && request.how.beams.is_none();
    let prompt = match &request.prompt {
        Prompt::Text(text) => text.as_str(),
        Prompt::Chat { .. } => "",
    };
    let (mut failed, mut begun) = (None, false);
    let Continued { samples: all, speculation } = continue_text(request, &stop, &mut |part| {
        if streams && failed.is_none() {
            // The prompt waits for the first part, so that a refused request prints nothing.
            let before = if begun { "" } else { prompt };
            begun = true;
            let mut out = std::io::stdout().lock();
            failed = write!(out, "{before}{part}").and_then(|()| out.flush()).err();
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut out = std::io::stdout().lock();
    if json {
        let mut result = match &all[..] {
            [one] => json!(one),
            all => json!({ "samples": all }),
        };
        if let Prompt::Text(prompt) = &request.prompt {
            result["prompt"] = json!(prompt);
        }
        if let Some(stats) = speculation {
            result["speculation"] = speculated(stats);
        }
        drop(out);
        print_json(&result)?;
    } else if streams {
        writeln!(out, "{}", if begun { "" } else { prompt })?;
    } else if let [one] = &all[..] {
        writeln!(out, "{prompt}{}", one.text)?;
    } else {
        for (i, Written { text, .. }) in all.iter().enumerate() {
            writeln!(out, "--- {} of {}\n{prompt}{text}", i + 1, all.len())?;
        }
    }
    let stopped = all.iter().any(|written| written.stop_reason == "stopped");
    Ok(if stopped { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

fn file(request: &FileRequest, json: bool) -> Result<ExitCode, Failure> {
    let stop = stop_flag()?;
    let begun = std::time::Instant::now();
    let bar = indicatif::ProgressBar::no_length();
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let stats = continue_file(request, &stop, &mut |stats| {
        bar.set_length(stats.n_prompts as u64);
        bar.set_position(stats.n_done as u64);
    })?;
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    if json {
        print_json(&json!({
            "prompts": stats.n_prompts, "kept": stats.n_kept, "done": stats.n_done, "tokens": stats.n_tokens,
            "seconds": seconds, "speculation": stats.speculation.map(speculated),
        }))?;
    } else {
        say!(
            "{} of {} prompts done ({} were there already), {} tokens in {seconds:.1} s: {}",
            stats.n_done,
            stats.n_prompts,
            stats.n_kept,
            stats.n_tokens,
            request.out.display()
        );
        if let Some(stats) = stats.speculation {
            say!("{:.0} % of {} proposed tokens were right", 100.0 * stats.acceptance(), stats.n_proposed);
        }
    }
    if stats.n_done < stats.n_prompts {
        say!("stopped; the same command goes on from there");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}
