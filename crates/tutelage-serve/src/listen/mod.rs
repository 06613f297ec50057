//! Connections: accepted within a bound, each with a time for all that a client may draw out, ended gracefully.

mod timed;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tutelage_run::StopFlag;

use crate::config::ServeLimits;
use crate::http::{AccessLog, App, Peer, router};
use crate::metrics::Metrics;
use crate::worker::Scheduler;
use crate::{ServeConfig, ServeError};
use timed::TimedWrites;

/// Bytes of the head of a request, and of what is read ahead of a body.
const READ_BYTES: usize = 64 << 10;
/// Headers of a request.
const MAX_HEADERS: usize = 100;
/// Between two looks at whether to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Serves until `stop` is raised, then finishes what runs. `began` is told the address, whose port may have been chosen by
/// the system.
///
/// # Errors
/// When there is nothing to serve, two models have one name, or the address cannot be listened on.
pub fn serve(
    config: &ServeConfig,
    log: AccessLog,
    stop: &StopFlag,
    began: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let names: Vec<&str> = config.models.iter().map(|model| &model.name[..]).collect();
    if names.is_empty() {
        return Err(ServeError::Request("no model to serve".to_owned()));
    }
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(ServeError::Request(format!("two models are called '{}'; name them apart", twice.1)));
    }
    // The engine has a thread for each core, which connections and what encodes their texts should not crowd out: a step is
    // as slow as its slowest thread.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (connection_threads, text_threads) = ((cores / 4).clamp(1, 4), cores.div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(connection_threads)
        .max_blocking_threads(text_threads)
        .enable_all()
        .thread_name("connections")
        .build()
        .map_err(ServeError::Threads)?;
    let address = config.address;
    let listener = runtime.block_on(TcpListener::bind(address));
    let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
    let cache_tokens = config.models.iter().map(|model| model.limits.cache_tokens).sum();
    let metrics = Arc::new(Metrics::new(cache_tokens));
    let (scheduler, worker) = Scheduler::start(&config.models, config.limits, Arc::clone(&metrics))?;
    let app = Arc::new(App::new(config, scheduler, metrics, log));
    began(listener.local_addr().unwrap_or(address));
    runtime.block_on(accept(listener, app, stop));
    drop(runtime);
    // The last connection is gone, and with it the last sender of commands.
    worker.join().map_err(|_| ServeError::Threads(std::io::Error::other("the engine's thread failed")))
}

/// Takes connections until it is time to stop, then waits for those that are open.
async fn accept(listener: TcpListener, app: Arc<App>, stop: &StopFlag) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(app.limits.connections));
    let router = router(Arc::clone(&app));
    loop {
        let next = tokio::time::timeout(GLANCE, async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        });
        let next = next.await;
        if stop.is_raised() {
            break;
        }
        match next {
            Ok((Ok((stream, peer)), Ok(permit))) => connect(stream, peer, permit, &app, &router, &graceful),
            // No file descriptors are left, say: those that are open will end.
            Ok(_) => tokio::time::sleep(GLANCE).await,
            Err(_) => {}
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    app: &Arc<App>,
    router: &Router,
    graceful: &GracefulShutdown,
) {
    // Parts of a stream are small, and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let ServeLimits { header_time, write_time, .. } = app.limits;
    let io = TokioIo::new(TimedWrites::new(stream, write_time));
    let router = router.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(tower_call(&mut router, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(READ_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    let connection = graceful.watch(connection);
    let metrics = app.metrics.clone();
    tokio::spawn(async move {
        metrics.connections().inc();
        // Whatever a client does to its connection concerns nobody else.
        let _ = connection.await;
        metrics.connections().dec();
        drop(permit);
    });
}

async fn tower_call(router: &mut Router, request: Request<Body>) -> axum::response::Response {
    use tower_service::Service;
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
