//! Small clusters for the tests of the controller's rules.

use std::sync::Arc;

use uuid::Uuid;

use crate::ids::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch};
use crate::metadata::{BrokerImage, MetadataImage, PartitionImage, Revision};

/// The log directory of the broker of that number.
pub(super) fn directory(number: u128) -> DirectoryId {
    DirectoryId(Uuid::from_u128(number))
}

pub(super) fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// Brokers 1 to `count`, with one log directory each.
pub(super) fn cluster(count: i32) -> MetadataImage {
    let mut image = MetadataImage::default();
    for id in 1..=count {
        let broker = BrokerImage {
            id: BrokerId(id),
            epoch: BrokerEpoch(i64::from(id)),
            rack: None,
            endpoints: Vec::new(),
            directories: vec![directory(id as u128)],
        };
        image.brokers.insert(BrokerId(id), Arc::new(broker));
    }
    image
}

/// A partition of these replicas, led by the first that is in sync.
pub(super) fn partition(replicas: &[i32], isr: &[i32]) -> PartitionImage {
    PartitionImage {
        replicas: brokers(replicas),
        directories: replicas.iter().map(|&id| directory(id as u128)).collect(),
        isr: brokers(isr),
        leader: isr.first().copied().map(BrokerId),
        leader_epoch: LeaderEpoch(5),
        partition_epoch: Revision(3),
        ..PartitionImage::hole()
    }
}
