//! A broker without sockets, on a simulated disk, with its metadata in memory.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla::api::{
    ConnectionContext, FetchSessionCache, ListenerInfo, Loggers, PendingReply, ProducerIds, Reply, Services, Waiting,
};
use ottla::config::{self, BrokerConfig, ConfigOverrides, Sources};
use ottla::controller::{BrokerRegistration, Controller, ControllerParts, NewTopic, TopicDefaults, bootstrap};
use ottla::coordinator::ShareGroups;
use ottla::coordinator::group::{GroupCoordinator, GroupCoordinatorParts, GroupEnvironment};
use ottla::coordinator::share::{ShareCoordinator, ShareCoordinatorParts, SharePartitions, SharePartitionsParts};
use ottla::ids::{Offset, TopicPartition};
use ottla::io::Disk;
use ottla::io::sim::SimDisk;
use ottla::log::log_directory::{LogDirectories, LogDirectory};
use ottla::log::log_manager::{LogManager, LogManagerOptions};
use ottla::metadata::{Endpoint, GroupConfigs, ImagePublisher, Keys, MemoryStore, MetadataStore, Revision};
use ottla::metrics::Metrics;
use ottla::net::RequestMemory;
use ottla::protocol::records::{NewRecord, RecordBatchBuilder};
use ottla::quota::{QuotaManager, QuotaWindows, Window};
use ottla::replication::{Acks, ReplicaManager};
use ottla::telemetry::ClientTelemetry;
use ottla::time::{Clock, ManualClock};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::MEMORY_BYTES;

const NOW_MS: i64 = 1_700_000_000_000;
/// A reply that takes longer does not come.
const REPLY_LIMIT: Duration = Duration::from_secs(10);
/// How often what is submitted to the disk is done while a reply is waited for.
const DISK_INTERVAL: Duration = Duration::from_millis(1);

/// One topic of a new broker.
struct Topic {
    name: &'static str,
    partitions: i32,
    configs: &'static [(&'static str, &'static str)],
}

const TOPICS: &[Topic] = &[
    Topic { name: "a", partitions: 2, configs: &[] },
    Topic { name: "c", partitions: 1, configs: &[("cleanup.policy", "compact"), ("compression.type", "zstd")] },
    Topic { name: "l", partitions: 1, configs: &[("message.timestamp.type", "LogAppendTime")] },
];

const SETTINGS: &[&str] = &[
    "node.id=1",
    "log.dirs=data",
    "metadata=memory",
    "listeners=PLAINTEXT://localhost:9092",
    "max.incremental.fetch.session.cache.slots=8",
    "offsets.topic.num.partitions=2",
    "share.coordinator.state.topic.num.partitions=2",
];

/// A running broker, to be called on one thread.
pub(super) struct Broker {
    pub(super) runtime: Runtime,
    pub(super) connection: Arc<ConnectionContext>,
    pub(super) memory: RequestMemory,
    disk: Arc<SimDisk>,
    shutdown: CancellationToken,
    at_start: State,
}

/// What later requests can see of earlier ones. Fetch sessions are left out: their ids are not guessed.
#[derive(Debug, PartialEq, Eq)]
struct State {
    metadata: Revision,
    logs: Vec<(TopicPartition, Offset, Offset)>,
}

impl State {
    fn of(services: &Services) -> Self {
        let log = |log: Arc<ottla::log::partition_log::PartitionLog>| {
            (log.topic_partition().clone(), log.log_start_offset(), log.log_end_offset())
        };
        Self {
            metadata: services.metadata.current().revision,
            logs: services.logs.logs().into_iter().map(log).collect(),
        }
    }
}

impl Broker {
    pub(super) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime of one thread");
        let (disk, shutdown) = (SimDisk::new(0), CancellationToken::new());
        let services = Arc::new(runtime.block_on(services(&disk, &shutdown)));
        fill(&services, &disk);
        // Whoever waits for news is answered now: an input waits for nobody.
        services.stopping.cancel();
        let listener = Arc::new(ListenerInfo::new("PLAINTEXT", &services));
        let peer = ([127, 0, 0, 1], 1).into();
        Self {
            at_start: State::of(&services),
            connection: Arc::new(ConnectionContext::new(peer, listener, services)),
            memory: RequestMemory::new(MEMORY_BYTES),
            runtime,
            disk,
            shutdown,
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        State::of(&self.connection.services) != self.at_start
    }

    /// The reply, once what it waits for is done.
    pub(super) fn wait_for(&self, reply: &mut PendingReply) -> Reply {
        let waiting = async {
            loop {
                self.disk.run_syncs();
                if let Ok(reply) = tokio::time::timeout(DISK_INTERVAL, poll_fn(|cx| reply.poll(cx))).await {
                    return reply;
                }
            }
        };
        let reply = self.runtime.block_on(async { tokio::time::timeout(REPLY_LIMIT, waiting).await });
        reply.expect("every request is answered")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn services(disk: &Arc<SimDisk>, shutdown: &CancellationToken) -> Services {
    let clock: Arc<dyn Clock> = ManualClock::at(NOW_MS);
    let sources = Sources { set: SETTINGS.iter().map(|&setting| setting.to_owned()).collect(), ..Sources::default() };
    let config = Arc::new(config::load(&sources).expect("the settings are sound").config);
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let directories = LogDirectories::open(&disk, &[PathBuf::from("data")], config.node_id, |_, _| {});
    let mut directories = directories.expect("the disk is sound");
    directories.format("cluster").expect("the disk is sound");
    let registration = BrokerRegistration {
        rack: None,
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: "PLAINTEXT".to_owned(),
        }],
        directories: directories.online().iter().map(LogDirectory::id).collect(),
    };
    let none = ConfigOverrides::new();
    let log_config = Arc::new(config.log_config(&none, &none, &none));
    let config_of = |_: &TopicPartition| Some(Arc::clone(&log_config));
    let (logs, _) = LogManager::load(directories, LogManagerOptions::default(), Arc::clone(&clock), &config_of)
        .expect("the disk is sound");

