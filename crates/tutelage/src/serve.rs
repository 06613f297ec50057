//! `tutelage serve`.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tutelage_recipe::{EngineChoice, open_generator};
use tutelage_run::{FileError, read_text};
use tutelage_serve::{AccessEntry, AccessLog, EngineLimits, ServeConfig, ServeLimits, ServedModel, serve as run};

use crate::args::size;
use crate::commands::stop_flag;
use crate::failure::Failure;
use crate::model::ModelArgs;

/// Flags of `tutelage serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Folders of models or GGUF files, each as PATH or NAME=PATH; a request that names no model gets the first
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    how: ModelArgs,
    /// Address to listen on; 0.0.0.0 for all of this machine's
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port to listen on; 0 for any that is free
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// A file with API keys, one a line; clients must present one (or the one in the environment's TUTELAGE_API_KEY)
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Another name that clients may call this server by, when it listens on this machine only; may be given many times
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Tokens that each model's cache of keys and values holds, of all texts together
    #[arg(long, default_value_t = 16_384, value_name = "N", value_parser = clap::value_parser!(u32).range(64..))]
    cache_tokens: u32,
    /// Texts that are written together
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_running: u16,
    /// Prompts that may wait; further ones are told to try later, and one client's may take half
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_waiting: u32,
    /// Connections at a time
    #[arg(long, default_value_t = 4096, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Largest body of a request, such as 4MB
    #[arg(long, default_value = "4MB", value_name = "SIZE", value_parser = size)]
    max_body: u64,
    /// Most tokens that a request may ask for [default: whatever the model takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// Tokens of an answer in a chat that names no number
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    default_max_tokens: u32,
    /// Seconds that a request may take
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Where a line of JSON goes for each request [default: standard error]
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Log no requests
    #[arg(long, conflicts_with = "access_log")]
    quiet: bool,
    /// Log prompts and answers too
    #[arg(long, conflicts_with = "quiet")]
    log_prompts: bool,
}

/// The environment's key.
const KEY: &str = "TUTELAGE_API_KEY";

fn api_keys(file: Option<&Path>) -> Result<Vec<String>, Failure> {
    let mut keys = Vec::new();
    match std::env::var(KEY) {
        Ok(key) if !key.trim().is_empty() => keys.push(key.trim().to_owned()),
        Ok(_) | Err(std::env::VarError::NotPresent) => {}
        Err(error) => return Err(Failure::request(format!("{KEY}: {error}"))),
    }
    if let Some(path) = file {
        let before = keys.len();
        keys.extend(read_text(path)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        if keys.len() == before {
            return Err(FileError::content(path, "holds no keys").into());
        }
    }
    Ok(keys)
}

/// A model's name and path: `NAME=PATH`, or a path whose last part is the name.
fn named(model: &str) -> Result<(String, PathBuf), Failure> {
    let path = Path::new(model);
    if !path.exists()
        && let Some((name, path)) = model.split_once('=')
    {
        return match name.is_empty() {
            true => Err(Failure::request(format!("{model}: expected NAME=PATH"))),
            false => Ok((name.to_owned(), PathBuf::from(path))),
        };
    }
    // "." has a name too, when it is looked up.
    let whole = path.canonicalize().map_err(FileError::io("read", path))?;
    let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    let name = name.map_or_else(|| model.to_owned(), |name| name.to_string_lossy().into_owned());
    Ok((name, path.to_owned()))
}

/// A line for each request.
fn access_log(file: Option<&Path>, quiet: bool) -> Result<AccessLog, Failure> {
    if quiet {
        return Ok(Arc::new(|_| {}));
    }
    let to: Box<dyn Write + Send> = match file {
        Some(path) => {
            Box::new(OpenOptions::new().create(true).append(true).open(path).map_err(FileError::io("write", path))?)
        }
        None => Box::new(std::io::stderr()),
    };
    let to = Mutex::new(to);
    Ok(Arc::new(move |entry: &AccessEntry| {
        let line = serde_json::to_string(entry).unwrap_or_default() + "\n";
        if let Ok(mut to) = to.lock() {
            // A disk that is full must not end the service.
            let _ = to.write_all(line.as_bytes());
        }
    }))
}

pub(crate) fn serve(args: ServeArgs, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    let log = access_log(args.access_log.as_deref(), args.quiet)?;
    let api_keys = api_keys(args.api_key_file.as_deref())?;
    let engine_limits = EngineLimits {
        cache_tokens: args.cache_tokens as usize,
        max_running: usize::from(args.max_running),
        ..EngineLimits::default()
    };
    if args.how.draft.is_some() && args.models.len() > 1 {
        return Err(Failure::request("--draft goes with one model; start a server for each"));
    }
    let mut models = Vec::new();
    for model in &args.models {
        let (name, path) = named(model)?;
        let open = |path: PathBuf| open_generator(&args.how.of(path), engine).map(Arc::new);
        let draft = args.how.draft.clone();
        let draft = draft.map(|path| Ok::<_, Failure>((open(path)?, usize::from(args.how.draft_tokens))));
        models.push(ServedModel { name, generator: open(path)?, draft: draft.transpose()?, limits: engine_limits });
    }
    let defaults = ServeLimits::default();
    let waiting = args.max_waiting as usize;
    let limits = ServeLimits {
        connections: args.max_connections as usize,
        body_bytes: usize::try_from(args.max_body).unwrap_or(usize::MAX),
        all_body_bytes: defaults.all_body_bytes.max(usize::try_from(args.max_body).unwrap_or(usize::MAX)),
        waiting,
        waiting_of_client: waiting.div_ceil(2),
        max_tokens: args.max_tokens.map_or(defaults.max_tokens, |n| n as usize),
        default_max_tokens: args.default_max_tokens.min(args.max_tokens.unwrap_or(u32::MAX)) as usize,
        request_time: Duration::from_secs(args.timeout.into()),
        ..defaults
    };
    let config = ServeConfig {
        address: SocketAddr::new(args.host, args.port),
        models,
        api_keys,
        hosts: args.allow_host,
        limits,
        logs_texts: args.log_prompts,
    };
    if !args.host.is_loopback() && config.api_keys.is_empty() {
        say!("warning: whoever reaches {} may use this server; --api-key-file asks for keys", args.host);
    }
    // A connection takes a descriptor; the usual bound is below the number that is allowed.
    let wanted = u64::from(args.max_connections) + 64;
    if rlimit::increase_nofile_limit(wanted).is_ok_and(|got| got < wanted) {
        say!("warning: this system allows fewer open files than --max-connections needs; further ones will wait");
    }
    let stop = stop_flag()?;
    let names: Vec<&str> = config.models.iter().map(|model| &model.name[..]).collect();
    let names = names.join(", ");
    run(&config, log, &stop, |address| {
        say!("serving {names} at http://{address} (a chat page there, the API under /v1); Ctrl-C finishes what runs");
    })?;
    say!("all requests are finished");
    Ok(ExitCode::SUCCESS)
}
