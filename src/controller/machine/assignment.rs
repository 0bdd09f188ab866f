//! Replicas that the client names itself.

use std::collections::{BTreeMap, BTreeSet};

use super::NewTopic;
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::metadata::MetadataImage;

fn refuse<T>(message: impl Into<String>) -> Result<T, AdminError> {
    Err(AdminError::new(ErrorCode::InvalidReplicaAssignment, message))
}

/// The replicas of a new topic, by partition.
pub(super) fn of_new_topic(image: &MetadataImage, new: &NewTopic) -> Result<Vec<Vec<BrokerId>>, AdminError> {
    let not_both = |what: &str| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(AdminError::new(ErrorCode::InvalidRequest, message))
    };
    if new.replication_factor != -1 {
        return not_both("replication factor");
    }
    if new.partitions != -1 {
        return not_both("numPartitions");
    }
    let mut by_partition = BTreeMap::new();
    let mut replication_factor = None;
    for (partition, replicas) in &new.assignments {
        if by_partition.contains_key(partition) {
            return refuse(format!("Found multiple manual partition assignments for partition {partition}"));
        }
        check(image, replicas, replication_factor)?;
        replication_factor = Some(replicas.len());
        by_partition.insert(*partition, replicas.clone());
    }
    if !by_partition.keys().copied().eq(0..new.assignments.len() as i32) {
        return refuse("partitions should be a consecutive 0-based integer sequence");
    }
    Ok(by_partition.into_values().collect())
}

/// The replicas of partitions that a topic gets besides those it has.
pub(super) fn of_new_partitions(
    image: &MetadataImage,
    assignments: &[Vec<BrokerId>],
    additional: i32,
    replication_factor: usize,
) -> Result<Vec<Vec<BrokerId>>, AdminError> {
    if assignments.len() != additional as usize {
        return refuse(format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        ));
    }
    for replicas in assignments {
        check(image, replicas, Some(replication_factor))?;
    }
    Ok(assignments.to_vec())
}

/// Refuses replicas that nobody could have.
pub(in crate::controller) fn check(
    image: &MetadataImage,
    replicas: &[BrokerId],
    expected: Option<usize>,
) -> Result<(), AdminError> {
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.");
    }
    let mut seen = BTreeSet::new();
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for id in sorted {
        if image.broker(id).is_none() {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if !seen.insert(id) {
            return refuse(format!("The manual partition assignment includes the broker {id} more than once."));
        }
    }
    match expected {
        Some(expected) if expected != replicas.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {expected} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}
