//! The rules of topics and partitions: what may be created, and what it then is. Pure.
//!
//! Errors have Kafka's codes and its words, because people search for them.

pub(super) mod assignment;
mod features;
mod names;
mod quotas;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rand::Rng;

pub(super) use self::features::plan_features;
pub use self::features::{FeatureUpdate, LevelChange};
pub use self::names::{TopicNames, validate_topic_name};
pub use self::quotas::{QuotaFilter, QuotaOp, change_quotas, quota_entity};
use super::AdminError;
use super::placement::{UsableBroker, place};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, DirectoryId, LeaderEpoch, PartitionIndex, TopicId};
use crate::metadata::image::{ConfigOverrides, MAX_TOPIC_PARTITIONS};
use crate::metadata::{LeaderRecoveryState, MetadataImage, PartitionImage, Revision, TopicImage};

/// The most partitions that one request may create, as in Kafka.
const MAX_NEW_PARTITIONS: i64 = 10_000;

/// A topic to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// -1: the broker's default, or what `assignments` say.
    pub partitions: i32,
    /// -1: the broker's default, or what `assignments` say.
    pub replication_factor: i16,
    /// Replicas by partition; empty: the controller places them.
    pub assignments: Vec<(PartitionIndex, Vec<BrokerId>)>,
    /// Already validated.
    pub configs: ConfigOverrides,
}

/// What `-1` means for a new topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    pub partitions: i32,
    pub replication_factor: i16,
}

/// A topic that was created, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: ConfigOverrides,
}

/// A topic to delete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// A topic to enlarge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    pub topic: String,
    /// How many there shall be in all.
    pub count: i32,
    /// Replicas of each new partition; none: the controller places them.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// What a new topic will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicPlan {
    pub(super) name: String,
    pub(super) id: TopicId,
    pub(super) partitions: Vec<PartitionImage>,
    pub(super) configs: ConfigOverrides,
}

impl TopicPlan {
    pub(super) fn describe(&self) -> CreatedTopic {
        CreatedTopic {
            name: self.name.clone(),
            id: self.id,
            partitions: self.partitions.len() as i32,
            replication_factor: self.partitions.first().map_or(0, |partition| partition.replicas.len() as i16),
            configs: self.configs.clone(),
        }
    }
}

/// Decides what a new topic will be, or why it can't.
pub(super) fn plan_topic(
    image: &MetadataImage,
    names: &TopicNames<'_>,
    new: &NewTopic,
    id: TopicId,
    defaults: TopicDefaults,
    random: &mut impl Rng,
) -> Result<TopicPlan, AdminError> {
    names.check_new(&new.name)?;
    let replicas = if new.assignments.is_empty() {
        place_topic(image, new, defaults, random)?
    } else {
        assignment::of_new_topic(image, new)?
    };
    let partitions = build_partitions(image, replicas);
    Ok(TopicPlan { name: new.name.clone(), id, partitions, configs: new.configs.clone() })
}

fn place_topic(
    image: &MetadataImage,
    new: &NewTopic,
    defaults: TopicDefaults,
    random: &mut impl Rng,
) -> Result<Vec<Vec<BrokerId>>, AdminError> {
    if new.replication_factor < -1 || new.replication_factor == 0 {
        return Err(AdminError::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ));
    }
    if new.partitions < -1 || new.partitions == 0 {
        return Err(AdminError::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ));
    }
    let partitions = if new.partitions == -1 { defaults.partitions } else { new.partitions };
    let replication_factor =
        if new.replication_factor == -1 { defaults.replication_factor } else { new.replication_factor };
    place(&usable_brokers(image), partitions as usize, replication_factor, random).map_err(|error| {
        let message = format!("Unable to replicate the partition {replication_factor} time(s): {}", error.message);
        AdminError::new(error.code, message)
    })
}

/// Refuses a whole request that asks for too much.
pub(super) fn check_request(topics: &[NewTopic], defaults: TopicDefaults) -> Result<(), AdminError> {
    let partitions = topics.iter().map(|topic| match (topic.assignments.len(), topic.partitions) {
        (0, -1) => i64::from(defaults.partitions),
        (0, partitions) => i64::from(partitions.max(0)),
        (assigned, _) => assigned as i64,
    });
    check_size(partitions.sum())
}

