//! What Kafka's metadata comes to: the records of a snapshot and of the log behind it, one after the other.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::metadata_records::{
    AclRecord, ClientQuotaRecord, ConfigRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord,
    QuotaEntityPart, ScramRecord, TokenRecord,
};
use crate::ids::{PartitionIndex, TopicId};

/// KRaft's number for "a migration from ZooKeeper is under way", before and after 3.5.
const MIGRATING: [i8; 2] = [1, 2];

/// Why a record can't follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("a record of topic {0}, which is not there")]
    UnknownTopic(TopicId),
    #[error("a change of partition {partition} of topic '{topic}', which is not there")]
    UnknownPartition { topic: String, partition: PartitionIndex },
    #[error("topic '{name}' comes to be twice, with ids {first} and {second}")]
    TwoIds { name: String, first: TopicId, second: TopicId },
    #[error("a transaction of the controller begins within another")]
    NestedTransaction,
    #[error("a transaction of the controller ends that did not begin")]
    NoTransaction,
}

/// Limits by whom they are for: kinds and names, sorted.
pub type KafkaQuotas = BTreeMap<Vec<(String, Option<String>)>, BTreeMap<String, f64>>;

/// All of Kafka's metadata that outlives the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KafkaMetadata {
    pub topics: BTreeMap<TopicId, KafkaTopic>,
    pub configs: BTreeMap<(i8, String), BTreeMap<String, String>>,
    pub quotas: KafkaQuotas,
    /// The first producer id of no block; `None`: none was handed out.
    pub next_producer_id: Option<i64>,
    pub features: BTreeMap<String, i16>,
    pub scram: BTreeMap<(String, i8), ScramRecord>,
    pub acls: BTreeMap<Uuid, AclRecord>,
    pub tokens: BTreeMap<String, TokenRecord>,
    pub(super) names: BTreeMap<String, TopicId>,
    pub(super) zk_migration_state: i8,
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    pub name: String,
    pub partitions: BTreeMap<PartitionIndex, KafkaPartition>,
}

/// A partition as the controller had it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaPartition {
    pub replicas: Vec<i32>,
    /// By replica; empty where Kafka did not write them down.
    pub directories: Vec<Uuid>,
    pub isr: Vec<i32>,
    pub elr: Vec<i32>,
    pub leader: i32,
    pub leader_epoch: i32,
    pub is_recovering: bool,
}

impl KafkaMetadata {
    /// Whether anybody was to be kept out: users with passwords, rules, tokens.
    pub fn is_secured(&self) -> bool {
        !self.scram.is_empty() || !self.acls.is_empty() || !self.tokens.is_empty()
    }

    /// Whether a migration from ZooKeeper was under way, which leaves ZooKeeper in charge.
    pub fn is_migrating(&self) -> bool {
        MIGRATING.contains(&self.zk_migration_state)
    }

