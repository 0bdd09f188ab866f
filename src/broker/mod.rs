//! The broker: builds the services, wires them, shuts them down.
//!
//! ```text
//!  start   bind sockets ─▶ lock log directories ─▶ adopt? ─▶ metadata store ─▶ recover logs ─▶ register ─▶ replicas ─▶ serve
//!  stop    not ready ─▶ accept no more, answer what is in flight ─▶ deregister ─▶ flush, clean marker
//! ```
//! Sockets come first: a port that is taken is found before anything on the disk is touched.

mod adoption;
mod cluster;
mod dynamic;
mod maintenance;
mod placement;
mod snapshot;
mod sockets;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::admin::{self, Pages};
use crate::adopt::AdoptError;
use crate::adopt::note::Wishes;
use crate::api::{FetchSessionCache, Loggers, ProducerIds, Services, Waiting};
use crate::check::Scrubber;
use crate::config::{BrokerConfig, ConfigOverrides, LogConfig};
use crate::controller::{AdminError, BrokerRegistration};
use crate::coordinator::ShareGroups;
use crate::coordinator::group::{GroupCoordinator, GroupCoordinatorParts, GroupEnvironment};
use crate::coordinator::share::{ShareCoordinator, ShareCoordinatorParts, SharePartitions, SharePartitionsParts};
use crate::ids::{TopicId, TopicPartition};
use crate::io::{Disk, OnSync, RealDisk};
use crate::log::cleaner::LogCleaner;
use crate::log::log_directory::{DirectoryError, LogDirectories};
use crate::log::log_manager::{LoadError, LogManager, LogManagerOptions};
use crate::log::producer_state::ProducerStateConfig;
use crate::metadata::{GroupConfigs, MetadataImage, OpenError, StartError as MetadataStartError};
use crate::metrics::{BrokerState, Metrics};
use crate::net::{ConnectionSettings, RequestMemory};
use crate::protocol::frame::FrameCaps;
use crate::quota::{QuotaManager, QuotaWindows, Window};
use crate::replication::{LogMover, ReplicaManager};
use crate::telemetry::ClientTelemetry;
use crate::time::{Clock, SystemClock};
use cluster::Cluster;
pub(crate) use cluster::store_file;
use dynamic::DynamicLimits;
use maintenance::Maintenance;
use sockets::{SocketError, Sockets};

/// How long a stop waits for requests in flight.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// The bound on request bytes in memory where `queued.max.request.bytes` sets none.
const DEFAULT_REQUEST_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// Requests of one connection that are started and not answered; the next one is not read.
const MAX_IN_FLIGHT_PER_CONNECTION: usize = 64;
/// The bound on large replies that are in memory until their clients have taken them.
const REPLY_MEMORY_BYTES: usize = 128 * 1024 * 1024;
/// Threads that wait for the device. Syncs of many files share a commit of the journal, the more the more of them are under
/// way: docs/performance.md has figures.
const SYNC_THREADS: usize = 16;

