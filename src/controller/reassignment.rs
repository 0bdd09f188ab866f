//! Moving partitions to other brokers (KIP-455). Pure.
//!
//! ```text
//!  replicas 1 2          asked for 2 3
//!     │ begin:    replicas 2 3 1, adding 3, removing 1
//!     │           3 catches up and joins the ISR
//!     ▼ complete: replicas 2 3, isr without 1, a new leader epoch
//! ```
//! What needs nobody to catch up begins and completes at once.

use std::collections::BTreeSet;

use super::AdminError;
use super::election::led_by_in_sync;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, DirectoryId};
use crate::metadata::{LeaderRecoveryState, MetadataImage, PartitionImage};

/// The partition with `target` as its replicas, or on the way there. `None`: it is there already.
///
/// `place` says where a new replica lies on its broker; `target` is valid.
pub(super) fn reassign(
    image: &MetadataImage,
    partition: &PartitionImage,
    target: &[BrokerId],
    mut place: impl FnMut(BrokerId) -> DirectoryId,
) -> Option<PartitionImage> {
    let here = |id: &BrokerId| target.contains(id);
    let original: Vec<BrokerId> = without(&partition.replicas, &partition.adding);
    let adding: BTreeSet<BrokerId> = target.iter().copied().filter(|id| !original.contains(id)).collect();
    let removing: BTreeSet<BrokerId> = partition.replicas.iter().copied().filter(|id| !here(id)).collect();
    let replicas: Vec<BrokerId> = target.iter().copied().chain(removing.iter().copied()).collect();
    let directories =
        replicas.iter().map(|&id| if partition.is_replica(id) { partition.directory_of(id) } else { place(id) });
    let begun = PartitionImage {
        directories: directories.collect(),
        adding: adding.into_iter().collect(),
        removing: removing.into_iter().collect(),
        replicas,
        ..partition.clone()
    };
    let reassigned = complete(image, &begun).unwrap_or(begun);
    (reassigned != *partition).then_some(reassigned)
}

/// How many replicas the partition has, or is to have at the end of its reassignment.
pub(super) fn replication_factor(partition: &PartitionImage) -> usize {
    without(&partition.replicas, &partition.removing).len()
}

/// The partition at the end of its reassignment, if those who came are in sync. `None`: not yet, or none is under way.
pub(super) fn complete(image: &MetadataImage, partition: &PartitionImage) -> Option<PartitionImage> {
    if partition.adding.is_empty() && partition.removing.is_empty() {
        return None;
    }
    let replicas = without(&partition.replicas, &partition.removing);
    let isr = without(&partition.isr, &partition.removing);
    // Where nobody comes it is enough that somebody stays; Kafka asks for all of them, and so waits for no reason.
    if isr.is_empty() || !replicas.iter().all(|id| isr.contains(id)) {
        return None;
    }
    with_replicas(image, partition, replicas, isr)
}

