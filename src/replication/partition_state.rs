//! The in-sync set and the high watermark of one partition, as its leader sees them. Pure.
//!
//! The high watermark is the least flushed offset over the in-sync replicas. It never goes back within an epoch, and
//! stands still while fewer replicas are in sync than `min.insync.replicas` asks for.

use std::collections::BTreeMap;

use crate::ids::{BrokerId, LeaderEpoch, Offset};
use crate::metadata::image::PartitionImage;
use crate::metadata::store::Revision;

/// What the leader of a partition knows of its replicas.
#[derive(Clone, Debug)]
pub struct PartitionState {
    local: BrokerId,
    leader: Option<BrokerId>,
    leader_epoch: LeaderEpoch,
    partition_epoch: Revision,
    replicas: Vec<BrokerId>,
    in_sync_replicas: Vec<BrokerId>,
    /// How far each replica has flushed, as far as it is known in this epoch.
    flushed: BTreeMap<BrokerId, Offset>,
    high_watermark: Offset,
    min_in_sync_replicas: usize,
}

impl PartitionState {
    /// A replica that leads nothing yet; `high_watermark` is what its last run had checkpointed.
    pub fn new(local: BrokerId, high_watermark: Offset) -> Self {
        Self {
            local,
            leader: None,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: Revision(-1),
            replicas: Vec::new(),
            in_sync_replicas: Vec::new(),
            flushed: BTreeMap::new(),
            high_watermark,
            min_in_sync_replicas: 1,
        }
    }

    /// Takes over what the metadata says. An image older than the one known is ignored.
    pub fn apply_image(&mut self, image: &PartitionImage) {
        if image.partition_epoch < self.partition_epoch {
            return;
        }
        if image.leader_epoch > self.leader_epoch {
            // What others had flushed was said to another leader.
            self.flushed.retain(|&broker, _| broker == self.local);
        }
        self.leader = image.leader;
        self.leader_epoch = image.leader_epoch;
        self.partition_epoch = image.partition_epoch;
        self.replicas.clone_from(&image.replicas);
        self.in_sync_replicas.clone_from(&image.isr);
    }

    pub fn set_min_in_sync_replicas(&mut self, min_in_sync_replicas: usize) {
        self.min_in_sync_replicas = min_in_sync_replicas;
    }

    /// Replica `broker` holds everything below `flushed` on its disk. Answers the high watermark if it moved.
    pub fn record_flushed(&mut self, broker: BrokerId, flushed: Offset) -> Option<Offset> {
        let known = self.flushed.entry(broker).or_insert(flushed);
        *known = flushed.max(*known);
        self.advance_high_watermark()
    }

    /// The high watermark, if what is known moves it.
    pub fn advance_high_watermark(&mut self) -> Option<Offset> {
        if !self.is_leader() || self.is_under_min_in_sync_replicas() {
            return None;
        }
        let committed =
            self.in_sync_replicas.iter().map(|broker| self.flushed.get(broker).copied()).min().flatten()?;
        (committed > self.high_watermark).then(|| {
            self.high_watermark = committed;
            committed
        })
    }

    pub fn is_leader(&self) -> bool {
        self.leader == Some(self.local)
    }

    /// Fewer in-sync replicas than `min.insync.replicas`, or than there are replicas where that is less.
    pub fn is_under_min_in_sync_replicas(&self) -> bool {
        self.in_sync_replicas.len() < self.min_in_sync_replicas.min(self.replicas.len())
    }

    pub fn is_replica(&self, broker: BrokerId) -> bool {
        self.replicas.contains(&broker)
    }

    pub fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn in_sync_count(&self) -> usize {
        self.in_sync_replicas.len()
    }

    /// Enough replicas are in sync for a write with acks=all: Kafka compares with the setting itself, so that a
    /// topic of one replica and `min.insync.replicas=2` refuses such writes.
    pub fn may_acknowledge_all(&self) -> bool {
        self.in_sync_replicas.len() >= self.min_in_sync_replicas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(leader: i32, epoch: i32, isr: &[i32]) -> PartitionImage {
        PartitionImage {
            replicas: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
            isr: isr.iter().map(|&id| BrokerId(id)).collect(),
            leader: Some(BrokerId(leader)),
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch: Revision(i64::from(epoch)),
            ..PartitionImage::hole()
        }
    }

    fn leading(isr: &[i32]) -> PartitionState {
        let mut state = PartitionState::new(BrokerId(1), Offset(5));
        state.apply_image(&image(1, 1, isr));
        state
    }

    #[test]
    fn a_sole_replica_commits_what_it_flushed() {
        let mut state = leading(&[1]);
        assert_eq!(state.record_flushed(BrokerId(1), Offset(9)), Some(Offset(9)));
        assert_eq!(state.record_flushed(BrokerId(1), Offset(8)), None);
        assert_eq!(state.high_watermark(), Offset(9));
    }

    #[test]
    fn the_slowest_in_sync_replica_holds_the_high_watermark() {
        let mut state = leading(&[1, 2]);
        assert_eq!(state.record_flushed(BrokerId(1), Offset(9)), None, "the other has not reported");
        assert_eq!(state.record_flushed(BrokerId(2), Offset(7)), Some(Offset(7)));
        assert_eq!(state.record_flushed(BrokerId(3), Offset(1)), None, "out of sync does not count");
    }

    #[test]
    fn the_high_watermark_stands_still_under_min_insync() {
        let mut state = leading(&[1]);
        state.set_min_in_sync_replicas(2);
        assert_eq!(state.record_flushed(BrokerId(1), Offset(9)), None);
        assert!(!state.may_acknowledge_all());
        state.set_min_in_sync_replicas(1);
        assert_eq!(state.advance_high_watermark(), Some(Offset(9)));
    }

    #[test]
    fn a_follower_and_an_old_image_change_nothing() {
        let mut state = leading(&[1]);
        state.apply_image(&image(2, 2, &[2]));
        assert_eq!(state.record_flushed(BrokerId(1), Offset(9)), None);
        state.apply_image(&image(1, 1, &[1]));
        assert_eq!(state.leader(), Some(BrokerId(2)));
    }
}
