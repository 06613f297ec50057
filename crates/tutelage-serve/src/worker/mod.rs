//! The thread that computes: all engines, a step of each in turn.
//!
//! Connections send it commands and get events. Requests wait here, by client, until their engine has begun all it was given.

mod job;
mod queue;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;
use tutelage_generate::{Engine, Event, GenerateError, Request, RequestId};

pub(crate) use job::{JobEvent, JobHandle, JobId, Submission};
pub(crate) use queue::ClientId;

use crate::ServeError;
use crate::config::{ServeLimits, ServedModel};
use crate::metrics::Metrics;
use job::Job;
use queue::FairQueue;

/// What connections ask of the worker.
#[derive(Debug)]
pub(crate) enum Command {
    Submit(JobId, Submission, tokio::sync::mpsc::UnboundedSender<JobEvent>),
    Cancel(JobId),
}

/// The connections' end.
#[derive(Debug)]
pub(crate) struct Scheduler {
    commands: Sender<Command>,
    next: std::sync::atomic::AtomicU64,
    /// Why the worker is no more, if it is not.
    failure: Arc<Mutex<Option<String>>>,
}

impl Scheduler {
    /// Starts the worker; it ends when the scheduler and all handles are gone.
    ///
    /// # Errors
    /// When a draft model is of another vocabulary, or there is no thread to be had.
    pub(crate) fn start(
        models: &[ServedModel],
        limits: ServeLimits,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, std::thread::JoinHandle<()>), ServeError> {
        let (commands, received) = channel();
        let engine = |model: &ServedModel| {
            let engine = Engine::new(Arc::clone(&model.generator), model.limits);
            match &model.draft {
                None => Ok(engine),
                Some((draft, n_ahead)) => engine.with_draft(Arc::clone(draft), *n_ahead),
            }
        };
        let engines = models.iter().map(engine).collect::<Result<Vec<Engine>, _>>();
        let engines = engines.map_err(|error| ServeError::Request(error.to_string()))?;
        let failure = Arc::new(Mutex::new(None));
        let own = Arc::clone(&failure);
        let mut worker = Worker {
            queues: engines.iter().map(|_| FairQueue::new()).collect(),
            engines,
            jobs: HashMap::new(),
            by_request: HashMap::new(),
            limits,
            metrics,
            seconds_of_prompt: 1.0,
        };
        let run = move || {
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run(&received)));
            if found.is_err() {
                let message = "the engine failed; restart the server, and report what it printed";
                if let Ok(mut failure) = own.lock() {
                    *failure = Some(message.to_owned());
                }
                worker.fail_all(message);
            }
        };
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(run).map_err(ServeError::Threads)?;
        Ok((Self { commands, next: 0.into(), failure }, thread))
    }

    /// Gives prompts to the worker. The first event says whether it takes them.
    pub(crate) fn submit(&self, submission: Submission) -> JobHandle {
        let id = JobId(self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let (sender, events) = unbounded_channel();
        // A worker that is gone drops the sender: the handle says that nothing comes.
        let _ = self.commands.send(Command::Submit(id, submission, sender));
        JobHandle { id, events, commands: self.commands.clone() }
    }

    /// Why nothing can be computed any more, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().ok().and_then(|failure| failure.clone())
    }
}

/// A prompt that waits.
#[derive(Debug)]
struct Waiting {
    job: JobId,
    prompt: usize,
    request: Request,
}

#[derive(Debug)]
struct Worker {
    engines: Vec<Engine>,
    queues: Vec<FairQueue<Waiting>>,
    jobs: HashMap<JobId, Job>,
    /// Job and prompt of what an engine has.
    by_request: HashMap<(usize, RequestId), (JobId, usize, Instant)>,
    limits: ServeLimits,
    metrics: Arc<Metrics>,
    /// How long a prompt takes, of late, from its beginning.
    seconds_of_prompt: f64,
}

