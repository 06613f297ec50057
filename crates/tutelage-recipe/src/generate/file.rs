//! A file of prompts to a file of completions, in the same order; one that was interrupted goes on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tutelage_generate::{EngineLimits, Event, Request, SpeculationStats};
use tutelage_run::{FileError, Hash, Journal, StopFlag, hash_bytes, hash_file, read_json, read_text, write_json};

use super::{Continuation, ModelChoice, Prompt, Written, open_generator, take};
use crate::stored;
use crate::{EngineChoice, RecipeError};

/// Prompts to continue, and how.
#[derive(Debug, Clone)]
pub struct FileRequest {
    /// The model.
    pub model: ModelChoice,
    /// JSON lines with `prompt` or `messages` (and `tools`); other fields are carried over.
    pub prompts: PathBuf,
    /// Where the same lines go, with `completions`.
    pub out: PathBuf,
    /// How.
    pub how: Continuation,
    /// Prompts that are worked on together.
    pub batch_size: usize,
    /// Seconds since 1970, for templates that ask for the date.
    pub now: i64,
    /// What to compute with.
    pub engine: EngineChoice,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStats {
    /// Lines of prompts.
    pub n_prompts: usize,
    /// Of these, lines that were there already.
    pub n_kept: usize,
    /// Lines that are written now, in all.
    pub n_done: usize,
    /// Tokens drawn by this process.
    pub n_tokens: usize,
    /// How well a draft model foretold them, if there was one.
    pub speculation: Option<SpeculationStats>,
}

/// Lines between two times that the output is made durable.
const SYNC_EVERY: usize = 64;

/// Beside the output: what it was made of, so that two runs are not mixed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Beginning {
    format: String,
    fingerprint: Hash,
}

/// Continues every prompt of a file. What is written already is kept, if it was made of the same prompts by the same model
/// in the same way. `progress` is given the lines done.
///
/// # Errors
/// When a line is no prompt or does not fit into the model, or the output is there and was made otherwise.
pub fn continue_file(
    request: &FileRequest,
    stop: &StopFlag,
    progress: &mut dyn FnMut(FileStats),
) -> Result<FileStats, RecipeError> {
    request.how.validate()?;
    let lines = read_prompts(request)?;
    let output = Output::find(request)?;
    let n_kept = output.n_lines.min(lines.len());
    let mut stats = FileStats { n_prompts: lines.len(), n_kept, n_done: n_kept, n_tokens: 0, speculation: None };
    progress(stats);
    if n_kept == lines.len() {
        return Ok(stats);
    }
    let generator = Arc::new(open_generator(&request.model, &request.engine)?);
    let fault = |line: &Line, error: String| wrong_line(&request.prompts, line.number, &error);
    let prompts =
        lines[n_kept..].iter().map(|line| line.prompt.ids(&generator).map_err(|error| fault(line, error.to_string())));
    let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let cache_tokens = request.how.cache_tokens(longest, &generator).saturating_mul(request.batch_size);
    let max_running = request.batch_size * request.how.n_drawn();
    let limits = EngineLimits { cache_tokens, max_running, ..Default::default() };
    let mut engine = request.model.engine(&generator, limits, &request.engine)?;
    let constraint = request.how.constraint(&generator)?;
    let requests = prompts.into_iter().map(|prompt| request.how.request(prompt, constraint.as_ref()));
    let requests: Vec<Request> = requests.collect();
    for (line, found) in lines[n_kept..].iter().zip(&requests) {
        engine.check(found).map_err(|error| fault(line, error.to_string()))?;
    }
    let mut numbers = BTreeMap::new();
    let mut requests = requests.into_iter().zip(n_kept..);
    // Now that every prompt is known to be one.
    let mut journal = output.open()?;
    let mut open: BTreeMap<usize, (Vec<Written>, usize)> = BTreeMap::new();
    let mut n_synced = stats.n_done;
    while !stop.is_raised() {
        // As many wait as can begin together, so that none waits for another's end.
        while engine.load().0 < max_running
            && let Some((next, number)) = requests.next()
        {
            numbers.insert(engine.submit(next)?, number);
        }
        if engine.is_idle() {
            break;
        }
        for event in engine.step()? {
            let n = request.how.n_drawn();
            let (written, left) =
                open.entry(numbers[&event.request()]).or_insert_with(|| (vec![Written::empty(); n], n));
            if let Event::Done { n_tokens, .. } = &event {
                stats.n_tokens += n_tokens;
            }
            *left -= usize::from(take(written, event, &generator));
        }
        // In the order of the prompts.
        while open.get(&stats.n_done).is_some_and(|(_, left)| *left == 0)
            && let Some((written, _)) = open.remove(&stats.n_done)
        {
            let mut line = lines[stats.n_done].fields.clone();
            let kept = request.how.chosen(written);
            line.insert("completions".to_owned(), serde_json::to_value(kept).unwrap_or_default());
            journal.append(&line)?;
            stats.n_done += 1;
            progress(stats);
        }
        if stats.n_done >= n_synced + SYNC_EVERY {
            journal.sync()?;
            n_synced = stats.n_done;
        }
    }
    journal.sync()?;
    stats.speculation = engine.speculation();
    Ok(stats)
}