    fn apply(&mut self, record: MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Topic(topic) => self.add_topic(topic.name, topic.id)?,
            MetadataRecord::RemoveTopic(removed) => {
                let topic = self.topics.remove(&removed.id).ok_or(ReplayError::UnknownTopic(removed.id))?;
                self.names.remove(&topic.name);
                self.configs.remove(&(resource::TOPIC, topic.name));
            }
            MetadataRecord::Partition(partition) => {
                let topic = self.topic(partition.topic)?;
                topic.partitions.insert(partition.partition, partition.into());
            }
            MetadataRecord::PartitionChange(change) => self.change_partition(change)?,
            MetadataRecord::Config(config) => self.set_config(config),
            MetadataRecord::ClientQuota(quota) => self.set_quota(quota),
            MetadataRecord::ProducerIds(block) => self.next_producer_id = Some(block.next_producer_id),
            MetadataRecord::FeatureLevel(feature) => match feature.level {
                0 => drop(self.features.remove(&feature.name)),
                level => drop(self.features.insert(feature.name, level)),
            },
            MetadataRecord::UserScramCredential(scram) => {
                self.scram.insert((scram.user.clone(), scram.mechanism), scram);
            }
            MetadataRecord::RemoveUserScramCredential(removed) => {
                self.scram.remove(&(removed.user, removed.mechanism));
            }
            MetadataRecord::AccessControlEntry(acl) => drop(self.acls.insert(acl.id, acl)),
            MetadataRecord::RemoveAccessControlEntry(removed) => drop(self.acls.remove(&removed.id)),
            MetadataRecord::DelegationToken(token) => drop(self.tokens.insert(token.id.clone(), token)),
            MetadataRecord::RemoveDelegationToken(removed) => drop(self.tokens.remove(&removed.id)),
            MetadataRecord::ZkMigrationState(migration) => self.zk_migration_state = migration.state,
            MetadataRecord::ClearElr(cleared) => self.clear_elr(&cleared.topic),
            MetadataRecord::Passing
            | MetadataRecord::BeginTransaction
            | MetadataRecord::EndTransaction
            | MetadataRecord::AbortTransaction => {}
        }
        Ok(())
    }

    fn topic(&mut self, id: TopicId) -> Result<&mut KafkaTopic, ReplayError> {
        self.topics.get_mut(&id).ok_or(ReplayError::UnknownTopic(id))
    }

    fn add_topic(&mut self, name: String, id: TopicId) -> Result<(), ReplayError> {
        if let Some(&first) = self.names.get(&name) {
            return Err(ReplayError::TwoIds { name, first, second: id });
        }
        self.names.insert(name.clone(), id);
        self.topics.insert(id, KafkaTopic { name, partitions: BTreeMap::new() });
        Ok(())
    }

    fn change_partition(&mut self, change: PartitionChangeRecord) -> Result<(), ReplayError> {
        let topic = self.topic(change.topic)?;
        let Some(partition) = topic.partitions.get_mut(&change.partition) else {
            let topic = topic.name.clone();
            return Err(ReplayError::UnknownPartition { topic, partition: change.partition });
        };
        partition.change(change);
        Ok(())
    }

    fn set_config(&mut self, config: ConfigRecord) {
        let resource = (config.resource_type, config.resource_name);
        match config.value {
            Some(value) => drop(self.configs.entry(resource).or_default().insert(config.key, value)),
            None => {
                if let Some(settings) = self.configs.get_mut(&resource) {
                    settings.remove(&config.key);
                    if settings.is_empty() {
                        self.configs.remove(&resource);
                    }
                }
            }
        }
    }

    fn set_quota(&mut self, quota: ClientQuotaRecord) {
        let part = |part: QuotaEntityPart| (part.kind, part.name);
        let mut entity: Vec<_> = quota.entity.into_iter().map(part).collect();
        entity.sort_unstable();
        let values = self.quotas.entry(entity.clone()).or_default();
        match quota.value {
            Some(value) => drop(values.insert(quota.key, value)),
            None => drop(values.remove(&quota.key)),
        }
        if values.is_empty() {
            self.quotas.remove(&entity);
        }
    }

    fn clear_elr(&mut self, name: &str) {
        let cleared = self.topics.values_mut().filter(|topic| name.is_empty() || topic.name == name);
        cleared.flat_map(|topic| topic.partitions.values_mut()).for_each(|partition| partition.elr.clear());
    }
}

/// Numbers of AdminClient's resource types, as configurations have them.
pub mod resource {
    pub const TOPIC: i8 = 2;
    pub const BROKER: i8 = 4;
    pub const CLIENT_METRICS: i8 = 16;
    pub const GROUP: i8 = 32;
}

impl From<PartitionRecord> for KafkaPartition {
    fn from(record: PartitionRecord) -> Self {
        Self {
            replicas: record.replicas,
            directories: record.directories,
            isr: record.isr,
            elr: record.elr,
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            is_recovering: record.leader_recovery_state == 1,
        }
    }
}