    let (publisher, controller) = metadata(&config, &clock, shutdown).await;
    controller.register_broker(registration).await.expect("the store is in memory");
    let metrics = Arc::new(Metrics::new());
    let replicas = ReplicaManager::new(config.node_id, Arc::clone(&config), Arc::clone(&logs));
    let group_configs = GroupConfigs::follow(Arc::clone(&config), &publisher);
    let groups = GroupCoordinator::start(GroupCoordinatorParts {
        environment: GroupEnvironment {
            config: Arc::clone(&config),
            metadata: Arc::clone(&publisher),
            groups: Arc::clone(&group_configs),
        },
        controller: Arc::clone(&controller),
        replicas: Arc::clone(&replicas),
        clock: Arc::clone(&clock),
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    });
    let share_coordinator = ShareCoordinator::start(ShareCoordinatorParts {
        config: Arc::clone(&config),
        metadata: Arc::clone(&publisher),
        controller: Arc::clone(&controller),
        replicas: Arc::clone(&replicas),
        clock: Arc::clone(&clock),
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    });
    let shares = SharePartitions::start(SharePartitionsParts {
        coordinator: Arc::clone(&share_coordinator),
        replicas: Arc::clone(&replicas),
        configs: group_configs,
        clock: Arc::clone(&clock),
        max_sessions: config.groups.share_max_sessions,
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    });
    let (followers, topic_metrics) = ((Arc::clone(&replicas), Arc::clone(&groups)), Arc::clone(&metrics));
    let share_follower = Arc::clone(&share_coordinator);
    publisher.listen(Box::new(move |old, new| {
        followers.0.apply(&topic_metrics.topics, old, new);
        followers.1.follow_replicas();
        share_follower.follow_replicas();
    }));
    let created = controller.create_topics(TOPICS.iter().map(new_topic).collect(), false).await;
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    let window = Window { samples: 11, length: Duration::from_secs(1) };
    let quotas = QuotaManager::new(QuotaWindows { clients: window, controller: window }, Arc::clone(&clock));
    quotas.follow(&publisher);
    Services {
        broker_id: config.node_id,
        quotas,
        telemetry: ClientTelemetry::new(1024 * 1024, Arc::clone(&clock)),
        loggers: Arc::new(Loggers::silent()),
        clock,
        metadata: publisher,
        controller,
        cleaner: None,
        logs,
        replicas,
        share_groups: ShareGroups::new(Arc::clone(&groups), Arc::clone(&share_coordinator), Arc::clone(&shares)),
        groups,
        share_coordinator,
        shares,
        fetch_sessions: FetchSessionCache::new(
            config.max_incremental_fetch_session_cache_slots,
            metrics.events.fetch_session_evictions.clone(),
        ),
        producer_ids: ProducerIds::default(),
        waiting: Waiting::default(),
        stopping: CancellationToken::new(),
        metrics,
        config,
    }
}

async fn metadata(
    config: &BrokerConfig,
    clock: &Arc<dyn Clock>,
    shutdown: &CancellationToken,
) -> (Arc<ImagePublisher>, Arc<Controller>) {
    let store: Arc<dyn MetadataStore> = Arc::new(MemoryStore::new(Arc::clone(clock)));
    let (keys, tasks) = (Keys::new("default"), TaskTracker::new());
    let features = BTreeMap::from([("metadata.version".to_owned(), 30)]);
    bootstrap(&*store, &keys, Some("cluster"), "cluster", &features).await.expect("the store is in memory");
    let publisher = ImagePublisher::start(Arc::clone(&store), keys.clone(), &tasks, shutdown.clone()).await;
    let publisher = publisher.expect("the store is in memory");
    let controller = Controller::new(ControllerParts {
        store,
        keys,
        publisher: Arc::clone(&publisher),
        broker_id: config.node_id,
        defaults: TopicDefaults { partitions: 1, replication_factor: 1 },
        session_timeout: Duration::from_secs(3600),
        seed: 7,
        tasks,
        shutdown: shutdown.clone(),
    });
    (publisher, controller)
}

fn new_topic(topic: &Topic) -> NewTopic {
    NewTopic {
        name: topic.name.to_owned(),
        partitions: topic.partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: topic.configs.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
    }
}

/// Something to fetch, in every topic.
fn fill(services: &Services, disk: &SimDisk) {
    for topic in TOPICS {
        let topic = services.replicas.topic(topic.name).expect("the topic was created");
        for replica in topic.replicas() {
            for _ in 0..3 {
                replica.append(&records(), Acks::Leader, NOW_MS).expect("the batch is sound");
                disk.run_syncs();
            }
        }
    }
}

/// A producer's batch.
pub fn records() -> Bytes {
    let mut builder = RecordBatchBuilder::new(Offset::ZERO);
    for at in 0..3 {
        builder.append(&NewRecord {
            timestamp_ms: NOW_MS + at,
            key: Some(b"k"),
            value: Some(b"value"),
            headers: &[],
        });
    }
    builder.build().expect("records make a batch").into()
}
