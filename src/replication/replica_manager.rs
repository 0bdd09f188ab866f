//! All replicas of this broker, kept equal to the metadata image.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::partition::Partition;
use crate::config::{BrokerConfig, LogConfig};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, DirectoryId, PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::log::log_manager::{LogManager, LogManagerError, NewLog};
use crate::metadata::image::{MetadataImage, PartitionImage, TopicImage};
use crate::metrics::{BrokerTopicMetrics, TopicMetrics};

/// Topics that the broker itself writes.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// True for a topic that the broker itself writes.
pub fn is_internal_topic(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// One topic of which this broker hosts partitions.
#[derive(Debug)]
pub struct HostedTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub metrics: Arc<TopicMetrics>,
    /// By partition index; the error is what a client is told instead.
    partitions: Vec<Result<Arc<Partition>, ErrorCode>>,
}

impl HostedTopic {
    pub fn partition(&self, index: PartitionIndex) -> Result<&Arc<Partition>, ErrorCode> {
        let index = usize::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        self.partitions.get(index).ok_or(ErrorCode::UnknownTopicOrPartition)?.as_ref().map_err(|&code| code)
    }

    /// The replicas that are here and open.
    pub fn replicas(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.iter().flatten()
    }

    pub fn is_internal(&self) -> bool {
        is_internal_topic(&self.name)
    }

    fn lacks_logs(&self) -> bool {
        self.partitions.iter().any(|partition| matches!(partition, Err(ErrorCode::KafkaStorageError)))
    }
}

#[derive(Debug, Default)]
struct Hosted {
    by_name: HashMap<TopicName, Arc<HostedTopic>>,
    by_id: HashMap<TopicId, Arc<HostedTopic>>,
}

impl Hosted {
    /// To be changed; the topics are shared.
    fn copy(&self) -> Self {
        Self { by_name: self.by_name.clone(), by_id: self.by_id.clone() }
    }

    fn open_replicas(&self) -> usize {
        self.by_id.values().map(|topic| topic.replicas().count()).sum()
    }
}

