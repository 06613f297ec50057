//! The processes of a cluster: a scheduler, and executors that have our functions.

use std::sync::Arc;

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::default_session_builder;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::prelude::SessionConfig;
use tokio::runtime::Builder;
use tutelage_corpus::CorpusError;
use tutelage_run::create_folder;

use crate::ExecutorPlace;
use crate::function::functions;
use crate::plan::failed;

/// Seconds without a sign of life after which an executor is taken for lost, and its tasks go to others.
const LOST_AFTER: u64 = 12;
const HEARTBEAT: u64 = 3;

/// Plans nest deeply; the engine's own programs have as much.
const STACK_BYTES: usize = 32 << 20;

fn session(config: SessionConfig) -> datafusion::common::Result<SessionState> {
    let mut state = default_session_builder(config)?;
    for function in functions() {
        state.register_udf(Arc::new(function))?;
    }
    Ok(state)
}

fn runtime() -> Result<tokio::runtime::Runtime, CorpusError> {
    Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build().map_err(failed)
}

/// Is a cluster's scheduler, until it is told to end.
///
/// # Errors
/// When it cannot listen there.
pub fn serve_scheduler(host: &str, port: u16) -> Result<(), CorpusError> {
    let address = format!("{host}:{port}").parse();
    let address =
        address.map_err(|error| CorpusError::request(format!("{host}:{port}: {error}: expected an address")))?;
    let config = SchedulerConfig {
        external_host: host.to_owned(),
        bind_host: host.to_owned(),
        bind_port: port,
        executor_timeout_seconds: LOST_AFTER,
        expire_dead_executor_interval_seconds: HEARTBEAT,
        override_session_builder: Some(Arc::new(session)),
        ..SchedulerConfig::default()
    };
    runtime()?.block_on(async {
        let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
        tokio::select! {
            ended = start_server(cluster, address, Arc::new(config)) => ended.map_err(failed),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

/// Is an executor of a cluster, until it is told to end.
///
/// # Errors
/// When it cannot listen there, or finds no scheduler.
pub fn serve_executor(place: &ExecutorPlace) -> Result<(), CorpusError> {
    create_folder(&place.work)?;
    let state = session(SessionConfig::new()).map_err(failed)?;
    let config = ExecutorProcessConfig {
        bind_host: place.host.clone(),
        external_host: Some(place.host.clone()),
        port: place.port,
        grpc_port: place.port + 1,
        scheduler_host: place.scheduler.0.clone(),
        scheduler_port: place.scheduler.1,
        scheduler_connect_timeout_seconds: 30,
        vcores: place.threads,
        work_dir: Some(place.work.display().to_string()),
        executor_heartbeat_interval_seconds: HEARTBEAT,
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&state))),
        ..ExecutorProcessConfig::default()
    };
    runtime()?.block_on(start_executor_process(Arc::new(config))).map_err(failed)
}
