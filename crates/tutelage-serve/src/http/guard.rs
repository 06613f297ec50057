//! Who may ask, and what is noted of each request.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::{Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tutelage_run::{Hash, hash_bytes};

use super::access::{Arrival, Ending, Record};
use super::app::App;
use super::failure::Failure;
use crate::config::ServeConfig;
use crate::worker::ClientId;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Hashes, all of one length.
    keys: Vec<Hash>,
    /// By what names the server may be called; none if by any. A page of another site that got its own name to point here
    /// must not reach a server that only this machine should.
    hosts: Option<Vec<String>>,
}

/// Paths that are open without a key: a page that asks for one, and what says that the server is there.
const OPEN: [&str; 3] = ["/", "/health", "/openapi.json"];

impl Admission {
    pub(crate) fn new(config: &ServeConfig) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let hosts = config.address.ip().is_loopback().then(|| {
            let address = match config.address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            own.into_iter().chain([address]).chain(config.hosts.iter().cloned()).collect()
        });
        Self { keys: config.api_keys.iter().map(|key| hash_bytes(key.as_bytes())).collect(), hosts }
    }

    /// The key's number, or nothing where no key is needed.
    fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<usize>, Failure> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        // A port follows the last colon, if that is not inside an address's brackets.
        let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.iter().any(|known| known.eq_ignore_ascii_case(name))) {
            let message = format!("this server is not called '{name}'; allow the name with --allow-host");
            return Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, message));
        }
        if self.keys.is_empty() || OPEN.contains(&path) {
            return Ok(None);
        }
        let given = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let given = hash_bytes(given.trim().as_bytes()).to_string();
        // All are compared, each in the same time whatever is in it.
        let same = |key: &Hash| bool::from(key.to_string().as_bytes().ct_eq(given.as_bytes()));
        let found =
            self.keys.iter().enumerate().fold(None, |found, (at, key)| if same(key) { Some(at) } else { found });
        let message = "no valid API key was given; send Authorization: Bearer KEY";
        let wrong = || Failure::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key");
        found.map(Some).ok_or_else(wrong)
    }
}

/// The path, if it is one of ours: what clients make up is not counted or logged.
fn known(path: &str) -> &'static str {
    let found = super::PATHS.iter().find(|known| **known == path);
    let is_model = path.strip_prefix("/v1/models/").is_some_and(|rest| !rest.is_empty());
    found.copied().unwrap_or(if is_model { super::MODEL_PATH } else { "other" })
}

/// Admits a request, and writes down how it ends.
pub(crate) async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let path = known(request.uri().path());
    let admitted = app.admission.admit(path, request.headers());
    let client = match (&admitted, peer) {
        (Ok(Some(key)), _) => *key as u64,
        (_, peer) => {
            let mut hasher = DefaultHasher::new();
            peer.map(|peer| peer.ip()).hash(&mut hasher);
            // Keys are numbered from zero.
            hasher.finish() | 1 << 63
        }
    };
    let arrival = Arrival { at: Instant::now(), client: ClientId(client), record: Arc::new(Record::default()) };
    let ending = Ending {
        arrival: arrival.clone(),
        time: SystemTime::now(),
        client: peer.map(|peer| peer.ip().to_string()).unwrap_or_default(),
        method: request.method().to_string(),
        path,
        status: AtomicU16::new(0),
        metrics: Arc::clone(&app.metrics),
        log: Arc::clone(&app.log),
        is_whole: false,
    };
    request.extensions_mut().insert(arrival);
    let response = match admitted {
        Ok(_) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    ending.follow(response)
}