/// Why a broker does not start: one line that names what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the log directory {} holds the metadata and is offline: {reason}", path.display())]
    MetadataOffline { path: PathBuf, reason: String },
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    #[error(transparent)]
    Logs(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("metadata: {0}")]
    Metadata(#[from] MetadataStartError),
    #[error("metadata: {0}")]
    Admin(#[from] AdminError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    services: Arc<Services>,
    state: Arc<State>,
    cluster: Cluster,
    log_mover: LogMover,
    maintenance: Maintenance,
    scrubber: Scrubber,
    /// Connections and listeners.
    serving: TaskTracker,
    stop_serving: CancellationToken,
    /// What must outlive the connections: metadata, the admin pages.
    background: TaskTracker,
    stop_background: CancellationToken,
}

/// Kafka's state of a broker, for probes and metrics.
#[derive(Debug)]
struct State(AtomicU8);

impl State {
    fn set(&self, state: BrokerState) {
        self.0.store(state as u8, Ordering::Release);
    }

    fn get(&self) -> BrokerState {
        const STATES: [BrokerState; 6] = [
            BrokerState::NotRunning,
            BrokerState::Starting,
            BrokerState::Recovery,
            BrokerState::Running,
            BrokerState::PendingControlledShutdown,
            BrokerState::ShuttingDown,
        ];
        let now = self.0.load(Ordering::Acquire);
        STATES.into_iter().find(|state| *state as u8 == now).unwrap_or_default()
    }
}

impl Broker {
    /// Starts a broker; it serves when this returns. `loggers` are those of the process; `wishes` are about another
    /// broker's directories, should these be such.
    pub async fn start(config: BrokerConfig, wishes: Wishes, loggers: Loggers) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let config = Arc::new(config);
        let state = Arc::new(State(AtomicU8::new(BrokerState::Starting as u8)));
        let sockets = Sockets::bind(&config).await?;
        let endpoints = sockets.endpoints(&config);
        let listeners = sockets.describe();

        let metrics = Arc::new(Metrics::new());
        let flush_time = Arc::clone(&metrics.log_flush_time);
        let on_sync: OnSync = Arc::new(move |took| flush_time.record_duration(took));
        let disk: Arc<dyn Disk> = RealDisk::with_observer(SYNC_THREADS, &clock, &on_sync)?;
        let mut directories = LogDirectories::open(&disk, &config.log_dirs, config.node_id, report_offline)?;
        check_metadata_directory(&config, &directories)?;
        let (background, stop_background) = (TaskTracker::new(), CancellationToken::new());
        let formatted_for = directories.cluster_id().map(str::to_owned);
        let adopted = adoption::begin(&config, &disk, &directories, wishes)?;
        let store = cluster::open_store(&config, disk, &clock, adopted.as_ref()).await?;
        let cluster = Cluster::open(&config, store, formatted_for.as_deref(), &background, &stop_background).await?;
        directories.format(&cluster.id)?;

        state.set(BrokerState::Recovery);
        let registration = BrokerRegistration {
            rack: config.broker_rack.clone(),
            endpoints,
            directories: directories.online().iter().map(super::log::log_directory::LogDirectory::id).collect(),
        };
        let logs = load_logs(&config, &cluster, directories, &clock).await?;
        cluster.controller.register_broker(registration).await?;
        // Before leaders are confirmed: a replica whose recorded directory is gone must not lead.
        let misplaced = placement::misplaced(&logs, &cluster.publisher.current(), config.node_id);
        cluster.controller.assign_directories(&misplaced).await?;
        cluster.controller.renew_leader_epochs().await?;
        cluster.controller.collect_orphans().await?;
        cluster.count_changes();

        let quotas = QuotaManager::new(quota_windows(&config), Arc::clone(&clock));
        quotas.follow(&cluster.publisher);
        let telemetry = ClientTelemetry::new(config.telemetry_max_bytes, Arc::clone(&clock));
        telemetry.follow(&cluster.publisher);
        let replicas = ReplicaManager::new(config.node_id, Arc::clone(&config), Arc::clone(&logs));
        let group_configs = GroupConfigs::follow(Arc::clone(&config), &cluster.publisher);
        let groups = GroupCoordinator::start(GroupCoordinatorParts {
            environment: GroupEnvironment {
                config: Arc::clone(&config),
                metadata: Arc::clone(&cluster.publisher),
                groups: Arc::clone(&group_configs),
            },
            controller: Arc::clone(&cluster.controller),
            replicas: Arc::clone(&replicas),
            clock: Arc::clone(&clock),
            tasks: background.clone(),
            shutdown: stop_background.clone(),
        });
        let share_coordinator = ShareCoordinator::start(ShareCoordinatorParts {
            config: Arc::clone(&config),
            metadata: Arc::clone(&cluster.publisher),
            controller: Arc::clone(&cluster.controller),
            replicas: Arc::clone(&replicas),
            clock: Arc::clone(&clock),
            tasks: background.clone(),
            shutdown: stop_background.clone(),
        });
        let shares = SharePartitions::start(SharePartitionsParts {
            coordinator: Arc::clone(&share_coordinator),
            replicas: Arc::clone(&replicas),
            configs: group_configs,
            clock: Arc::clone(&clock),
            max_sessions: config.groups.share_max_sessions,
            tasks: background.clone(),
            shutdown: stop_background.clone(),
        });
        let share_groups = ShareGroups::new(Arc::clone(&groups), Arc::clone(&share_coordinator), Arc::clone(&shares));
        follow_metadata(&cluster, &replicas, (&groups, &share_coordinator), &metrics).await;
        let services = Arc::new(Services {
            broker_id: config.node_id,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            metadata: Arc::clone(&cluster.publisher),
            controller: Arc::clone(&cluster.controller),
            cleaner: start_cleaner(&config, &cluster, &logs, &clock)?,
            logs: Arc::clone(&logs),
            replicas,
            groups,
            share_groups,
            share_coordinator,
            shares,
            fetch_sessions: FetchSessionCache::new(
                config.max_incremental_fetch_session_cache_slots,
                metrics.events.fetch_session_evictions.clone(),
            ),
            producer_ids: ProducerIds::default(),
            quotas,
            telemetry,
            loggers: Arc::new(loggers),
            waiting: Waiting::default(),
            stopping: CancellationToken::new(),
            config: Arc::clone(&config),
        });
        let first_write = adopted.map(|adopted| adopted.first_write);
        adoption::end_open_transactions(&cluster, &services, first_write, &background, &stop_background)
            .await
            .map_err(AdminError::from)?;
        placement::follow_places(&services.replicas, &cluster.controller, &background, &stop_background);
        let log_mover = LogMover::start(Arc::clone(&services.replicas), Arc::clone(&logs), Arc::clone(&clock))?;
        let scrubber = Scrubber::start(Arc::clone(&logs), Arc::clone(&clock))?;
        let maintenance =
            Maintenance::start(logs, metrics, Arc::clone(&clock), &config, make_missing_logs(&services))?;
        let broker = Self {
            state,
            cluster,
            log_mover,
            maintenance,
            scrubber,
            serving: TaskTracker::new(),
            stop_serving: services.stopping.clone(),
            background,
            stop_background,
            services,
        };
        broker.serve(sockets);
        broker.state.set(BrokerState::Running);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            node = %config.node_id,
            cluster = %broker.cluster.id,
            %listeners,
            data = %join(&config.log_dirs),
            metadata = broker.cluster.kind,
            ready_ms = clock.monotonic().as_millis() as u64,
            "ottla is ready"
        );
        Ok(broker)
    }

    /// Opens the doors: clients and operators.
    fn serve(&self, sockets: Sockets) {
        let config = &self.services.config;
        let memory_bytes = config.queued_max_request_bytes.unwrap_or(DEFAULT_REQUEST_MEMORY_BYTES) as usize;
        let memory = RequestMemory::new(memory_bytes);
        let max_frame_bytes = i32::try_from(config.socket_request_max_bytes).unwrap_or(i32::MAX);
        let settings = ConnectionSettings {
            caps: FrameCaps::within(max_frame_bytes, memory_bytes),
            memory: memory.clone(),
            reply_memory: RequestMemory::new(REPLY_MEMORY_BYTES),
            max_idle: config.connections_max_idle_ms.map(Duration::from_millis),
            max_in_flight: MAX_IN_FLIGHT_PER_CONNECTION,
        };
        let limits = DynamicLimits::follow(&self.services, sockets.listeners.iter().map(|listener| &*listener.name));
        for listener in sockets.listeners {
            let limits = [&limits.broker, limits.of_listener(&listener.name)];
            listener.serve(&self.services, &settings, limits, &self.serving, &self.stop_serving);
        }
        for listener in sockets.admin {
            info!(port = listener.port(), "admin pages are served");
            admin::serve(listener, self.pages(&memory), &self.background, &self.stop_background);
        }
    }

    fn pages(&self, memory: &RequestMemory) -> Pages {
        let (services, state, memory) = (Arc::clone(&self.services), Arc::clone(&self.state), memory.clone());
        let health_services = Arc::clone(&self.services);
        let readiness = Arc::clone(&self.state);
        Pages {
            metrics: Arc::new(move || services.metrics.render(&snapshot::take(&services, &memory, state.get()))),
            health: Arc::new(move || {
                if health_services.logs.online_directory_ids().is_empty() {
                    Err("every log directory is offline".to_owned())
                } else {
                    Ok(())
                }
            }),
            readiness: Arc::new(move || match readiness.get() {
                BrokerState::Running => Ok(()),
                other => Err(format!("the broker is {other:?}")),
            }),
        }
    }

    /// Stops in good order: answers what is in flight, flushes, leaves the clean marker.
    pub async fn shut_down(self) -> Result<(), ShutdownError> {
        self.state.set(BrokerState::PendingControlledShutdown);
        self.stop_serving.cancel();
        self.services.groups.resign();
        self.services.share_coordinator.resign();
        self.serving.close();
        if tokio::time::timeout(DRAIN_LIMIT, self.serving.wait()).await.is_err() {
            warn!(connections = self.serving.len(), "connections are still busy; closing them");
        }
        self.state.set(BrokerState::ShuttingDown);
        let epoch = self.cluster.controller.broker_epoch();
        let (log_mover, maintenance, scrubber) = (self.log_mover, self.maintenance, self.scrubber);
        let (cleaner, logs) = (self.services.cleaner.clone(), Arc::clone(&self.services.logs));
        let closing = tokio::task::spawn_blocking(move || {
            if let Some(cleaner) = cleaner {
                cleaner.stop();
            }
            log_mover.stop();
            maintenance.stop();
            scrubber.stop();
            logs.shutdown(epoch);
        });
        closing.await.map_err(|error| ShutdownError(error.to_string()))?;
        self.stop_background.cancel();
        self.background.close();
        self.background.wait().await;
        if let Err(error) = self.cluster.controller.deregister().await {
            warn!(%error, "the registration could not be withdrawn; it lapses by itself");
        }
        info!("stopped");
        Ok(())
    }
}