fn check_size(new_partitions: i64) -> Result<(), AdminError> {
    if new_partitions > MAX_NEW_PARTITIONS {
        let message = "Excessively large number of partitions per request.";
        return Err(AdminError::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

/// Decides which partitions a topic gets besides those it has; the first of them is `topic.partitions.len()`.
pub(super) fn plan_partitions(
    image: &MetadataImage,
    topic: &TopicImage,
    new: &NewPartitions,
    random: &mut impl Rng,
) -> Result<Vec<PartitionImage>, AdminError> {
    let refuse = |message| Err(AdminError::new(ErrorCode::InvalidPartitions, message));
    let existing = topic.partitions.len() as i32;
    if new.count == existing {
        return refuse(format!("Topic already has {existing} partition(s)."));
    }
    if new.count < existing {
        return refuse(format!(
            "The topic {} currently has {existing} partition(s); {} would not be an increase.",
            topic.name, new.count
        ));
    }
    if new.count > MAX_TOPIC_PARTITIONS {
        return refuse(format!("A topic has at most {MAX_TOPIC_PARTITIONS} partitions."));
    }
    let additional = new.count - existing;
    check_size(i64::from(additional))?;
    let replication_factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    let replicas = match &new.assignments {
        Some(assignments) => assignment::of_new_partitions(image, assignments, additional, replication_factor)?,
        None => place(&usable_brokers(image), additional as usize, replication_factor as i16, random)?,
    };
    Ok(build_partitions(image, replicas))
}

fn usable_brokers(image: &MetadataImage) -> Vec<UsableBroker> {
    image.brokers.values().map(|broker| UsableBroker { id: broker.id, rack: broker.rack.clone() }).collect()
}

/// New partitions with these replicas. Who is registered is in sync, for there is nothing to catch up with.
fn build_partitions(image: &MetadataImage, replicas: Vec<Vec<BrokerId>>) -> Vec<PartitionImage> {
    let mut directories = DirectoryLoad::of(image);
    let build = |replicas: Vec<BrokerId>| {
        let isr: Vec<BrokerId> = replicas.iter().copied().filter(|&id| image.broker(id).is_some()).collect();
        PartitionImage {
            directories: replicas.iter().map(|&id| directories.least_loaded(image, id)).collect(),
            leader: isr.first().copied(),
            isr,
            replicas,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: Revision(0),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            adding: Vec::new(),
            removing: Vec::new(),
        }
    };
    replicas.into_iter().map(build).collect()
}

/// How many replicas each log directory has, where a broker has several.
pub(super) struct DirectoryLoad {
    replicas: BTreeMap<DirectoryId, usize>,
}

impl DirectoryLoad {
    pub(super) fn of(image: &MetadataImage) -> Self {
        let choices = image.brokers.values().filter(|broker| broker.directories.len() > 1);
        let mut replicas: BTreeMap<_, usize> =
            choices.flat_map(|broker| &broker.directories).map(|&directory| (directory, 0)).collect();
        if !replicas.is_empty() {
            let partitions = image.topics().flat_map(|topic| &topic.partitions);
            for directory in partitions.flat_map(|partition| &partition.directories) {
                if let Some(count) = replicas.get_mut(directory) {
                    *count += 1;
                }
            }
        }
        Self { replicas }
    }

    /// Where a new replica on `broker` goes. Unknown, as Kafka's zero id says, where the broker is not registered.
    pub(super) fn least_loaded(&mut self, image: &MetadataImage, broker: BrokerId) -> DirectoryId {
        let known = image.broker(broker).map_or(&[][..], |broker| &broker.directories);
        let count = |directory| self.replicas.get(directory).copied().unwrap_or(0);
        let chosen = known.iter().min_by_key(|directory| count(directory)).copied().unwrap_or_default();
        if let Some(count) = self.replicas.get_mut(&chosen) {
            *count += 1;
        }
        chosen
    }
}

/// What a partition becomes when `broker` has registered anew, before it may append there: it leads in a new epoch.
/// If the log directory that held its replica is gone, so is what it had: it must not lead, nor pretend to.
///
/// `None`: the partition does not change.
pub(super) fn renew_leader_epoch(
    partition: &PartitionImage,
    broker: BrokerId,
    directories: &[DirectoryId],
) -> Option<PartitionImage> {
    let leads = partition.leader == Some(broker);
    let could_lead = partition.leader.is_none() && partition.isr.contains(&broker);
    if !leads && !could_lead {
        return None;
    }
    let recorded = partition.directory_of(broker);
    // Brokers without directory ids, and replicas without a recorded place, are taken at their word.
    let at_hand = directories.is_empty() || recorded == DirectoryId::default() || directories.contains(&recorded);
    if !at_hand && !leads {
        return None;
    }
    let mut renewed = partition.clone();
    renewed.leader = at_hand.then_some(broker);
    renewed.leader_epoch = LeaderEpoch(partition.leader_epoch.0.checked_add(1)?);
    Some(renewed)
}
