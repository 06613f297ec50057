//! Many texts at once: sequences join and leave between steps, prompts come in parts, pages are shared.

mod draft;
mod sequence;
mod step;

use std::collections::VecDeque;
use std::sync::Arc;

use tutelage_tensor::kernels::attention::{KvPool, PAGE};

use crate::pages::PageTable;
use crate::{Event, GenerateError, Generator, Request, RequestId, StopReason};
use draft::Draft;
pub use draft::SpeculationStats;
use sequence::Sequence;

/// Bounds of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// Tokens that the cache of keys and values holds, of all sequences together.
    pub cache_tokens: usize,
    /// Sequences that go through the model together.
    pub max_running: usize,
    /// Most tokens of prompts in a step, so that texts that are being written do not wait for long ones.
    pub prompt_tokens: usize,
    /// Most requests that wait.
    pub max_waiting: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self { cache_tokens: 16_384, max_running: 64, prompt_tokens: 512, max_waiting: 1 << 20 }
    }
}

/// Writes many texts at once. A text depends on its request alone: not on what is written beside it, not on the number of
/// threads.
#[derive(Debug)]
pub struct Engine {
    generator: Arc<Generator>,
    limits: EngineLimits,
    pool: KvPool,
    pages: PageTable,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    n_requests: u64,
    draft: Option<Draft>,
}

impl Engine {
    /// An engine with its cache.
    pub fn new(generator: Arc<Generator>, limits: EngineLimits) -> Self {
        let n_pages = limits.cache_tokens.div_ceil(PAGE).max(1);
        // Parts of prompts begin at pages.
        let prompt_tokens = limits.prompt_tokens.next_multiple_of(PAGE).max(PAGE);
        Self {
            pool: generator.model().new_pool(n_pages),
            pages: PageTable::new(n_pages),
            limits: EngineLimits { prompt_tokens, ..limits },
            waiting: VecDeque::new(),
            running: Vec::new(),
            n_requests: 0,
            draft: None,
            generator,
        }
    }

    /// Forgets everything, whatever state a failed step has left.
    pub fn reset(&mut self) {
        let (n_requests, draft) = (self.n_requests, self.draft.take());
        *self = Self { n_requests, draft, ..Self::new(Arc::clone(&self.generator), self.limits) };
    }

    /// The model, its tokenizer and template.
    pub fn generator(&self) -> &Arc<Generator> {
        &self.generator
    }

    /// Takes a request; it begins as soon as there is room.
    ///
    /// # Errors
    /// As [`Self::check`]; when too many requests wait.
    pub fn submit(&mut self, request: Request) -> Result<RequestId, GenerateError> {
        self.check(&request)?;
        if self.waiting.len() + request.n_samples > self.limits.max_waiting {
            return Err(GenerateError::Busy { waiting: self.waiting.len() });
        }
        let id = RequestId(self.n_requests);
        self.n_requests += 1;
        self.waiting.extend(Sequence::of(id, request, &self.generator)?);
        Ok(id)
    }

    /// Whether a request can be met at all.
    ///
    /// # Errors
    /// When a setting is out of range, or the prompt does not fit into the model or the cache.
    pub fn check(&self, request: &Request) -> Result<(), GenerateError> {
        request.sampling.validate()?;
        let fault = |found: String| Err(GenerateError::Request(found));
        self.generator.check_prompt(&request.prompt, request.max_tokens)?;
        if request.n_samples == 0 {
            return fault("n = 0: must be at least 1".to_owned());
        }
        let (needed, all) = (self.pages_for(request), self.pages.n_pages());
        if needed > all {
            let (tokens, holds) = (needed * PAGE, all * PAGE);
            return fault(format!(
                "prompt and text take up to {tokens} tokens of the cache, which holds {holds}; ask for fewer tokens, or \
                 set a larger cache"
            ));
        }
        Ok(())
    }

    /// Window of all layers, if they have one.
    fn window(&self) -> Option<usize> {
        let options = &self.generator.model().config().options;
        options.window.filter(|_| options.full_layers.is_empty())
    }

    /// The most pages that a sample of this request uses.
    fn pages_for(&self, request: &Request) -> usize {
        let positions = self.generator.model().config().n_positions();
        let all = request.prompt.len().saturating_add(request.max_tokens).min(positions).div_ceil(PAGE);
        match self.window() {
            // What the window reaches, and a part of a prompt beyond it.
            Some(window) => all.min((window + self.limits.prompt_tokens).div_ceil(PAGE) + 2),
            None => all,
        }
    }

    /// Ends a request; nothing more is said of it.
    pub fn cancel(&mut self, request: RequestId) {
        self.waiting.retain(|sequence| sequence.id != request);
        let pages = &mut self.pages;
        self.running.retain_mut(|sequence| {
            let goes_on = sequence.id != request;
            if !goes_on {
                sequence.end(pages);
            }
            goes_on
        });
    }

    /// Whether nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Samples that wait, and that are being written.
    pub fn load(&self) -> (usize, usize) {
        (self.waiting.len(), self.running.len())
    }

    /// Tokens of the cache in use, and in all.
    pub fn cache_use(&self) -> (usize, usize) {
        (self.pages.n_used() * PAGE, self.pages.n_pages() * PAGE)
    }

    /// Works until nothing is left, or `stop` says so; then what is on its way ends as stopped.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn run(
        &mut self,
        stop: &tutelage_run::StopFlag,
        show: &mut dyn FnMut(Event) -> Result<(), GenerateError>,
    ) -> Result<(), GenerateError> {
        while !self.is_idle() {
            if stop.is_raised() {
                return self.stop(show);
            }
            for event in self.step()? {
                show(event)?;
            }
        }
        Ok(())
    }

    fn stop(&mut self, show: &mut dyn FnMut(Event) -> Result<(), GenerateError>) -> Result<(), GenerateError> {
        let mut running = std::mem::take(&mut self.running);
        running.iter_mut().for_each(|sequence| sequence.end(&mut self.pages));
        for mut sequence in running.into_iter().chain(std::mem::take(&mut self.waiting)) {
            show(self.done(&mut sequence, StopReason::Stopped)?)?;
        }
        Ok(())
    }
}
