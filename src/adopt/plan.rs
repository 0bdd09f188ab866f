//! What is taken over and what is not: decided from Kafka's metadata and what lies in the directories.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::kafka_metadata::{KafkaMetadata, KafkaPartition, KafkaQuotas, KafkaTopic, resource};
use super::metadata_records::{AclRecord, ScramRecord, TokenRecord};
use super::survey::{FoundLog, Survey};
use crate::config::alter::{self, Target};
use crate::config::{BrokerConfig, ConfigOverrides, Layers};
use crate::ids::{BrokerId, DirectoryId, LeaderEpoch, PartitionIndex, TopicId, TopicPartition};
use crate::metadata::features::{Feature, METADATA_VERSION};
use crate::metadata::image::MAX_TOPIC_PARTITIONS;
use crate::metadata::keys::ConfigResource;
use crate::metadata::quotas::{CLIENT_ID, EntityName, IP, QuotaEntity, QuotaValues, USER};

/// Why nothing is taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(
        "a migration from ZooKeeper is under way, and ZooKeeper is in charge until it has ended: finish it first"
    )]
    Migrating,
    #[error("{METADATA_VERSION} {found} is newer than {newest}, the newest known")]
    NewerFeatures { found: i16, newest: i16 },
    #[error("topic '{topic}' has a partition {partition}, where 0 to {} may be", MAX_TOPIC_PARTITIONS - 1)]
    PartitionNumber { topic: String, partition: PartitionIndex },
}

/// All that is taken over, and what is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub topics: Vec<PlannedTopic>,
    pub configs: BTreeMap<ConfigResource, ConfigOverrides>,
    pub quotas: BTreeMap<QuotaEntity, QuotaValues>,
    pub next_producer_id: i64,
    pub scram: Vec<ScramRecord>,
    pub acls: Vec<AclRecord>,
    pub tokens: Vec<TokenRecord>,
    pub left_out: Vec<LeftOut>,
    /// What is taken over and worth knowing.
    pub notes: Vec<String>,
}

/// A topic; partitions that are not among its own are known by number only, and offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTopic {
    pub name: String,
    pub id: TopicId,
    pub partition_count: i32,
    pub partitions: Vec<PlannedPartition>,
}

/// A partition that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPartition {
    pub partition: PartitionIndex,
    pub directory: DirectoryId,
    /// The newest that Kafka used.
    pub leader_epoch: LeaderEpoch,
}

/// Something that stays behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub what: String,
    pub reason: String,
}

impl Plan {
    /// Decides what node `config.node_id` takes over.
    pub fn decide(config: &BrokerConfig, kafka: KafkaMetadata, survey: &Survey) -> Result<Self, PlanError> {
        if kafka.is_migrating() {
            return Err(PlanError::Migrating);
        }
        check_features(&kafka)?;
        let mut plan = Self { next_producer_id: kafka.next_producer_id.unwrap_or(0), ..Self::default() };
        plan.take_configs(config, &kafka);
        let mut elsewhere = 0;
        for (id, topic) in &kafka.topics {
            plan.take_topic(config, *id, topic, survey, &mut elsewhere)?;
        }
        plan.topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        if elsewhere > 0 {
            plan.notes
                .push(format!("{elsewhere} partitions had replicas on other nodes: they have this one alone now"));
        }
        plan.leave_strays(&kafka, survey);
        plan.take_quotas(kafka.quotas);
        plan.scram = kafka.scram.into_values().collect();
        plan.acls = kafka.acls.into_values().collect();
        plan.tokens = kafka.tokens.into_values().collect();
        Ok(plan)
    }

    /// What would keep clients out of Kafka, and does not keep them out of here; none: nothing.
    pub fn security(&self) -> Option<String> {
        let (scram, acls, tokens) = (self.scram.len(), self.acls.len(), self.tokens.len());
        let counts = [(scram, "SCRAM credentials"), (acls, "ACLs"), (tokens, "delegation tokens")];
        let present: Vec<_> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        (!present.is_empty()).then(|| present.join(", "))
    }

    pub fn partition_count(&self) -> usize {
        self.topics.iter().map(|topic| topic.partitions.len()).sum()
    }

