//! Bars on a terminal, plain lines otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tutelage_run::{Event, Observer};

/// Shows events on standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    bar: Option<ProgressBar>,
    stage: String,
    total: Option<u64>,
    printed: Instant,
}

/// Between plain lines of one stage.
const QUIET: Duration = Duration::from_secs(10);

impl Progress {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, bar: None, stage: String::new(), total: None, printed: Instant::now() }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say!("{text}")),
            None => say!("{text}"),
        }
    }

    fn begin(&mut self, stage: &str, detail: &str, total: Option<u64>, done: u64) {
        (self.stage, self.total, self.printed) = (stage.to_owned(), total, Instant::now());
        let from = if done > 0 { format!(", going on from {done}") } else { String::new() };
        if !self.terminal {
            self.line(&format!("{stage}: {detail}{from}"));
            return;
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style("{prefix} [{bar:30}] {pos}/{len} {eta} {msg}")),
            None => ProgressBar::new_spinner().with_style(style("{prefix} {spinner} {elapsed} {msg}")),
        };
        bar.set_prefix(stage.to_owned());
        bar.set_message(format!("{detail}{from}"));
        bar.set_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bar = Some(bar);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

impl Observer for Progress {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::StageKept { stage } => self.line(&format!("{stage}: done before")),
            Event::StageStarted { stage, detail, total, done } => self.begin(stage, detail, total, done),
            Event::Progress { done, note } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(done);
                    if !note.is_empty() {
                        bar.set_message(note.to_owned());
                    }
                } else if self.printed.elapsed() >= QUIET {
                    self.printed = Instant::now();
                    let of = self.total.map_or(String::new(), |total| format!("/{total}"));
                    self.line(&format!("{}: {done}{of} {note}", self.stage));
                }
            }
            Event::StageFinished { stage, result, seconds } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.line(&format!("{stage}: {result} ({seconds:.1} s)"));
            }
            Event::Note(text) => self.line(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