impl KafkaPartition {
    fn change(&mut self, change: PartitionChangeRecord) {
        if let Some(replicas) = change.replicas {
            if change.directories.is_none() {
                self.directories.clear();
            }
            self.replicas = replicas;
        }
        if let Some(directories) = change.directories {
            self.directories = directories;
        }
        if let Some(isr) = change.isr {
            self.isr = isr;
        }
        if let Some(elr) = change.elr {
            self.elr = elr;
        }
        if change.leader_recovery_state != -1 {
            self.is_recovering = change.leader_recovery_state == 1;
        }
        // Every record that names a leader begins an epoch, be it the same leader or none.
        if change.leader != -2 {
            self.leader = change.leader;
            self.leader_epoch = self.leader_epoch.saturating_add(1);
        }
    }
}

/// Takes in one record after the other. What a transaction of the controller (KIP-868) changes counts once it ends.
#[derive(Debug, Default)]
pub struct Replay {
    metadata: KafkaMetadata,
    /// As it was when the open transaction began.
    before_transaction: Option<Box<KafkaMetadata>>,
}

impl Replay {
    pub fn take_in(&mut self, record: MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransaction if self.before_transaction.is_some() => {
                return Err(ReplayError::NestedTransaction);
            }
            MetadataRecord::BeginTransaction => self.before_transaction = Some(Box::new(self.metadata.clone())),
            MetadataRecord::EndTransaction => {
                self.before_transaction.take().ok_or(ReplayError::NoTransaction)?;
            }
            MetadataRecord::AbortTransaction => {
                self.metadata = *self.before_transaction.take().ok_or(ReplayError::NoTransaction)?;
            }
            record => return self.metadata.apply(record),
        }
        Ok(())
    }

    /// What it comes to. A transaction that is still open is undone, as the next controller would.
    pub fn finish(self) -> KafkaMetadata {
        self.before_transaction.map_or(self.metadata, |before| *before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adopt::metadata_records::{
        ClearElrRecord, FeatureLevelRecord, ProducerIdsRecord, RemoveTopicRecord, TopicRecord,
    };

    const ORDERS: TopicId = TopicId(Uuid::from_u128(1));

    fn topic(name: &str, id: TopicId) -> MetadataRecord {
        MetadataRecord::Topic(TopicRecord { name: name.to_owned(), id })
    }

    fn partition(index: i32) -> MetadataRecord {
        MetadataRecord::Partition(PartitionRecord {
            partition: index,
            topic: ORDERS,
            replicas: vec![1, 2],
            isr: vec![1, 2],
            removing: vec![],
            adding: vec![],
            leader: 2,
            leader_epoch: 4,
            directories: vec![Uuid::from_u128(7), Uuid::from_u128(8)],
            leader_recovery_state: 0,
            elr: vec![],
            last_known_elr: vec![],
        })
    }

    fn change(change: impl FnOnce(&mut PartitionChangeRecord)) -> MetadataRecord {
        let mut record = PartitionChangeRecord {
            partition: 0,
            topic: ORDERS,
            isr: None,
            leader: -2,
            replicas: None,
            removing: None,
            adding: None,
            leader_recovery_state: -1,
            elr: None,
            last_known_elr: None,
            directories: None,
        };
        change(&mut record);
        MetadataRecord::PartitionChange(record)
    }

    fn config(key: &str, value: Option<&str>) -> MetadataRecord {
        MetadataRecord::Config(ConfigRecord {
            resource_type: resource::TOPIC,
            resource_name: "orders".to_owned(),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        })
    }

    fn quota(value: Option<f64>) -> MetadataRecord {
        let part = |kind: &str| QuotaEntityPart { kind: kind.to_owned(), name: None };
        let entity = vec![part("user"), part("client-id")];
        MetadataRecord::ClientQuota(ClientQuotaRecord { entity, key: "producer_byte_rate".to_owned(), value })
    }

    fn replayed(records: impl IntoIterator<Item = MetadataRecord>) -> KafkaMetadata {
        let mut replay = Replay::default();
        records.into_iter().for_each(|record| replay.take_in(record).unwrap());
        replay.finish()
    }

    #[test]
    fn a_partition_follows_its_changes() {
        let metadata = replayed([
            topic("orders", ORDERS),
            partition(0),
            change(|change| (change.isr, change.leader) = (Some(vec![1]), 1)),
            change(|change| change.leader = -1),
            change(|change| change.elr = Some(vec![1])),
            change(|change| change.leader_recovery_state = 1),
        ]);
        let changed = &metadata.topics[&ORDERS].partitions[&0];
        assert_eq!((changed.leader, changed.leader_epoch), (-1, 6));
        assert_eq!((&changed.isr[..], &changed.elr[..]), (&[1][..], &[1][..]));
        assert!(changed.is_recovering);
        assert_eq!(changed.directories.len(), 2);

        let moved =
            replayed([topic("orders", ORDERS), partition(0), change(|change| change.replicas = Some(vec![1]))]);
        assert_eq!(moved.topics[&ORDERS].partitions[&0].directories, Vec::<Uuid>::new());
        let cleared = MetadataRecord::ClearElr(ClearElrRecord { topic: String::new() });
        let metadata =
            replayed([topic("orders", ORDERS), partition(0), change(|change| change.elr = Some(vec![1])), cleared]);
        assert_eq!(metadata.topics[&ORDERS].partitions[&0].elr, Vec::<i32>::new());
    }

    #[test]
    fn what_is_removed_is_gone() {
        let metadata = replayed([
            topic("orders", ORDERS),
            partition(0),
            config("retention.ms", Some("1")),
            quota(Some(1.0)),
            MetadataRecord::FeatureLevel(FeatureLevelRecord { name: "group.version".to_owned(), level: 1 }),
            config("retention.ms", None),
            quota(None),
            MetadataRecord::FeatureLevel(FeatureLevelRecord { name: "group.version".to_owned(), level: 0 }),
            config("segment.bytes", Some("1")),
            MetadataRecord::RemoveTopic(RemoveTopicRecord { id: ORDERS }),
        ]);
        assert_eq!(metadata, KafkaMetadata::default());
    }

    #[test]
    fn transactions_count_when_they_end() {
        let block = |next_producer_id| {
            MetadataRecord::ProducerIds(ProducerIdsRecord { broker: 1, broker_epoch: 1, next_producer_id })
        };
        let (begin, end, abort) =
            (MetadataRecord::BeginTransaction, MetadataRecord::EndTransaction, MetadataRecord::AbortTransaction);
        let next = |records: Vec<MetadataRecord>| replayed(records).next_producer_id;
        assert_eq!(next(vec![begin.clone(), block(1), end.clone(), block(2)]), Some(2));
        assert_eq!(next(vec![block(1), begin.clone(), block(2), abort]), Some(1));
        assert_eq!(next(vec![block(1), begin.clone(), block(2)]), Some(1), "left open");
        let mut replay = Replay::default();
        assert_eq!(replay.take_in(end), Err(ReplayError::NoTransaction));
        replay.take_in(begin.clone()).unwrap();
        assert_eq!(replay.take_in(begin), Err(ReplayError::NestedTransaction));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut replay = Replay::default();
        assert_eq!(replay.take_in(partition(0)), Err(ReplayError::UnknownTopic(ORDERS)));
        replay.take_in(topic("orders", ORDERS)).unwrap();
        let error = replay.take_in(change(|_| {})).unwrap_err().to_string();
        assert_eq!(error, "a change of partition 0 of topic 'orders', which is not there");
        let second = TopicId(Uuid::from_u128(2));
        assert!(matches!(replay.take_in(topic("orders", second)), Err(ReplayError::TwoIds { .. })));
    }
}