    fn take_topic(
        &mut self,
        config: &BrokerConfig,
        id: TopicId,
        topic: &KafkaTopic,
        survey: &Survey,
        elsewhere: &mut usize,
    ) -> Result<(), PlanError> {
        let name = &topic.name;
        let is_number = |number: PartitionIndex| (0..MAX_TOPIC_PARTITIONS).contains(&number);
        if let Some(&partition) = topic.partitions.keys().find(|number| !is_number(**number)) {
            return Err(PlanError::PartitionNumber { topic: name.clone(), partition });
        }
        let Some(last) = topic.partitions.keys().next_back() else {
            self.leave(format!("topic '{name}'"), "it has no partitions");
            return Ok(());
        };
        let settings = self.configs.get(&ConfigResource::Topic(name.as_str().into()));
        let is_tiered = settings.and_then(|settings| settings.get("remote.storage.enable"));
        let is_tiered = is_tiered.is_some_and(|value| value.trim() == "true");
        let mut planned = PlannedTopic { name: name.clone(), id, partition_count: last + 1, partitions: Vec::new() };
        for index in 0..=*last {
            let at = TopicPartition::new(name.as_str(), index);
            let found = survey.logs.get(&at);
            let judged = match topic.partitions.get(&index) {
                None => Err("Kafka's metadata does not have it".to_owned()),
                Some(_) if is_tiered => Err("its older records lie in tiered storage".to_owned()),
                Some(partition) => judge(config.node_id, id, partition, found, survey),
            };
            match judged {
                Ok(partition) => planned.partitions.push(PlannedPartition { partition: index, ..partition }),
                Err(reason) => self.leave(format!("partition {at}"), reason),
            }
            let replicas = topic.partitions.get(&index).map_or(0, |partition| partition.replicas.len());
            *elsewhere += usize::from(replicas > 1);
        }
        self.topics.push(planned);
        Ok(())
    }

    fn leave(&mut self, what: String, reason: impl Into<String>) {
        self.left_out.push(LeftOut { what, reason: reason.into() });
    }

    /// Folders of topics that the metadata does not have: Kafka sets them aside at its start.
    fn leave_strays(&mut self, kafka: &KafkaMetadata, survey: &Survey) {
        let names: BTreeSet<&str> = kafka.topics.values().map(|topic| topic.name.as_str()).collect();
        for (partition, found) in &survey.logs {
            if !names.contains(&*partition.topic) {
                self.leave(format!("folder {}", found.path.display()), "Kafka's metadata has no such topic");
            }
        }
        for path in &survey.left_alone {
            self.leave(format!("folder {}", path.display()), "it is no partition's, or was set aside");
        }
        for path in &survey.futures {
            self.leave(
                format!("folder {}", path.display()),
                "a copy on its way to another directory: it goes on moving later",
            );
        }
        for path in &survey.deleted {
            self.leave(format!("folder {}", path.display()), "of a deleted topic: it is removed later");
        }
        for (path, reason) in &survey.offline {
            self.leave(format!("log directory {}", path.display()), reason.clone());
        }
    }

    fn take_configs(&mut self, config: &BrokerConfig, kafka: &KafkaMetadata) {
        for ((kind, name), settings) in &kafka.configs {
            let resource = match *kind {
                resource::TOPIC => ConfigResource::Topic(name.as_str().into()),
                resource::GROUP => ConfigResource::Group(name.as_str().into()),
                resource::CLIENT_METRICS => ConfigResource::ClientMetrics(name.as_str().into()),
                resource::BROKER if name.is_empty() => ConfigResource::ClusterDefault,
                resource::BROKER => match name.parse() {
                    Ok(id) if id >= 0 => ConfigResource::Broker(BrokerId(id)),
                    _ => {
                        self.leave(format!("settings of broker '{name}'"), "that is no broker's number");
                        continue;
                    }
                },
                other => {
                    self.leave(format!("settings of '{name}'"), format!("resource type {other} is not known"));
                    continue;
                }
            };
            self.configs.insert(resource, settings.clone());
        }
        self.note_unhonoured(config);
    }