/// The partition as it was before its reassignment began.
pub(super) fn cancel(
    image: &MetadataImage,
    partition: &PartitionImage,
    may_elect_uncleanly: impl FnOnce() -> bool,
) -> Result<PartitionImage, AdminError> {
    if partition.adding.is_empty() && partition.removing.is_empty() {
        return Err(AdminError::wordless(ErrorCode::NoReassignmentInProgress));
    }
    let replicas = without(&partition.replicas, &partition.adding);
    let mut isr = without(&partition.isr, &partition.adding);
    let is_unclean = isr.is_empty();
    if is_unclean && !may_elect_uncleanly() {
        let message = "Unable to revert the partition assignment: it would require an unclean leader election.";
        return Err(AdminError::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    if is_unclean {
        isr.extend(replicas.first());
    }
    let reverted = with_replicas(image, partition, replicas, isr)
        .ok_or_else(|| AdminError::new(ErrorCode::UnknownServerError, "No leader epochs are left."))?;
    let leader_recovery_state =
        if is_unclean { LeaderRecoveryState::Recovering } else { reverted.leader_recovery_state };
    Ok(PartitionImage { leader_recovery_state, ..reverted })
}

fn with_replicas(
    image: &MetadataImage,
    partition: &PartitionImage,
    replicas: Vec<BrokerId>,
    isr: Vec<BrokerId>,
) -> Option<PartitionImage> {
    let settled = PartitionImage {
        directories: replicas.iter().map(|&id| partition.directory_of(id)).collect(),
        elr: partition.elr.iter().copied().filter(|id| replicas.contains(id)).collect(),
        last_known_elr: partition.last_known_elr.iter().copied().filter(|id| replicas.contains(id)).collect(),
        adding: Vec::new(),
        removing: Vec::new(),
        replicas,
        isr,
        ..partition.clone()
    };
    led_by_in_sync(image, settled)
}

fn without(ids: &[BrokerId], gone: &[BrokerId]) -> Vec<BrokerId> {
    ids.iter().copied().filter(|id| !gone.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::{brokers, cluster, partition};
    use uuid::Uuid;

    const NEW: DirectoryId = DirectoryId(Uuid::from_u128(42));

    fn to(partition: &PartitionImage, target: &[i32]) -> Option<PartitionImage> {
        reassign(&cluster(4), partition, &brokers(target), |_| NEW)
    }

    #[test]
    fn where_it_is_already_nothing_happens() {
        assert_eq!(to(&partition(&[1, 2], &[1, 2]), &[1, 2]), None);
    }

    #[test]
    fn another_order_is_there_at_once_and_keeps_the_leader() {
        let before = partition(&[1, 2], &[1, 2]);
        let after = to(&before, &[2, 1]).unwrap();
        assert_eq!((after.replicas, after.leader, after.adding.len()), (brokers(&[2, 1]), before.leader, 0));
        assert_eq!(after.directories, [before.directories[1], before.directories[0]]);
        assert_eq!(after.leader_epoch, before.leader_epoch);
    }

    #[test]
    fn fewer_replicas_are_there_at_once_with_a_new_leader() {
        let before = partition(&[1, 2, 3], &[1, 2, 3]);
        let after = to(&before, &[3, 2]).unwrap();
        assert_eq!((after.replicas, after.isr), (brokers(&[3, 2]), brokers(&[2, 3])));
        assert_eq!((after.leader, after.leader_epoch.0), (Some(BrokerId(3)), before.leader_epoch.0 + 1));
        assert!(after.removing.is_empty());
    }

    #[test]
    fn a_new_replica_catches_up_first() {
        let before = partition(&[1, 2], &[1, 2]);
        let mut begun = to(&before, &[2, 3]).unwrap();
        assert_eq!((&begun.replicas, &begun.isr), (&brokers(&[2, 3, 1]), &before.isr));
        assert_eq!((&begun.adding, &begun.removing), (&brokers(&[3]), &brokers(&[1])));
        assert_eq!((begun.directories[1], begun.leader), (NEW, before.leader));
        assert_eq!(complete(&cluster(4), &begun), None);
        begun.isr.push(BrokerId(3));
        let done = complete(&cluster(4), &begun).unwrap();
        assert_eq!((done.replicas, done.isr, done.leader), (brokers(&[2, 3]), brokers(&[2, 3]), Some(BrokerId(2))));
    }

    #[test]
    fn a_changed_mind_keeps_the_original_apart_from_what_was_added() {
        let begun = to(&partition(&[1], &[1]), &[2]).unwrap();
        let both = to(&begun, &[2, 1]).unwrap();
        assert_eq!((&both.replicas, &both.adding), (&brokers(&[2, 1]), &brokers(&[2])));
        assert!(both.removing.is_empty());
        let back = to(&begun, &[1]).unwrap();
        assert_eq!((back.replicas, back.adding, back.removing), (brokers(&[1]), vec![], vec![]));
    }

    #[test]
    fn the_replication_factor_is_that_of_the_target() {
        let before = partition(&[1], &[1]);
        assert_eq!(replication_factor(&before), 1);
        assert_eq!(replication_factor(&to(&before, &[2, 3]).unwrap()), 2);
    }

    #[test]
    fn a_cancelled_reassignment_leaves_what_was_there() {
        let before = partition(&[1, 2], &[1, 2]);
        let mut begun = to(&before, &[2, 3]).unwrap();
        let back = cancel(&cluster(4), &begun, || false).unwrap();
        assert_eq!((back.replicas, back.isr), (brokers(&[2, 1]), before.isr.clone()));
        assert!(back.adding.is_empty() && back.removing.is_empty());
        begun.isr = brokers(&[3]);
        let refused = cancel(&cluster(4), &begun, || false).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidReplicaAssignment);
        let unclean = cancel(&cluster(4), &begun, || true).unwrap();
        assert_eq!((unclean.isr, unclean.leader), (brokers(&[2]), Some(BrokerId(2))));
        assert_eq!(cancel(&cluster(4), &before, || false).unwrap_err().code, ErrorCode::NoReassignmentInProgress);
    }
}
