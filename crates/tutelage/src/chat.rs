//! An interactive chat in the terminal.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tutelage_recipe::{ChatSession, Continuation, EngineChoice, ModelChoice};
use tutelage_run::StopFlag;

use crate::failure::Failure;
use crate::generate::now;

const HELP: &str =
    "/reset begins anew, /quit or Ctrl-D ends, Ctrl-C stops an answer; the arrow keys edit and recall lines";

/// Reads lines and answers them until the user ends it.
pub(crate) fn chat(
    model: &ModelChoice,
    how: Continuation,
    system: Option<String>,
    engine: &EngineChoice,
) -> Result<ExitCode, Failure> {
    let mut session = ChatSession::open(model, how, system, engine)?;
    let terminal = |error: ReadlineError| Failure::machine(format!("the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(terminal)?;
    // Raised by Ctrl-C while an answer is written; the line editor handles its own.
    let stop = StopFlag::default();
    let raised = stop.clone();
    ctrlc::set_handler(move || raised.raise())
        .map_err(|error| Failure::machine(format!("cannot watch for Ctrl-C: {error}")))?;
    say!("{}: {HELP}", model.path.display());
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(terminal(error)),
        };
        match line.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(ExitCode::SUCCESS),
            "/reset" => {
                session.reset();
                say!("the chat begins anew");
                continue;
            }
            command if command.starts_with('/') => {
                say!("there is no command {command}; {HELP}");
                continue;
            }
            _ => {}
        }
        editor.add_history_entry(&line).map_err(terminal)?;
        stop.lower();
        let begun = Instant::now();
        let mut first = None;
        let answered = session.answer(line.trim(), now(), &stop, &mut |part| {
            first.get_or_insert_with(|| begun.elapsed());
            let mut out = std::io::stdout().lock();
            // A terminal that went away ends the chat at the next line.
            let _ = write!(out, "{part}").and_then(|()| out.flush());
        });
        let _ = writeln!(std::io::stdout());
        match answered {
            Ok(written) => {
                let first = first.unwrap_or_default().as_secs_f64();
                let rest = (begun.elapsed().as_secs_f64() - first).max(1e-9);
                let speed = written.n_tokens.saturating_sub(1) as f64 / rest;
                say!(
                    "[{} tokens, {speed:.1} a second, the first after {first:.2} s; {}]",
                    written.n_tokens,
                    written.stop_reason
                );
            }
            Err(error) if error.is_request() => say!("{error}; /reset begins anew"),
            Err(error) => return Err(error.into()),
        }
    }
}
