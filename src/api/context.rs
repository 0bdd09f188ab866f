//! What a handler knows besides its request.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::fetch::FetchSessionCache;
use super::init_producer_id::ProducerIds;
use super::loggers::Loggers;
use super::reply::{Outcome, PendingReply, Reply, ResponseBody};
use super::share_request::ConnectionShareSessions;
use super::table::ApiRow;
use crate::config::BrokerConfig;
use crate::controller::{AdminError, Controller};
use crate::coordinator::ShareGroups;
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::share::{ShareCoordinator, SharePartitions};
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::log::cleaner::LogCleaner;
use crate::log::log_manager::LogManager;
use crate::metadata::ImagePublisher;
use crate::metrics::{ConnectionMetrics, ListenerMetrics, Metrics};
use crate::protocol::wire::protocol::StrBytes;
use crate::quota::{ClientQuotas, QuotaManager};
use crate::replication::ReplicaManager;
use crate::telemetry::{ClientFacts, ClientTelemetry};
use crate::time::Clock;

/// Everything that handlers call into.
#[derive(Debug)]
pub struct Services {
    pub broker_id: BrokerId,
    pub config: Arc<BrokerConfig>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub metadata: Arc<ImagePublisher>,
    pub controller: Arc<Controller>,
    pub logs: Arc<LogManager>,
    /// `None`: `log.cleaner.enable` is off.
    pub cleaner: Option<Arc<LogCleaner>>,
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupCoordinator>,
    pub share_groups: Arc<ShareGroups>,
    pub share_coordinator: Arc<ShareCoordinator>,
    pub shares: Arc<SharePartitions>,
    pub fetch_sessions: FetchSessionCache,
    pub producer_ids: ProducerIds,
    pub quotas: Arc<QuotaManager>,
    pub telemetry: Arc<ClientTelemetry>,
    pub loggers: Arc<Loggers>,
    pub waiting: Waiting,
    /// The broker is about to stop: whoever waits for something to happen answers now.
    pub stopping: CancellationToken,
}

/// How many requests wait for something to happen.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Produce with acks=all, for the high watermark.
    pub produce: AtomicUsize,
    /// Fetch, for records.
    pub fetch: AtomicUsize,
}

/// Counts one waiting request until it is dropped.
pub(super) struct WaitingGuard<'a>(&'a AtomicUsize);

impl<'a> WaitingGuard<'a> {
    pub(super) fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the broker's listeners, as its connections see it.
#[derive(Debug)]
pub struct ListenerInfo {
    pub name: String,
    pub metrics: Arc<ListenerMetrics>,
}

impl ListenerInfo {
    pub fn new(name: &str, services: &Services) -> Self {
        Self { name: name.to_owned(), metrics: services.metrics.network.listener(name) }
    }
}

/// One connection, as its requests see it.
#[derive(Debug)]
pub struct ConnectionContext {
    pub peer: SocketAddr,
    pub listener: Arc<ListenerInfo>,
    pub services: Arc<Services>,
    pub(super) share_sessions: ConnectionShareSessions,
    metrics: Mutex<ConnectionMetrics>,
    /// What limits the client, as long as its client id and the limits stay the same.
    pub(super) quotas: Mutex<Arc<ClientQuotas>>,
    /// Name and version of what the client runs.
    software: Mutex<(Box<str>, Box<str>)>,
}

/// What is kept of the name and of the version that a client gives itself.
const MAX_SOFTWARE_BYTES: usize = 256;

impl ConnectionContext {
    pub fn new(peer: SocketAddr, listener: Arc<ListenerInfo>, services: Arc<Services>) -> Self {
        let metrics = Mutex::new(listener.metrics.connection());
        let share_sessions = ConnectionShareSessions::new(&services.shares);
        let (quotas, software) = (Mutex::default(), Mutex::default());
        Self { peer, listener, services, share_sessions, metrics, quotas, software }
    }

    /// What the client says it is (KIP-511).
    pub fn set_software(&self, name: &str, version: &str) {
        self.metrics.lock().set_software(name, version);
        if name.len().max(version.len()) <= MAX_SOFTWARE_BYTES {
            *self.software.lock() = (name.into(), version.into());
        }
    }
}

/// One request, without its body.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub connection: Arc<ConnectionContext>,
    pub api: &'static ApiRow,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
    /// Of the whole request, without its size.
    pub frame_bytes: usize,
    /// When the request came, where time is counted: some client is limited.
    pub(super) received: Option<Duration>,
}

