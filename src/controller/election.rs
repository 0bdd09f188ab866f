//! Who leads a partition. Pure.
//!
//! Only a replica that is in sync is elected, unless the client asks for an unclean election: then the first one that
//! is there, and records that it lacks are lost (KIP-460).

use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch};
use crate::metadata::{LeaderRecoveryState, MetadataImage, PartitionImage};

/// What kind of leader a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica of the list.
    Preferred,
    /// Any replica, in sync or not, where there is no leader.
    Unclean,
}

/// Whether a replica could lead: its broker is registered, with the log directory that holds it.
pub(super) fn is_electable(image: &MetadataImage, partition: &PartitionImage, broker: BrokerId) -> bool {
    image.broker(broker).is_some_and(|registered| registered.has_directory(partition.directory_of(broker)))
}

/// The partition after an election, or Kafka's code for why there is none.
pub(super) fn elect(
    image: &MetadataImage,
    partition: &PartitionImage,
    kind: ElectionType,
) -> Result<PartitionImage, ErrorCode> {
    let preferred = partition.replicas.first().copied();
    let is_needed = match kind {
        ElectionType::Preferred => partition.leader.is_none() || partition.leader != preferred,
        ElectionType::Unclean => partition.leader.is_none(),
    };
    if !is_needed {
        return Err(ErrorCode::ElectionNotNeeded);
    }
    let is_in_sync = |broker: &BrokerId| partition.isr.contains(broker) && is_electable(image, partition, *broker);
    let in_sync = match preferred.filter(is_in_sync) {
        Some(preferred) => Some(preferred),
        None if partition.leader.is_none() => partition.replicas.iter().copied().find(is_in_sync),
        None => None,
    };
    if let Some(leader) = in_sync {
        return led_by(partition.clone(), Some(leader)).ok_or(ErrorCode::UnknownServerError);
    }
    if kind == ElectionType::Preferred {
        return Err(ErrorCode::PreferredLeaderNotAvailable);
    }
    let any = partition.replicas.iter().copied().find(|&broker| is_electable(image, partition, broker));
    let leader = any.ok_or(ErrorCode::EligibleLeadersNotAvailable)?;
    let mut elected = led_by(partition.clone(), Some(leader)).ok_or(ErrorCode::UnknownServerError)?;
    elected.isr = vec![leader];
    elected.elr.clear();
    elected.last_known_elr.clear();
    elected.leader_recovery_state = LeaderRecoveryState::Recovering;
    Ok(elected)
}

/// The partition with a leader that is one of its in-sync replicas, in a new epoch: the one it has, if that may stay.
pub(super) fn led_by_in_sync(image: &MetadataImage, partition: PartitionImage) -> Option<PartitionImage> {
    let may_lead = |broker: &BrokerId| partition.isr.contains(broker) && is_electable(image, &partition, *broker);
    let leader = partition.leader.filter(may_lead).or_else(|| partition.replicas.iter().copied().find(may_lead));
    led_by(partition, leader)
}

/// `None`: no epochs are left.
fn led_by(mut partition: PartitionImage, leader: Option<BrokerId>) -> Option<PartitionImage> {
    partition.leader = leader;
    partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0.checked_add(1)?);
    Some(partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::{brokers, cluster, directory, partition};

    /// Elects in a cluster of brokers 1 and 2, of a partition on brokers 1, 2 and 3.
    fn elected(kind: ElectionType, leader: i32, isr: &[i32]) -> Result<(i32, Vec<BrokerId>), ErrorCode> {
        let mut before = partition(&[1, 2, 3], isr);
        before.leader = (leader > 0).then_some(BrokerId(leader));
        let after = elect(&cluster(2), &before, kind)?;
        assert_eq!(after.leader_epoch.0, before.leader_epoch.0 + 1);
        Ok((after.leader.unwrap().0, after.isr))
    }

    #[test]
    fn the_preferred_leader_leads_if_it_is_in_sync() {
        use ElectionType::Preferred;
        assert_eq!(elected(Preferred, 1, &[1, 2]), Err(ErrorCode::ElectionNotNeeded));
        assert_eq!(elected(Preferred, 2, &[1, 2]), Ok((1, brokers(&[1, 2]))));
        assert_eq!(elected(Preferred, 2, &[2]), Err(ErrorCode::PreferredLeaderNotAvailable));
        assert_eq!(elected(Preferred, 0, &[2]), Ok((2, brokers(&[2]))), "any in-sync replica is better than none");
        assert_eq!(elected(Preferred, 0, &[3]), Err(ErrorCode::PreferredLeaderNotAvailable), "3 is not there");
    }

    #[test]
    fn an_unclean_election_takes_who_is_there() {
        use ElectionType::Unclean;
        assert_eq!(elected(Unclean, 2, &[2]), Err(ErrorCode::ElectionNotNeeded));
        assert_eq!(elected(Unclean, 0, &[2]), Ok((2, brokers(&[2]))), "clean where that is possible");
        assert_eq!(elected(Unclean, 0, &[3]), Ok((1, brokers(&[1]))));
        let nobody = elect(&cluster(0), &PartitionImage { leader: None, ..partition(&[1], &[1]) }, Unclean);
        assert_eq!(nobody, Err(ErrorCode::EligibleLeadersNotAvailable));
    }

    #[test]
    fn a_replica_whose_directory_is_gone_leads_nothing() {
        let mut lost = partition(&[1, 2], &[1, 2]);
        lost.leader = Some(BrokerId(2));
        lost.directories = vec![directory(99), directory(2)];
        let result = elect(&cluster(2), &lost, ElectionType::Preferred);
        assert_eq!(result, Err(ErrorCode::PreferredLeaderNotAvailable));
    }
}
