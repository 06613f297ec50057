//! Texts as the worker writes them.

use tutelage_generate::{StopReason, TokenLogprobs};

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

/// The samples whose tokens are the most likely on average, best first.
pub(super) fn best(mut samples: Vec<Sample>, n: usize) -> Vec<Sample> {
    let mean = |sample: &Sample| {
        let logprobs = sample.tokens.iter().filter_map(|(_, logprobs)| logprobs.as_ref().map(|found| found.logprob));
        // A text without tokens says nothing against itself.
        logprobs.sum::<f64>() / sample.tokens.len().max(1) as f64
    };
    samples.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    samples.truncate(n);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_samples_have_the_likeliest_tokens() {
        let sample = |text: &str, logprobs: &[f64]| Sample {
            text: text.to_owned(),
            tokens: logprobs
                .iter()
                .map(|&logprob| (7, Some(TokenLogprobs { id: 7, logprob, top: Vec::new() })))
                .collect(),
            reason: None,
        };
        // Means -1, -0.9, -2: a long text is not worse for its length.
        let samples = vec![sample("a", &[-1.0]), sample("b", &[-0.8, -1.0, -0.9]), sample("c", &[-2.0, -2.0])];
        let texts: Vec<String> = best(samples, 2).into_iter().map(|sample| sample.text).collect();
        assert_eq!(texts, ["b", "a"]);
    }
}