impl RequestContext {
    pub fn services(&self) -> &Services {
        &self.connection.services
    }

    /// The client's address, as Java writes one: an IPv4 client of a listener of both kinds by its IPv4 address.
    pub(super) fn client_host(&self) -> String {
        format!("/{}", self.connection.peer.ip().to_canonical())
    }

    /// What subscriptions to metrics select clients by.
    pub(super) fn client_facts(&self) -> ClientFacts {
        let (software_name, software_version) = self.connection.software.lock().clone();
        ClientFacts {
            client_id: self.client_id.as_deref().unwrap_or_default().to_owned(),
            software_name: software_name.into(),
            software_version: software_version.into(),
            address: self.connection.peer.ip().to_canonical().to_string(),
            port: self.connection.peer.port(),
        }
    }

    /// Counts an error that the response carries.
    pub fn count_error(&self, code: ErrorCode) {
        if let Some(api) = self.services().metrics.requests.api(self.api.key) {
            api.answered(code, 1);
        }
    }

    /// What a part of an admin request's response says of itself; an error is counted.
    pub fn told(&self, result: Result<(), AdminError>) -> (i16, Option<StrBytes>) {
        let Err(error) = result else { return (ErrorCode::None.code(), None) };
        self.count_error(error.code);
        (error.code.code(), error.words().map(StrBytes::from_string))
    }

    pub fn reply<R: ResponseBody>(&self, response: R) -> Outcome {
        Outcome::Reply(PendingReply::ready(Reply::encode(response, self.version, self.correlation_id)))
    }

    /// The reply comes later; requests behind this one start meanwhile.
    pub fn reply_later<R: ResponseBody>(&self, response: impl Future<Output = R> + Send + 'static) -> Outcome {
        self.pending(response, false)
    }

    /// As [`reply_later`](Self::reply_later), where the wait needs nothing of the request any more: it may be long, and
    /// must not keep the request's memory from others.
    pub fn reply_later_without_request<R: ResponseBody>(
        &self,
        response: impl Future<Output = R> + Send + 'static,
    ) -> Outcome {
        match self.pending(response, false) {
            Outcome::Reply(reply) => Outcome::Reply(reply.without_request()),
            outcome => outcome,
        }
    }

    /// The reply comes later, and nothing behind this request starts before.
    pub fn reply_exclusively<R: ResponseBody>(&self, response: impl Future<Output = R> + Send + 'static) -> Outcome {
        self.pending(response, true)
    }

    fn pending<R: ResponseBody>(
        &self,
        response: impl Future<Output = R> + Send + 'static,
        exclusive: bool,
    ) -> Outcome {
        let (version, correlation_id) = (self.version, self.correlation_id);
        let reply = async move { Reply::encode(response.await, version, correlation_id) };
        Outcome::Reply(PendingReply::waiting(reply, exclusive))
    }
}

/// Follows one request through the broker, for the latency metrics.
#[derive(Debug)]
pub struct RequestTimer {
    api_key: i16,
    received: Duration,
    started: Duration,
    replied: Duration,
}

impl RequestTimer {
    /// A whole frame is there.
    pub(super) fn received(row: &ApiRow, version: i16, frame_bytes: usize, connection: &ConnectionContext) -> Self {
        if let Some(api) = connection.services.metrics.requests.api(row.key) {
            api.received(version, frame_bytes);
        }
        let now = connection.services.clock.monotonic();
        Self { api_key: row.key, received: now, started: now, replied: now }
    }

    /// The handler has returned.
    pub(super) fn started(&mut self, connection: &ConnectionContext) {
        self.started = connection.services.clock.monotonic();
        self.replied = self.started;
    }

    /// The reply is there.
    pub fn replied(&mut self, connection: &ConnectionContext) {
        self.replied = connection.services.clock.monotonic();
    }

    /// The reply has left, or there is none.
    pub fn sent(&self, connection: &ConnectionContext) {
        let sent = connection.services.clock.monotonic();
        if let Some(api) = connection.services.metrics.requests.api(self.api_key) {
            api.completed(&crate::metrics::RequestTimes {
                local: self.started.saturating_sub(self.received),
                remote: self.replied.saturating_sub(self.started),
                response_send: sent.saturating_sub(self.replied),
                ..Default::default()
            });
        }
    }
}