/// The replicas of this broker, by topic.
#[derive(Debug)]
pub struct ReplicaManager {
    local: BrokerId,
    config: Arc<BrokerConfig>,
    logs: Arc<LogManager>,
    hosted: ArcSwap<Hosted>,
    /// Held while the replicas are changed.
    changing: Mutex<()>,
    /// Some replica has no log, since it could not be made.
    lacks_logs: AtomicBool,
    /// Replicas that lie elsewhere than the metadata has them; the metadata is to be told.
    places: Mutex<Places>,
    places_noted: Notify,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`.
    move_bytes_per_second: AtomicU64,
}

/// The log directories of replicas.
pub type Places = BTreeMap<(TopicId, PartitionIndex), DirectoryId>;

impl ReplicaManager {
    pub fn new(local: BrokerId, config: Arc<BrokerConfig>, logs: Arc<LogManager>) -> Arc<Self> {
        Arc::new(Self {
            local,
            config,
            logs,
            hosted: ArcSwap::default(),
            changing: Mutex::default(),
            lacks_logs: AtomicBool::new(false),
            places: Mutex::default(),
            places_noted: Notify::new(),
            move_bytes_per_second: AtomicU64::new(u64::MAX),
        })
    }

    /// Moves the log of a partition to the log directory of that path, as DescribeLogDirs tells it. Returns once the
    /// move has begun. For a partition that is not here the directory is remembered, and the code says so.
    pub fn alter_log_directory(&self, partition: &TopicPartition, path: &str) -> Result<(), ErrorCode> {
        LogManager::check_movable(partition).map_err(|error| error.code())?;
        let directory = self.logs.directory_at(path).map_err(|error| error.code())?;
        let hosted = self.topic(&partition.topic);
        let replica = hosted.as_ref().ok_or(ErrorCode::UnknownTopicOrPartition);
        match replica.and_then(|topic| topic.partition(partition.partition)) {
            Ok(_) => self.logs.begin_move(partition, directory).map_err(|error| {
                warn!(%partition, path, %error, "the log can't be moved");
                error.code()
            }),
            Err(ErrorCode::KafkaStorageError) => Err(ErrorCode::KafkaStorageError),
            Err(code) => {
                self.logs.prefer_directory(partition, directory);
                // Kafka's code of this request for a replica that another broker has.
                Err(if code == ErrorCode::NotLeaderOrFollower { ErrorCode::ReplicaNotAvailable } else { code })
            }
        }
    }

    /// How fast logs may be moved, all together; at least 1.
    pub fn move_bytes_per_second(&self) -> u64 {
        self.move_bytes_per_second.load(Ordering::Relaxed).max(1)
    }

    pub fn set_move_bytes_per_second(&self, bytes: u64) {
        self.move_bytes_per_second.store(bytes, Ordering::Relaxed);
    }

    /// A replica lies in this directory: the metadata has another one.
    pub fn note_place(&self, topic: TopicId, partition: PartitionIndex, directory: DirectoryId) {
        self.places.lock().insert((topic, partition), directory);
        self.places_noted.notify_one();
    }

    /// Waits until places were noted, and takes them.
    pub async fn noted_places(&self) -> Places {
        loop {
            let noted = std::mem::take(&mut *self.places.lock());
            if !noted.is_empty() {
                return noted;
            }
            self.places_noted.notified().await;
        }
    }

    pub fn topic(&self, name: &str) -> Option<Arc<HostedTopic>> {
        self.hosted.load().by_name.get(name).cloned()
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<HostedTopic>> {
        self.hosted.load().by_id.get(&id).cloned()
    }

    /// Every topic with a replica here, in no order.
    pub fn topics(&self) -> Vec<Arc<HostedTopic>> {
        self.hosted.load().by_name.values().cloned().collect()
    }

    /// Makes the replicas here what `new` says: creates, removes, changes leaders and configurations. Blocks on
    /// files. Called for one image after the other.
    pub fn apply(&self, metrics: &BrokerTopicMetrics, old: &MetadataImage, new: &MetadataImage) {
        let _changing = self.changing.lock();
        let mut hosted = self.hosted.load().copy();
        let removed: Vec<_> =
            new.deleted_topics(old).filter_map(|topic| self.remove_topic(&mut hosted, topic)).collect();
        // A default that changed reaches every topic that does not override it.
        let all = !new.same_configs(old);
        let changed: Vec<_> = if all { new.topics().collect() } else { new.changed_topics(old).collect() };
        for topic in changed {
            self.host_topic(&mut hosted, metrics, (old, new), topic);
        }
        self.hosted.store(Arc::new(hosted));
        // Only now does a fetch that wakes up find the topic gone.
        for replica in removed.iter().flat_map(|topic| topic.replicas()) {
            replica.watchers().notify();
        }
    }

    /// Makes the logs that could not be made when their partitions came here, since a disk was full: says whether any is
    /// there now. Blocks on files. To be called now and then, with the present image.
    pub fn make_missing_logs(&self, metrics: &BrokerTopicMetrics, image: &MetadataImage) -> bool {
        if !self.logs.takes_writes() || !self.lacks_logs.swap(false, Ordering::AcqRel) {
            return false;
        }
        let _changing = self.changing.lock();
        let mut hosted = self.hosted.load().copy();
        let count_before = hosted.open_replicas();
        let lacking: Vec<_> =
            hosted.by_id.values().filter(|topic| topic.lacks_logs()).map(|topic| topic.id).collect();
        for topic in lacking.into_iter().filter_map(|id| image.topic_by_id(id)) {
            self.host_topic(&mut hosted, metrics, (image, image), topic);
        }
        let has_made = hosted.open_replicas() > count_before;
        self.hosted.store(Arc::new(hosted));
        has_made
    }

    fn remove_topic(&self, hosted: &mut Hosted, topic: &TopicImage) -> Option<Arc<HostedTopic>> {
        let removed = hosted.by_id.remove(&topic.id)?;
        if hosted.by_name.get(&topic.name).is_some_and(|known| known.id == topic.id) {
            hosted.by_name.remove(&topic.name);
        }
        for replica in removed.replicas() {
            replica.close();
            if let Err(error) = self.logs.delete(&replica.id) {
                error!(partition = %replica.id, %error, "the log of a deleted partition cannot be removed");
            }
        }
        info!(topic = %topic.name, id = %topic.id, "topic deleted");
        Some(removed)
    }

    fn host_topic(
        &self,
        hosted: &mut Hosted,
        metrics: &BrokerTopicMetrics,
        (old, image): (&MetadataImage, &MetadataImage),
        topic: &TopicImage,
    ) {
        let known = hosted.by_id.get(&topic.id).cloned();
        let log_config = Arc::new(self.config.log_config(
            image.cluster_default_configs(),
            image.broker_configs(self.local),
            &topic.configs,
        ));
        // At the start every partition may have been here before; later only those that the image before had.
        let before = old.topic_by_id(topic.id);
        let is_new =
            |index| !old.cluster_id.is_empty() && before.is_none_or(|before| before.partition(index).is_none());
        let partitions = topic
            .partitions()
            .map(|(index, partition)| {
                if !partition.is_replica(self.local) {
                    return Err(ErrorCode::NotLeaderOrFollower);
                }
                let open = known.as_ref().and_then(|known| known.partition(index).ok()).cloned();
                let replica = match open {
                    Some(replica) => {
                        replica.log().set_config(Arc::clone(&log_config));
                        replica
                    }
                    None => {
                        self.open_replica(topic, index, &log_config, is_new(index), self.directory_of(partition))?
                    }
                };
                replica.apply_image(partition, log_config.min_insync_replicas.max(1) as usize);
                Ok(replica)
            })
            .collect();
        let hosted_topic = Arc::new(HostedTopic {
            name: Arc::clone(&topic.name),
            id: topic.id,
            metrics: known.map_or_else(|| metrics.topic(&topic.name), |known| Arc::clone(&known.metrics)),
            partitions,
        });
        hosted.by_name.insert(Arc::clone(&topic.name), Arc::clone(&hosted_topic));
        hosted.by_id.insert(topic.id, hosted_topic);
    }

    /// The log directory that the metadata has for this broker's replica.
    fn directory_of(&self, partition: &PartitionImage) -> Option<DirectoryId> {
        Some(partition.directory_of(self.local)).filter(|id| *id != DirectoryId::default())
    }

    fn open_replica(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        config: &Arc<LogConfig>,
        is_new: bool,
        directory: Option<DirectoryId>,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let id = TopicPartition::new(Arc::clone(&topic.name), index);
        let wanted =
            NewLog { topic_partition: id.clone(), topic_id: topic.id, config: Arc::clone(config), directory, is_new };
        match self.logs.get_or_create(&wanted) {
            Ok(log) => {
                if let (Some(recorded), Some(found)) = (directory, self.logs.directory_of(&id))
                    && recorded != found
                {
                    self.note_place(topic.id, index, found);
                }
                Ok(Partition::new(id, topic.id, self.local, &log))
            }
            Err(error) => {
                error!(partition = %id, %error, "the log cannot be opened: the partition is offline");
                // In a directory that is offline, or with another topic's id, it stays as it is.
                if matches!(error, LogManagerError::File(_) | LogManagerError::Storage(_)) {
                    self.lacks_logs.store(true, Ordering::Release);
                }
                Err(ErrorCode::KafkaStorageError)
            }
        }
    }
}
