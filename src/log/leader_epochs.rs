//! Which leader epoch began at which offset: what truncation after a change of leaders goes by (KIP-101, KIP-279).
//!
//! Owns: [`LeaderEpochs`] of one partition, and the text of its `leader-epoch-checkpoint`.
//! Never does: I/O.
//!
//! ```text
//!   0            version
//!   2            number of entries
//!   0 0          epoch, start offset
//!   3 1200
//! ```

use crate::ids::{LeaderEpoch, Offset};

use super::checkpoint_text::{self, TextError};

/// The file that keeps it, in the partition's folder.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";

/// A longer one is refused.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 20;

/// Where one epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// The epochs of one partition whose records are still in the log; epochs and start offsets both grow strictly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `epoch` begins at `start_offset`; says whether that changed anything. What is known stays, unless
    /// it contradicts the new entry: the log below it decides, so later epochs and starts go.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch.0 < 0 || start_offset < Offset::ZERO {
            return false;
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch && latest.start_offset <= start_offset) {
            return false;
        }
        while self.latest().is_some_and(|latest| latest.epoch >= epoch || latest.start_offset >= start_offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.latest().map(|entry| entry.epoch)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The largest epoch not above `epoch`, and where it ends: where the next one begins, or the end of the log for
    /// the latest. `(NONE, NONE)` for an epoch that is not known yet. For one older than all that is known, the epoch
    /// asked for and the first known start: the follower goes on from there (OffsetForLeaderEpoch).
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end_offset: Offset) -> (LeaderEpoch, Offset) {
        if epoch.0 < 0 {
            return (LeaderEpoch::NONE, Offset::NONE);
        }
        if self.latest_epoch() == Some(epoch) {
            return (epoch, log_end_offset);
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let Some(next) = self.entries.get(above) else { return (LeaderEpoch::NONE, Offset::NONE) };
        let floor = above.checked_sub(1).map_or(epoch, |at| self.entries[at].epoch);
        (floor, next.start_offset)
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).map(|at| self.entries[at].epoch)
    }

    /// The records from `end_offset` on are gone; says whether an epoch went with them.
    pub fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let before = self.entries.len();
        let kept = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        self.entries.truncate(kept);
        self.entries.len() != before
    }

    /// The records below `start_offset` are gone; says whether anything changed. The epoch that reaches over it stays
    /// and begins there.
    pub fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let begun = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(spanning) = begun.checked_sub(1) else { return false };
        self.entries.drain(..spanning);
        let first = &mut self.entries[0];
        let changed = spanning > 0 || first.start_offset != start_offset;
        first.start_offset = start_offset;
        changed
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The content of the checkpoint file.
    pub fn encode(&self) -> String {
        let lines = self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset));
        checkpoint_text::encode(0, lines)
    }

    /// Reads what [`Self::encode`] and Kafka write. Entries that go back are resolved as [`Self::assign`] does.
    pub fn decode(content: &str) -> Result<Self, TextError> {
        let mut epochs = Self::new();
        for line in checkpoint_text::lines(content, 0)? {
            let line = line?;
            let [epoch, start_offset] = line.fields()?;
            let epoch = LeaderEpoch(line.number(epoch, "an epoch")?);
            let start_offset = Offset(line.number(start_offset, "an offset")?);
            epochs.assign(epoch, start_offset);
        }
        Ok(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::new();
        for &(epoch, start_offset) in entries {
            epochs.assign(LeaderEpoch(epoch), Offset(start_offset));
        }
        epochs
    }

    fn check(epochs: &LeaderEpochs, expected: &[(i32, i64)]) {
        let entries: Vec<_> = epochs.entries().iter().map(|entry| (entry.epoch.0, entry.start_offset.0)).collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn assigning_keeps_both_columns_growing() {
        check(&epochs(&[(0, 0), (2, 10), (5, 40)]), &[(0, 0), (2, 10), (5, 40)]);
        check(&epochs(&[(1, 10), (1, 20)]), &[(1, 10)]);
        check(&epochs(&[(1, 10), (1, 5)]), &[(1, 5)]);
        check(&epochs(&[(1, 10), (2, 10)]), &[(2, 10)]);
        check(&epochs(&[(1, 10), (3, 30), (2, 20)]), &[(1, 10), (2, 20)]);
        check(&epochs(&[(1, 10), (3, 30), (4, 5)]), &[(4, 5)]);
        check(&epochs(&[(-1, 10), (1, -1)]), &[]);
    }

    fn check_end(asked: i32, expected: (i32, i64)) {
        let (epoch, end) = epochs(&[(2, 10), (4, 30), (7, 50)]).end_offset_for(LeaderEpoch(asked), Offset(60));
        assert_eq!((epoch.0, end.0), expected, "epoch {asked}");
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        check_end(-1, (-1, -1));
        check_end(1, (1, 10));
        check_end(2, (2, 30));
        check_end(3, (2, 30));
        check_end(4, (4, 50));
        check_end(6, (4, 50));
        check_end(7, (7, 60));
        check_end(8, (-1, -1));
        assert_eq!(LeaderEpochs::new().end_offset_for(LeaderEpoch(0), Offset(5)), (LeaderEpoch::NONE, Offset::NONE));
    }

    #[test]
    fn an_offset_has_the_epoch_it_was_written_in() {
        let epochs = epochs(&[(2, 10), (4, 30)]);
        let at = |offset| epochs.epoch_for_offset(Offset(offset)).map(|epoch| epoch.0);
        assert_eq!([at(9), at(10), at(29), at(30), at(99)], [None, Some(2), Some(2), Some(4), Some(4)]);
    }

    fn check_from_start(start: i64, changes: bool, expected: &[(i32, i64)]) {
        let mut epochs = epochs(&[(2, 10), (4, 30), (7, 50)]);
        assert_eq!(epochs.truncate_from_start(Offset(start)), changes, "from {start}");
        check(&epochs, expected);
    }

    #[test]
    fn truncation() {
        check_from_start(5, false, &[(2, 10), (4, 30), (7, 50)]);
        check_from_start(10, false, &[(2, 10), (4, 30), (7, 50)]);
        check_from_start(20, true, &[(2, 20), (4, 30), (7, 50)]);
        check_from_start(30, true, &[(4, 30), (7, 50)]);
        check_from_start(90, true, &[(7, 90)]);

        let mut epochs = epochs(&[(2, 10), (4, 30)]);
        assert!(!epochs.truncate_from_end(Offset(31)));
        assert!(epochs.truncate_from_end(Offset(30)));
        check(&epochs, &[(2, 10)]);
    }

    #[test]
    fn the_text_is_kafkas() {
        let epochs = epochs(&[(0, 0), (3, 1200)]);
        assert_eq!(epochs.encode(), "0\n2\n0 0\n3 1200\n");
        assert_eq!(LeaderEpochs::decode(&epochs.encode()), Ok(epochs));
        assert_eq!(LeaderEpochs::decode("0\n0\n"), Ok(LeaderEpochs::new()));
        let error = LeaderEpochs::decode("0\n1\n0 x\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3: 'x' is not an offset");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(content in "\\PC{0,20}|[0-9 \\n-]{0,40}") {
            if let Ok(epochs) = LeaderEpochs::decode(&content) {
                prop_assert_eq!(LeaderEpochs::decode(&epochs.encode()), Ok(epochs));
            }
        }

        #[test]
        fn entries_always_grow(entries in prop::collection::vec((0..9_i32, 0..50_i64), 0..20), end in 0..60_i64) {
            let mut epochs = epochs(&entries);
            epochs.truncate_from_start(Offset(end / 2));
            epochs.truncate_from_end(Offset(end));
            let growing = |pair: &[EpochEntry]| {
                pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset
            };
            prop_assert!(epochs.entries().windows(2).all(growing));
        }
    }
}