    /// Settings are kept as they are, those too that mean nothing here; which these are is said.
    fn note_unhonoured(&mut self, config: &BrokerConfig) {
        let none = ConfigOverrides::new();
        let layers = Layers {
            config,
            cluster_default: self.configs.get(&ConfigResource::ClusterDefault).unwrap_or(&none),
            broker: self.configs.get(&ConfigResource::Broker(config.node_id)).unwrap_or(&none),
        };
        let mut notes = Vec::new();
        for (resource, settings) in &self.configs {
            let (target, whose) = match resource {
                ConfigResource::Topic(name) => (Target::Topic, format!("topic '{name}'")),
                ConfigResource::Group(name) => (Target::Group, format!("group '{name}'")),
                ConfigResource::ClusterDefault => {
                    (Target::Broker(alter::BrokerTarget::AllBrokers), "all brokers".to_owned())
                }
                ConfigResource::Broker(id) if *id == config.node_id => {
                    (Target::Broker(alter::BrokerTarget::ThisBroker), "this broker".to_owned())
                }
                ConfigResource::Broker(_) | ConfigResource::ClientMetrics(_) => continue,
            };
            for (key, value) in settings {
                if let Err(error) = alter::replace(&layers, target, &[(key, Some(value))]) {
                    notes.push(format!("setting {key} of {whose} is kept, but not honoured: {error}"));
                }
            }
        }
        self.notes.extend(notes);
    }

    fn take_quotas(&mut self, quotas: KafkaQuotas) {
        for (entity, values) in quotas {
            match quota_entity(&entity) {
                Some(entity) if values.values().all(|value| value.is_finite()) => {
                    drop(self.quotas.insert(entity, values));
                }
                Some(entity) => self.leave(format!("a quota of {entity}"), "its value is no number"),
                None => self.leave(format!("a quota of {entity:?}"), "such clients are not known"),
            }
        }
    }
}

/// Levels of features that change what records mean. Others are this build's own.
fn check_features(kafka: &KafkaMetadata) -> Result<(), PlanError> {
    let newest = Feature::named(METADATA_VERSION).map_or(i16::MAX, |feature| feature.max_level);
    match kafka.features.get(METADATA_VERSION) {
        Some(&found) if found > newest => Err(PlanError::NewerFeatures { found, newest }),
        _ => Ok(()),
    }
}

/// A partition that this node can serve, or why it can't.
fn judge(
    node: BrokerId,
    topic: TopicId,
    partition: &KafkaPartition,
    found: Option<&FoundLog>,
    survey: &Survey,
) -> Result<PlannedPartition, String> {
    if !partition.replicas.contains(&node.0) {
        return Err(format!("its replicas are on other nodes: {:?}", partition.replicas));
    }
    // A replica that left the ISR by a clean stop has all that was committed (KIP-966).
    let is_eligible = partition.elr.contains(&node.0) && survey.was_clean;
    if !partition.isr.contains(&node.0) && !is_eligible {
        return Err(format!("this node was not in sync; those in sync: {:?}", partition.isr));
    }
    if partition.is_recovering {
        return Err("its leader was elected uncleanly and had not recovered".to_owned());
    }
    let Some(found) = found else {
        let missing = "its folder is missing".to_owned();
        return Err(if survey.offline.is_empty() {
            missing
        } else {
            missing + ", or in a log directory that can't be opened"
        });
    };
    if let Some(obstacle) = &found.obstacle {
        return Err(obstacle.clone());
    }
    if let Some(other) = found.topic_id.filter(|id| *id != topic) {
        return Err(format!("its folder belongs to topic id {other}, and the topic has {topic}"));
    }
    let in_file = found.latest_epoch.map_or(0, |epoch| epoch.0);
    let leader_epoch = LeaderEpoch(partition.leader_epoch.max(in_file).max(0));
    Ok(PlannedPartition { partition: 0, directory: found.directory, leader_epoch })
}

fn quota_entity(parts: &[(String, Option<String>)]) -> Option<QuotaEntity> {
    let name = |name: &Option<String>| EntityName::new(name.as_deref());
    // Sorted by kind: the client id comes first.
    match parts {
        [(kind, ip)] if kind == IP => Some(QuotaEntity::Ip(name(ip))),
        [(kind, client)] if kind == CLIENT_ID => Some(QuotaEntity::Client(name(client))),
        [(kind, user)] if kind == USER => Some(QuotaEntity::User(name(user))),
        [(first, client), (second, user)] if first == CLIENT_ID && second == USER => {
            Some(QuotaEntity::UserClient(name(user), name(client)))
        }
        _ => None,
    }
}
