//! Whether the leader epochs in the batches are those of the checkpoint.
//!
//! The epoch in a batch's header is not covered by its checksum. Epochs only grow along a log: where a batch and the
//! checkpoint differ, the one that breaks this order is wrong, and it can be written anew from the other.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Findings, Kind, Level};
use super::mend::Mend;
use super::partition_check::EVERYTHING;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::batch_scan::PlacedBatch;
use crate::log::leader_epochs::{LEADER_EPOCH_CHECKPOINT, LeaderEpochs};
use crate::protocol::batch::LEADER_EPOCH_AT;

const EPOCH_BYTES: u64 = 4;

/// Batches one behind the other of one epoch that is not the checkpoint's.
#[derive(Clone, Debug)]
struct Run {
    path: PathBuf,
    position: u64,
    offset: Offset,
    found: LeaderEpoch,
    /// [`LeaderEpoch::NONE`]: the checkpoint begins later.
    expected: LeaderEpoch,
    batches: u64,
    /// Of the batch before.
    before: LeaderEpoch,
}

/// The epochs of one partition on their way through its log.
pub(super) struct EpochCheck {
    checkpoint_path: PathBuf,
    /// `None`: there is no checkpoint, or none that can be read.
    checkpoint: Option<LeaderEpochs>,
    /// The first record that was not deleted.
    log_start_offset: Offset,
    trusted_below: Offset,
    before: LeaderEpoch,
    run: Option<Run>,
    pub(super) findings: Findings,
    pub(super) mends: Vec<Mend>,
    /// The checkpoint is to be built anew from the log.
    pub(super) is_checkpoint_wrong: bool,
}

impl EpochCheck {
    pub(super) fn new(
        folder: &Path,
        checkpoint: Option<LeaderEpochs>,
        log_start_offset: Offset,
        trusted_below: Offset,
    ) -> Self {
        Self {
            checkpoint_path: folder.join(LEADER_EPOCH_CHECKPOINT),
            checkpoint,
            log_start_offset,
            trusted_below,
            before: LeaderEpoch::NONE,
            run: None,
            findings: Findings::default(),
            mends: Vec::new(),
            is_checkpoint_wrong: false,
        }
    }

    pub(super) fn on_batch(&mut self, log: &Path, batch: &PlacedBatch) {
        let found = batch.header.leader_epoch;
        let offset = batch.header.base_offset;
        let Some(expected) = self.expected_at(offset) else {
            self.check_order(log, batch);
            return;
        };
        if expected == found {
            self.settle(Some(found));
            self.before = found;
            return;
        }
        if let Some(run) = &mut self.run
            && run.found == found
            && run.expected == expected
        {
            run.batches += 1;
            return;
        }
        self.settle(Some(found));
        self.run = Some(Run {
            path: log.to_owned(),
            position: batch.position,
            offset,
            found,
            expected,
            batches: 1,
            before: self.before,
        });
    }

    /// After the last batch of a log that ends at `log_end_offset`.
    pub(super) fn finish(&mut self, log_end_offset: Offset) {
        self.settle(None);
        let beyond = |checkpoint: &LeaderEpochs| {
            let latest = checkpoint.latest()?;
            (latest.start_offset > log_end_offset).then_some(latest)
        };
        if let Some(latest) = self.checkpoint.as_ref().and_then(beyond) {
            let what = format!(
                "epoch {} begins at offset {}, and the log ends with {log_end_offset}",
                latest.epoch, latest.start_offset
            );
            self.blame_checkpoint(Finding::new(
                self.level(log_end_offset),
                Kind::LeaderEpochCheckpoint,
                &self.checkpoint_path,
                what,
            ));
        }
    }

    /// The checkpoint's epoch at `offset`. `None`: it says nothing that can be held against a batch there, because it is
    /// not there, may be older than the batch, or may be newer than what is known of the log's beginning.
    fn expected_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let checkpoint = self.checkpoint.as_ref()?;
        let earliest = checkpoint.earliest()?;
        let was_clean = self.trusted_below == EVERYTHING;
        let is_known = offset >= earliest.start_offset || (was_clean && offset >= self.log_start_offset);
        let epoch = || checkpoint.epoch_for_offset(offset).unwrap_or(LeaderEpoch::NONE);
        (is_known && offset < self.trusted_below).then(epoch)
    }

    /// Without a checkpoint there is only the order.
    fn check_order(&mut self, log: &Path, batch: &PlacedBatch) {
        self.settle(Some(batch.header.leader_epoch));
        let found = batch.header.leader_epoch;
        if found < self.before {
            let what = format!("leader epoch {found} behind epoch {}", self.before);
            let finding = Finding::new(self.level(batch.header.base_offset), Kind::LeaderEpoch, log, what);
            let position = batch.position + LEADER_EPOCH_AT as u64;
            self.findings.push(finding.at(position, EPOCH_BYTES).offset(batch.header.base_offset));
        }
        self.before = self.before.max(found);
    }

    /// Who is wrong, now that the epoch behind the run is known.
    fn settle(&mut self, behind: Option<LeaderEpoch>) {
        let Some(run) = self.run.take() else { return };
        let Run { found, expected, batches, offset, .. } = run;
        let is_ordered =
            found >= LeaderEpoch(0) && found >= run.before && behind.is_none_or(|behind| found <= behind);
        let names_found =
            self.checkpoint.as_ref().is_some_and(|known| known.entries().iter().any(|entry| entry.epoch == found));
        // An epoch of which the checkpoint knows nothing, amid batches of the one that it names, is the batch's fault.
        let is_amid = expected != LeaderEpoch::NONE && (expected == run.before || Some(expected) == behind);
        if is_ordered && (names_found || !is_amid) {
            let what = format!("epoch {expected} at offset {offset}, where the batches have {found}");
            self.blame_checkpoint(
                Finding::new(self.level(offset), Kind::LeaderEpochCheckpoint, &self.checkpoint_path, what)
                    .offset(offset),
            );
            self.before = found;
            return;
        }
        let what =
            format!("leader epoch {found} in {batches} batches from here on, where the checkpoint has {expected}");
        let position = run.position + LEADER_EPOCH_AT as u64;
        let finding = Finding::new(self.level(offset), Kind::LeaderEpoch, &run.path, what);
        self.findings.push(finding.at(position, EPOCH_BYTES).offset(offset));
        if batches == 1 && expected != LeaderEpoch::NONE {
            self.mends.push(Mend { path: run.path, position, bytes: expected.0.to_be_bytes().to_vec() });
        }
    }

    fn blame_checkpoint(&mut self, finding: Finding) {
        self.is_checkpoint_wrong |= finding.level == Level::Damage;
        self.findings.push(finding);
    }

    fn level(&self, offset: Offset) -> Level {
        if offset < self.trusted_below { Level::Damage } else { Level::Crash }
    }
}