/// The logs could not be closed in good order; the next start recovers them.
#[derive(Debug, thiserror::Error)]
#[error("the logs were not closed in good order: {0}")]
pub struct ShutdownError(String);

fn report_offline(path: &Path, reason: &str) {
    error!(directory = %path.display(), reason, "log directory goes offline");
}

/// The embedded metadata lies in the first log directory: without it the topics would seem to be gone.
fn check_metadata_directory(config: &BrokerConfig, directories: &LogDirectories) -> Result<(), StartError> {
    let Some(first) = config.log_dirs.first() else { return Ok(()) };
    match directories.failure(first) {
        Some(reason) => Err(StartError::MetadataOffline { path: first.clone(), reason: reason.to_owned() }),
        None => Ok(()),
    }
}

fn quota_windows(config: &BrokerConfig) -> QuotaWindows {
    let window = |samples, seconds| Window { samples, length: Duration::from_secs(seconds) };
    QuotaWindows {
        clients: window(config.quota_window_num, config.quota_window_size_seconds),
        controller: window(config.controller_quota_window_num, config.controller_quota_window_size_seconds),
    }
}

/// Opens every log, recovering those that were not closed in good order. Blocks, so not on a worker.
async fn load_logs(
    config: &Arc<BrokerConfig>,
    cluster: &Cluster,
    directories: LogDirectories,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<LogManager>, StartError> {
    let (config, image, clock) = (Arc::clone(config), cluster.publisher.current(), Arc::clone(clock));
    let is_new_cluster = cluster.is_new;
    let loading = tokio::task::spawn_blocking(move || {
        let broker = image.broker_configs(config.node_id);
        let dynamic = config.dynamic_config(image.cluster_default_configs(), broker);
        let options = LogManagerOptions {
            recovery_threads_per_directory: dynamic.num_recovery_threads_per_data_dir as usize,
            producer_state: ProducerStateConfig {
                expiration_ms: dynamic.producer_id_expiration_ms as i64,
                ..ProducerStateConfig::default()
            },
            ..LogManagerOptions::default()
        };
        let none = ConfigOverrides::new();
        // Once for a topic, however many partitions it has.
        let of_topics: Mutex<HashMap<Arc<str>, Arc<LogConfig>>> = Mutex::default();
        let config_of = |partition: &TopicPartition| {
            let topic = image.topic(&partition.topic);
            let known = topic.and_then(|topic| topic.partition(partition.partition));
            if known.map_or(is_new_cluster, |known| known.replicas.is_empty()) {
                return None;
            }
            let mut of_topics = of_topics.lock();
            let known = of_topics.entry(Arc::clone(&partition.topic)).or_insert_with(|| {
                let configs = topic.map_or(&none, |topic| &topic.configs);
                Arc::new(config.log_config(image.cluster_default_configs(), broker, configs))
            });
            Some(Arc::clone(known))
        };
        let (logs, summary) = LogManager::load(directories, options, clock, &config_of)?;
        if summary.logs > 0 {
            info!(
                logs = summary.logs,
                clean = summary.was_clean,
                truncated_bytes = summary.truncated_bytes,
                "logs are loaded"
            );
        }
        settle_strays(&logs, &image, is_new_cluster);
        Ok(logs)
    });
    loading.await.map_err(io::Error::from)?
}

/// Compacted logs are cleaned from here on.
fn start_cleaner(
    config: &BrokerConfig,
    cluster: &Cluster,
    logs: &Arc<LogManager>,
    clock: &Arc<dyn Clock>,
) -> io::Result<Option<Arc<LogCleaner>>> {
    if !config.log_cleaner_enable {
        return Ok(None);
    }
    let image = cluster.publisher.current();
    let settings =
        config.dynamic_config(image.cluster_default_configs(), image.broker_configs(config.node_id)).cleaner;
    LogCleaner::start(Arc::clone(logs), Arc::clone(clock), settings, rand::random()).map(Some)
}

/// Logs of topics that the metadata does not know. Where the metadata is older than them, their topics were deleted
/// and they are set aside, as Kafka does; where it has only just begun, they are somebody else's and left alone.
fn settle_strays(logs: &LogManager, image: &MetadataImage, is_new_cluster: bool) {
    let known = |partition: &TopicPartition, id: Option<TopicId>| {
        image
            .topic(&partition.topic)
            .is_some_and(|topic| id.is_none_or(|id| id == topic.id) && topic.partition(partition.partition).is_some())
    };
    let strays: Vec<_> = logs.partitions().into_iter().filter(|(partition, id)| !known(partition, *id)).collect();
    if is_new_cluster && !strays.is_empty() {
        let example = strays.first().map(|(partition, _)| partition.to_string());
        warn!(
            logs = strays.len(),
            example, "the log directories hold logs of topics that the metadata does not know; they are left alone"
        );
        return;
    }
    for (partition, _) in strays {
        if let Err(error) = logs.set_aside(&partition) {
            warn!(%partition, %error, "a log without a topic cannot be set aside");
        }
    }
}

/// Hands every image to the replicas, then to the coordinators, the present one first. Opening logs blocks, so the first
/// is not for a worker.
async fn follow_metadata(
    cluster: &Cluster,
    replicas: &Arc<ReplicaManager>,
    (groups, shares): (&Arc<GroupCoordinator>, &Arc<ShareCoordinator>),
    metrics: &Arc<Metrics>,
) {
    let (publisher, replicas) = (Arc::clone(&cluster.publisher), Arc::clone(replicas));
    let (groups, shares, metrics) = (Arc::clone(groups), Arc::clone(shares), Arc::clone(metrics));
    let listening = tokio::task::spawn_blocking(move || {
        publisher.listen(Box::new(move |old, new| {
            replicas.apply(&metrics.topics, old, new);
            groups.follow_replicas();
            groups.topics_changed(old, new);
            shares.follow_replicas();
        }));
    });
    if let Err(error) = listening.await {
        error!(%error, "replicas do not follow the metadata");
    }
}

/// Replicas whose logs could not be made get them once that is possible.
fn make_missing_logs(services: &Arc<Services>) -> Box<dyn Fn() + Send> {
    let services = Arc::downgrade(services);
    Box::new(move || {
        let Some(services) = services.upgrade() else { return };
        if services.replicas.make_missing_logs(&services.metrics.topics, &services.metadata.current()) {
            services.groups.follow_replicas();
            services.share_coordinator.follow_replicas();
        }
    })
}

fn join(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
}
