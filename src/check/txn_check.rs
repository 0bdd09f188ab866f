//! Whether the transaction index of a segment names the transactions that were aborted in it.
//!
//! The state of the producers is replayed along the log, as recovery does. Where that begins with nothing missing and
//! compaction has taken nothing, the index must say exactly what the replay does; else each entry must at least lead to
//! its abort marker.

use std::io;
use std::path::Path;

use super::finding::{Finding, Kind, Level};
use crate::ids::{Offset, ProducerId};
use crate::io::{Disk, DiskFile, OpenMode};
use crate::log::append::aborted_txn;
use crate::log::batch_scan::{PlacedBatch, read_whole};
use crate::log::producer_rebuild::MAX_CONTROL_BATCH_BYTES;
use crate::log::producer_state::{EndTxnMarker, ProducerStateConfig, ProducerStateEntry, ProducerStateManager};
use crate::log::txn_index::{AbortedTxn, TXN_ENTRY_BYTES};
use crate::protocol::records::TransactionOutcome;
use crate::time::TimestampMs;

/// Larger than any index that a segment can fill.
const MAX_INDEX_BYTES: u64 = 1 << 30;

/// The producers of one partition on their way through its log.
pub(super) struct TxnReplay {
    producers: ProducerStateManager,
    /// All that was ever written since the producers were empty has been replayed.
    pub(super) is_exact: bool,
    now_ms: TimestampMs,
    /// The markers of the present segment: producer, offset.
    aborts: Vec<(ProducerId, Offset)>,
    /// What the index of the present segment should hold.
    expected: Vec<AbortedTxn>,
}

impl TxnReplay {
    /// `snapshot`: the producers as of `begin`; none where the log begins with its first record ever.
    pub(super) fn new(begin: Offset, snapshot: Option<Vec<ProducerStateEntry>>, now_ms: TimestampMs) -> Self {
        let mut producers = ProducerStateManager::new(ProducerStateConfig::default());
        let is_exact = snapshot.is_some() || begin == Offset::ZERO;
        producers.load(snapshot.unwrap_or_default(), begin, now_ms);
        Self { producers, is_exact, now_ms, aborts: Vec::new(), expected: Vec::new() }
    }

    pub(super) fn begin_segment(&mut self) {
        self.aborts.clear();
        self.expected.clear();
    }

    pub(super) fn on_batch(&mut self, file: &dyn DiskFile, batch: &PlacedBatch) -> io::Result<()> {
        let header = &batch.header;
        let mut marker = None;
        if header.is_control() && header.size_bytes() <= MAX_CONTROL_BATCH_BYTES {
            marker = EndTxnMarker::read(header, &read_whole(file, batch)?).unwrap_or_default();
        }
        if marker.is_some_and(|marker| marker.outcome == TransactionOutcome::Abort) {
            self.aborts.push((header.producer_id, header.base_offset));
        }
        let completed = self.producers.replay(header, marker.as_ref(), self.now_ms);
        self.expected.extend(completed.filter(|completed| completed.is_aborted).as_ref().map(aborted_txn));
        Ok(())
    }

    /// Holds the index of the segment that was just walked through, and that ends at `end_offset`, against the replay.
    /// `trusted_below`: entries of later markers may be missing, torn, or of markers that are missing.
    pub(super) fn check_index(
        &self,
        disk: &dyn Disk,
        path: &Path,
        (base_offset, end_offset): (Offset, Offset),
        trusted_below: Offset,
    ) -> io::Result<(u64, Vec<Finding>)> {
        let content = match disk.open(path, OpenMode::Read) {
            Ok(_) => disk.read(path, MAX_INDEX_BYTES)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let level = |offset: Offset| if offset < trusted_below { Level::Damage } else { Level::Crash };
        let finding = |level, slot: usize, what: String| {
            Finding::new(level, Kind::TxnIndex, path, what)
                .at((slot * TXN_ENTRY_BYTES) as u64, TXN_ENTRY_BYTES as u64)
                .offset(base_offset)
        };
        let mut findings = Vec::new();
        let mut expected = self.expected.iter();
        for (slot, bytes) in content.chunks(TXN_ENTRY_BYTES).enumerate() {
            let expected = expected.next();
            // A torn entry is one of the transaction that comes next, be it one whose marker is torn as well.
            let level = level(expected.map_or(end_offset, |expected| expected.last_offset));
            let what = match AbortedTxn::decode(bytes) {
                _ if bytes.len() < TXN_ENTRY_BYTES => {
                    format!("{} bytes where an entry has {TXN_ENTRY_BYTES}", bytes.len())
                }
                None => "its version is not 0".to_owned(),
                Some(entry) if self.is_exact => match expected {
                    Some(expected) if *expected == entry => continue,
                    Some(expected) => format!("it says {}, the log says {}", describe(&entry), describe(expected)),
                    None => format!("it says {}, of which the log knows nothing", describe(&entry)),
                },
                Some(entry) => match self.misses(&entry) {
                    Some(missing) => format!("it says {}, and {missing}", describe(&entry)),
                    None => continue,
                },
            };
            findings.push(finding(level, slot, format!("entry {slot}: {what}")));
        }
        if self.is_exact
            && let Some(missing) = expected.next()
        {
            let slot = content.len().div_ceil(TXN_ENTRY_BYTES);
            let what = format!("an entry is missing: {}", describe(missing));
            findings.push(finding(level(missing.last_offset), slot, what));
        }
        Ok((content.len() as u64, findings))
    }

    fn misses(&self, entry: &AbortedTxn) -> Option<&'static str> {
        if !self.aborts.contains(&(entry.producer_id, entry.last_offset)) {
            return Some("no abort marker of that producer is there");
        }
        if entry.first_offset > entry.last_offset || entry.last_stable_offset > entry.last_offset.next() {
            return Some("its offsets contradict each other");
        }
        None
    }
}

fn describe(entry: &AbortedTxn) -> String {
    let AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset } = entry;
    format!("producer {producer_id} aborted {first_offset} to {last_offset}, stable up to {last_stable_offset}")
}