/// A line that asks for something.
struct Line {
    /// As an editor counts them.
    number: usize,
    fields: Map<String, Value>,
    prompt: Prompt,
}

fn wrong_line(path: &Path, number: usize, error: &str) -> RecipeError {
    FileError::content(path, format!("line {number}: {error}")).into()
}

fn read_prompts(request: &FileRequest) -> Result<Vec<Line>, RecipeError> {
    let path = &request.prompts;
    let file = BufReader::new(File::open(path).map_err(FileError::io("read", path))?);
    let mut out = Vec::new();
    for (i, line) in file.lines().enumerate() {
        let number = i + 1;
        let fault = |found: String| wrong_line(path, number, &found);
        let line = line.map_err(|error| fault(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let fields: Map<String, Value> =
            serde_json::from_str(&line).map_err(|error| fault(format!("no JSON object: {error}")))?;
        let prompt = prompt_of(&fields, request.now).map_err(|error| fault(error.to_string()))?;
        out.push(Line { number, fields, prompt });
    }
    if out.is_empty() {
        return Err(FileError::content(path, "holds no prompts").into());
    }
    Ok(out)
}

fn prompt_of(line: &Map<String, Value>, now: i64) -> Result<Prompt, RecipeError> {
    match (line.get("prompt"), line.get("messages")) {
        (Some(Value::String(text)), None) => Ok(Prompt::Text(text.clone())),
        (None, Some(messages @ Value::Array(_))) => {
            let tools = line.get("tools").map(Value::to_string);
            Ok(Prompt::Chat { messages: messages.to_string(), tools, now })
        }
        _ => Err(RecipeError::request("expected 'prompt', a text, or 'messages', an array")),
    }
}

/// The output as it is found.
struct Output {
    path: PathBuf,
    beside: PathBuf,
    beginning: Beginning,
    /// Whole lines, and their bytes.
    n_lines: usize,
    n_bytes: u64,
}

impl Output {
    /// Looks at what is there, and refuses what was made otherwise.
    fn find(request: &FileRequest) -> Result<Self, RecipeError> {
        let fingerprint = format!(
            "{} {} {:?} {:?} {:?}",
            stored::hash(&request.model.path)?,
            hash_file(&request.prompts)?,
            request.how,
            request.model.weights,
            request.engine.isa()?
        );
        let fingerprint = hash_bytes(fingerprint.as_bytes());
        let beginning = Beginning { format: "tutelage-completions-1".to_owned(), fingerprint };
        let (path, mut beside) = (request.out.clone(), request.out.as_os_str().to_owned());
        beside.push(".state.json");
        let mut found = Self { path, beside: PathBuf::from(beside), beginning, n_lines: 0, n_bytes: 0 };
        if !found.path.exists() {
            return Ok(found);
        }
        let same = found.beside.exists() && read_json::<Beginning>(&found.beside)? == found.beginning;
        if !same {
            let fault = "is there already, and was made of other prompts, by another model or in another way; choose \
                         another path, or remove it";
            return Err(FileError::content(&found.path, fault).into());
        }
        let text = read_text(&found.path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        (found.n_lines, found.n_bytes) = (text[..whole].lines().count(), whole as u64);
        Ok(found)
    }

    /// Opens it behind its whole lines.
    fn open(self) -> Result<Journal, RecipeError> {
        write_json(&self.beside, &self.beginning)?;
        Ok(Journal::open_at(&self.path, self.n_bytes)?)
    }
}
