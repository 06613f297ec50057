//! Texts as the worker writes them.

use tutelage_generate::{StopReason, TokenLogprobs, best_first};

use super::access::Arrival;
use super::app::App;
use super::failure::Failure;
use crate::worker::{JobEvent, JobHandle};

/// One sample.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    pub(super) text: String,
    /// Tokens, with their log-probabilities if those were asked for.
    pub(super) tokens: Vec<(u32, Option<TokenLogprobs>)>,
    pub(super) reason: Option<StopReason>,
}

/// What came of a prompt.
#[derive(Debug, Clone, Default)]
pub(super) struct OfPrompt {
    pub(super) logprobs: Vec<TokenLogprobs>,
    pub(super) samples: Vec<Sample>,
}

/// Why a text ended, in OpenAI's words.
pub(super) fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndOfDocument | StopReason::Stop => "stop",
        StopReason::MaxTokens | StopReason::ContextFull | StopReason::Stopped => "length",
        StopReason::ConstraintFailed => "error",
    }
}

/// The next event of a job, with what every request notes of it; failures end the request.
pub(super) async fn next(app: &App, arrival: &Arrival, job: &mut JobHandle) -> Result<Option<JobEvent>, Failure> {
    let event = job.next().await;
    match &event {
        Some(JobEvent::Token { text, .. }) => {
            app.metrics.token();
            let since = arrival.at.elapsed();
            if arrival.record.token(since) {
                app.metrics.first_token(since);
            }
            if app.logs_texts {
                arrival.record.answered(text);
            }
        }
        Some(JobEvent::Done { text, .. }) if app.logs_texts => arrival.record.answered(text),
        _ => {}
    }
    match event {
        Some(JobEvent::TimedOut) => Err(Failure::timed_out()),
        Some(JobEvent::Failed(message)) => Err(Failure::unavailable(message)),
        Some(JobEvent::Refused(error)) => Err(error.into()),
        event => Ok(event),
    }
}

/// Waits for all samples of some prompts.
pub(super) async fn collect(
    app: &App,
    arrival: &Arrival,
    job: &mut JobHandle,
    (n_prompts, n_samples): (usize, usize),
) -> Result<Vec<OfPrompt>, Failure> {
    let empty = OfPrompt { logprobs: Vec::new(), samples: vec![Sample::default(); n_samples] };
    let mut all = vec![empty; n_prompts];
    let mut n_left = n_prompts * n_samples;
    while n_left > 0 {
        match next(app, arrival, job).await? {
            Some(JobEvent::Prompt { prompt, logprobs }) => all[prompt].logprobs = logprobs,
            Some(JobEvent::Token { prompt, sample, id, logprobs, text }) => {
                let own = &mut all[prompt].samples[sample];
                own.text.push_str(&text);
                own.tokens.push((id, logprobs));
            }
            Some(JobEvent::Done { prompt, sample, reason, text, .. }) => {
                let own = &mut all[prompt].samples[sample];
                own.text.push_str(&text);
                own.reason = Some(reason);
                n_left -= 1;
            }
            Some(_) => {}
            None => return Err(app.gone()),
        }
    }
    Ok(all)
}

/// The samples that the model finds the most likely, best first.
pub(super) fn best(samples: Vec<Sample>, n: usize) -> Vec<Sample> {
    let logprobs =
        |sample: &Sample| sample.tokens.iter().filter_map(|(_, found)| Some(found.as_ref()?.logprob)).collect();
    let order = best_first(&samples.iter().map(logprobs).collect::<Vec<_>>());
    order.into_iter().take(n).map(|at| samples[at].clone()).collect()
}
