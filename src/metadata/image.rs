//! The cluster as this broker sees it: everything under the store's prefix, parsed, as of one revision.
//!
//! An image never changes; [`MetadataImage::apply`] makes the next one, which shares with it every topic that the
//! events do not touch. Built from a full range or event by event, the image of a revision is the same.

mod apply;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::keys::ConfigResource;
use super::quotas::{QuotaEntity, QuotaImage};
use super::store::Revision;
use crate::ids::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition,
};

pub use crate::config::ConfigOverrides;

/// The most partitions that a topic may claim; what the store says is not trusted with more memory.
pub const MAX_TOPIC_PARTITIONS: i32 = 100_000;

/// A value in the store that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata key '{key}': {problem}")]
pub struct ImageError {
    pub key: String,
    pub problem: String,
}

/// All metadata as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataImage {
    /// The revision that this image is of; nothing older is missing from it.
    pub revision: Revision,
    /// Empty until the first broker has set it.
    pub cluster_id: Arc<str>,
    pub controller: Option<BrokerId>,
    /// The create revision of `controller`.
    pub controller_epoch: Revision,
    /// The registered brokers.
    pub brokers: BTreeMap<BrokerId, Arc<BrokerImage>>,
    /// Finalized feature levels.
    pub features: BTreeMap<String, i16>,
    topics: Arc<BTreeMap<TopicName, Arc<TopicImage>>>,
    topic_names: Arc<HashMap<TopicId, TopicName>>,
    configs: Arc<BTreeMap<ConfigResource, ConfigImage>>,
    quotas: Arc<BTreeMap<QuotaEntity, QuotaImage>>,
    loose: Arc<LoosePartitions>,
}

/// Partitions that no topic claims: of a topic that is being created, enlarged or deleted, or that never came to be.
type LoosePartitions = BTreeMap<TopicId, BTreeMap<PartitionIndex, PartitionImage>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct ConfigImage {
    overrides: ConfigOverrides,
    revision: Revision,
}

/// One registration of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    pub id: BrokerId,
    /// The create revision of its registration.
    pub epoch: BrokerEpoch,
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    pub directories: Vec<DirectoryId>,
}

impl BrokerImage {
    /// Where the broker is reached on the listener of that name.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }

    /// Whether the broker has the log directory at hand. One that is not known, of a replica without a recorded place
    /// or of a broker without directory ids, is taken to be.
    pub fn has_directory(&self, directory: DirectoryId) -> bool {
        self.directories.is_empty() || directory == DirectoryId::default() || self.directories.contains(&directory)
    }
}

/// Where a broker is reached, for one of its listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    pub name: TopicName,
    pub id: TopicId,
    /// The revision that changed the topic (not its partitions or configs) last.
    pub mod_revision: Revision,
    /// By partition index. A hole in the store is a partition without replicas.
    pub partitions: Vec<PartitionImage>,
    pub configs: ConfigOverrides,
}

impl TopicImage {
    pub fn partition(&self, partition: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// The partitions with their indexes.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = (PartitionIndex, &PartitionImage)> {
        self.partitions.iter().enumerate().map(|(index, partition)| (index as PartitionIndex, partition))
    }
}

/// Whether a leader has to recover from an unclean election first (KIP-704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered,
    Recovering,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// In order of preference.
    pub replicas: Vec<BrokerId>,
    /// The log directory of each replica, in the same order.
    pub directories: Vec<DirectoryId>,
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966).
    pub elr: Vec<BrokerId>,
    pub last_known_elr: Vec<BrokerId>,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    /// The revision that changed the partition last.
    pub partition_epoch: Revision,
    pub leader_recovery_state: LeaderRecoveryState,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

impl PartitionImage {
    /// What stands where the store has no partition but should.
    pub(crate) fn hole() -> Self {
        Self {
            replicas: Vec::new(),
            directories: Vec::new(),
            isr: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader: None,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: Revision(0),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            adding: Vec::new(),
            removing: Vec::new(),
        }
    }

