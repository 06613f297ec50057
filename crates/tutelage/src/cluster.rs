//! `tutelage data cluster`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use tutelage_recipe::EngineChoice;
use tutelage_recipe::corpus::{ExecutorPlace, serve_executor, serve_scheduler};

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Be the scheduler, until told to end
    #[command(after_help = "Example:\n  tutelage data cluster scheduler --host 10.0.0.5 --port 50050")]
    Scheduler {
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
        /// Port to listen on
        #[arg(long, default_value_t = 50050)]
        port: u16,
    },
    /// Be an executor, until told to end; its machine sees the files by the same paths as the others
    #[command(
        after_help = "Example:\n  tutelage data cluster executor --scheduler 10.0.0.5:50050 --host 10.0.0.6 --work /scratch/executor"
    )]
    Executor {
        /// The scheduler's host and port
        #[arg(long, value_name = "HOST:PORT", value_parser = address)]
        scheduler: (String, u16),
        /// Address to listen on, and to be found at
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
        /// Port for results; the next one is for tasks
        #[arg(long, default_value_t = 50051, value_parser = clap::value_parser!(u16).range(1..65535))]
        port: u16,
        /// Folder for what is exchanged between stages
        #[arg(long, value_name = "DIR")]
        work: PathBuf,
    },
}

fn address(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parts
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| "expected a host and a port, as in 10.0.0.5:50050".to_owned())
}

pub(crate) fn cluster(what: ClusterCommand, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    match what {
        ClusterCommand::Scheduler { host, port } => {
            say!("scheduler on {host}:{port}");
            serve_scheduler(&host, port)?;
        }
        ClusterCommand::Executor { scheduler, host, port, work } => {
            say!("executor on {host}:{port}, of {}:{}", scheduler.0, scheduler.1);
            serve_executor(&ExecutorPlace { scheduler, host, port, threads: engine.threads(), work })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