impl Worker {
    fn run(&mut self, commands: &Receiver<Command>) {
        loop {
            // What has come is taken between steps; without work the next command is waited for.
            loop {
                let is_idle = self.is_idle();
                self.observe();
                let command = match is_idle {
                    true => commands.recv().map_err(|_| TryRecvError::Disconnected),
                    false => commands.try_recv(),
                };
                match command {
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Disconnected) if is_idle => return,
                    Err(_) => break,
                }
            }
            self.expire(Instant::now());
            self.feed();
            for model in 0..self.engines.len() {
                if self.engines[model].is_idle() {
                    continue;
                }
                match self.engines[model].step() {
                    Ok(events) => events.into_iter().for_each(|event| self.pass_on(model, event)),
                    Err(error) => self.fail_model(model, &error),
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.engines.iter().all(Engine::is_idle) && self.queues.iter().all(|queue| queue.len() == 0)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Cancel(id) => self.end(id),
            Command::Submit(id, submission, events) => {
                let Submission { model, client, requests, deadline } = submission;
                // A connection that is gone needs no answer.
                let answer = |event| drop(events.send(event));
                let refused = requests.iter().find_map(|request| self.engines[model].check(request).err());
                if let Some(error) = refused {
                    return answer(JobEvent::Refused(error));
                }
                let n_waiting: usize = self.queues.iter().map(FairQueue::len).sum();
                let n_own: usize = self.queues.iter().map(|queue| queue.len_of(client)).sum();
                if n_waiting >= self.limits.waiting || n_own >= self.limits.waiting_of_client {
                    let n_running = self.by_request.len().max(1);
                    let seconds = self.seconds_of_prompt * (n_own.max(1) as f64 / n_running as f64);
                    return answer(JobEvent::Busy { retry_after: (seconds.ceil() as u64).clamp(1, 60) });
                }
                answer(JobEvent::Accepted);
                let n_left = requests.iter().map(|request| request.n_samples).sum();
                self.jobs.insert(id, Job { model, deadline, n_left, events });
                for (prompt, request) in requests.into_iter().enumerate() {
                    self.queues[model].push(client, Waiting { job: id, prompt, request });
                }
            }
        }
    }

    /// Gives each engine what it can begin.
    fn feed(&mut self) {
        for (model, engine) in self.engines.iter_mut().enumerate() {
            while engine.load().0 == 0
                && let Some(Waiting { job, prompt, request }) = self.queues[model].pop()
            {
                match engine.submit(request) {
                    Ok(id) => {
                        self.by_request.insert((model, id), (job, prompt, Instant::now()));
                    }
                    Err(error) => {
                        if let Some(job) = self.jobs.get(&job) {
                            drop(job.events.send(JobEvent::Refused(error)));
                        }
                    }
                }
            }
        }
    }

    fn pass_on(&mut self, model: usize, event: Event) {
        let key = (model, event.request());
        let Some(&(id, prompt, begun)) = self.by_request.get(&key) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_done = matches!(event, Event::Done { .. });
        let event = match event {
            Event::Prompt { logprobs, .. } => JobEvent::Prompt { prompt, logprobs },
            Event::Embedding { mean_d, .. } => JobEvent::Embedding { prompt, mean_d },
            Event::Token { sample, id, logprobs, text, .. } => JobEvent::Token { prompt, sample, id, logprobs, text },
            Event::Done { sample, reason, text, .. } => JobEvent::Done { prompt, sample, reason, text },
        };
        let is_gone = job.events.send(event).is_err();
        if is_done {
            job.n_left -= 1;
            self.seconds_of_prompt += 0.1 * (begun.elapsed().as_secs_f64() - self.seconds_of_prompt);
        }
        if is_gone || job.n_left == 0 {
            self.end(id);
        }
    }

    /// Gives up what is left of a job; its handle sees the end.
    fn end(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.queues[job.model].retain(|waiting| waiting.job != id);
        let own = self.by_request.iter().filter(|(_, (of, ..))| *of == id).map(|(key, _)| *key);
        for (model, request) in own.collect::<Vec<_>>() {
            self.engines[model].cancel(request);
            self.by_request.remove(&(model, request));
        }
    }

    fn expire(&mut self, now: Instant) {
        let late = self.jobs.iter().filter(|(_, job)| job.deadline <= now).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            drop(self.jobs[&id].events.send(JobEvent::TimedOut));
            self.end(id);
        }
    }

    /// A tokenizer that fails leaves the engine in a state that nobody knows: everything it has is given up.
    fn fail_model(&mut self, model: usize, error: &GenerateError) {
        let own = self.jobs.iter().filter(|(_, job)| job.model == model).map(|(id, _)| *id);
        for id in own.collect::<Vec<_>>() {
            drop(self.jobs[&id].events.send(JobEvent::Failed(error.to_string())));
            self.end(id);
        }
        self.engines[model].reset();
    }

    fn fail_all(&mut self, message: &str) {
        for job in self.jobs.values() {
            drop(job.events.send(JobEvent::Failed(message.to_owned())));
        }
        self.jobs.clear();
    }

    fn observe(&self) {
        let waiting: usize = self.queues.iter().map(FairQueue::len).sum();
        let loads = self.engines.iter().map(Engine::load);
        let (held, running) = loads.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        let caches = self.engines.iter().map(Engine::cache_use);
        let (used, _) = caches.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        self.metrics.load(waiting + held, running, used);
        let stats = self.engines.iter().filter_map(Engine::speculation);
        let (proposed, accepted) = stats.fold((0, 0), |(a, b), stats| (a + stats.n_proposed, b + stats.n_accepted));
        self.metrics.speculation(proposed, accepted);
    }
}