    pub(crate) fn is_hole(&self) -> bool {
        self.partition_epoch == Revision(0)
    }

    /// The log directory that holds the replica on `broker`; zero where that is not known.
    pub fn directory_of(&self, broker: BrokerId) -> DirectoryId {
        let place = self.replicas.iter().position(|&replica| replica == broker);
        place.and_then(|place| self.directories.get(place)).copied().unwrap_or_default()
    }

    pub fn is_replica(&self, broker: BrokerId) -> bool {
        self.replicas.contains(&broker)
    }
}

impl MetadataImage {
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topic(self.topic_names.get(&id)?)
    }

    /// In the order of their names.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// The topics from `name` on, in the order of their names.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<TopicImage>> + use<'a> {
        use std::ops::Bound::{Included, Unbounded};
        self.topics.range::<str, _>((Included(name), Unbounded)).map(|(_, topic)| topic)
    }

    pub fn partition_count(&self) -> usize {
        self.topics().map(|topic| topic.partitions.len()).sum()
    }

    pub fn partition(&self, partition: &TopicPartition) -> Option<&PartitionImage> {
        self.topic(&partition.topic)?.partition(partition.partition)
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// The topics that are not the same in `old`: new, changed, or created anew. Cheap where most are shared.
    pub fn changed_topics<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = &'a Arc<TopicImage>> {
        self.topics().filter(|topic| old.topic(&topic.name).is_none_or(|before| !Arc::ptr_eq(before, topic)))
    }

    /// The topics of `old` whose ids are gone.
    pub fn deleted_topics<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = &'a Arc<TopicImage>> {
        old.topics().filter(|topic| self.topic(&topic.name).is_none_or(|now| now.id != topic.id))
    }

    /// What is overridden for one resource; empty where nothing is.
    pub fn configs(&self, resource: &ConfigResource) -> &ConfigOverrides {
        static NONE: ConfigOverrides = ConfigOverrides::new();
        self.configs.get(resource).map_or(&NONE, |config| &config.overrides)
    }

    pub fn broker_configs(&self, broker: BrokerId) -> &ConfigOverrides {
        self.configs(&ConfigResource::Broker(broker))
    }

    pub fn cluster_default_configs(&self) -> &ConfigOverrides {
        self.configs(&ConfigResource::ClusterDefault)
    }

    /// Every resource for which something is overridden.
    pub fn config_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// The revision that changed a resource's configuration last; `None`: nothing is overridden.
    pub fn configs_revision(&self, resource: &ConfigResource) -> Option<Revision> {
        self.configs.get(resource).map(|config| config.revision)
    }

    /// Whether two images have the very same configurations of all resources.
    pub fn same_configs(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.configs, &other.configs)
    }

    /// Everybody with a quota, and the quotas.
    pub fn quotas(&self) -> impl Iterator<Item = (&QuotaEntity, &QuotaImage)> {
        self.quotas.iter()
    }

    pub fn quota(&self, entity: &QuotaEntity) -> Option<&QuotaImage> {
        self.quotas.get(entity)
    }

    /// Whether two images have the very same quotas.
    pub fn same_quotas(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.quotas, &other.quotas)
    }

    /// Takes over from `old` every topic that is the same there: for an image that was built anew.
    #[must_use]
    pub fn sharing_with(mut self, old: &Self) -> Self {
        if self.configs == old.configs {
            self.configs = Arc::clone(&old.configs);
        }
        if self.quotas == old.quotas {
            self.quotas = Arc::clone(&old.quotas);
        }
        for (name, topic) in Arc::make_mut(&mut self.topics) {
            if let Some(before) = old.topic(name).filter(|before| *before == topic) {
                *topic = Arc::clone(before);
            }
        }
        self
    }

    /// Partitions that no topic claims.
    pub fn loose_partitions(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, &PartitionImage)> {
        self.loose.iter().flat_map(|(&topic, partitions)| {
            partitions.iter().map(move |(&partition, image)| (topic, partition, image))
        })
    }
}
