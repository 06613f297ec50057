//! A request of a client, as the worker and the connection see it.

use std::sync::mpsc::Sender;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tutelage_generate::{GenerateError, Request, StopReason, TokenLogprobs};

use super::Command;
use super::queue::ClientId;

/// The number of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct JobId(pub(super) u64);

/// Prompts of one request to one model.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) model: usize,
    pub(crate) client: ClientId,
    pub(crate) requests: Vec<Request>,
    /// What is not done then is given up.
    pub(crate) deadline: Instant,
}

/// What happens to a job. `prompt` counts the prompts of the request.
#[derive(Debug)]
pub(crate) enum JobEvent {
    /// It will be done.
    Accepted,
    /// Too much waits already.
    Busy { retry_after: u64 },
    /// It cannot be done.
    Refused(GenerateError),
    /// Log-probabilities of a prompt.
    Prompt { prompt: usize, logprobs: Vec<TokenLogprobs> },
    /// The mean hidden state of a prompt.
    Embedding { prompt: usize, mean_d: Vec<f32> },
    /// A token was drawn.
    Token { prompt: usize, sample: usize, id: u32, logprobs: Option<TokenLogprobs>, text: String },
    /// A sample is done.
    Done { prompt: usize, sample: usize, reason: StopReason, text: String },
    /// The time for it is over.
    TimedOut,
    /// The engine failed.
    Failed(String),
}

/// A job as its connection sees it. A handle that goes away gives up the job.
#[derive(Debug)]
pub(crate) struct JobHandle {
    pub(super) id: JobId,
    pub(super) events: UnboundedReceiver<JobEvent>,
    pub(super) commands: Sender<Command>,
}

impl JobHandle {
    /// What happens next; nothing more when all samples are done, or the worker is gone.
    pub(crate) async fn next(&mut self) -> Option<JobEvent> {
        self.events.recv().await
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        // A worker that is gone has given up already.
        let _ = self.commands.send(Command::Cancel(self.id));
    }
}

/// A job as the worker sees it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) model: usize,
    pub(super) deadline: Instant,
    /// Samples that are not done.
    pub(super) n_left: usize,
    /// As many as the longest answer has tokens wait here at most, when the client reads slowly.
    pub(super) events: UnboundedSender<JobEvent>,
}
