//! Reading a segment back after a crash: what of it is sound stays, and its indexes are built from that.

use std::io::{self, IoSlice};

use super::append::aborted_txn;
use super::batch_scan::{HeaderScan, PlacedBatch};
use super::leader_epochs::LeaderEpochs;
use super::offset_index;
use super::producer_rebuild::read_marker;
use super::producer_state::ProducerStateManager;
use super::segment::Segment;
use super::sound_batches::SoundBatches;
use super::time_index::{NO_TIMESTAMP, TimestampOffset};
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::time::TimestampMs;

/// Bytes that are written again at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// What recovery of one segment found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredSegment {
    /// Bytes behind its last sound batch.
    pub truncated_bytes: u64,
    /// The offset behind its last sound batch.
    pub next_offset: Offset,
    /// Where in the file the first batch begins that was checked.
    pub checked_from: u64,
}

impl Segment {
    /// Checks every byte from the batch that holds `from` on, up to the first that is not sound, and builds indexes,
    /// producer state and epochs from what is. Batches below `from` and their index entries are trusted; with `from`
    /// at or below the base offset, nothing is. The segment then ends with its last sound batch; what lies behind it
    /// in the file, [`Segment::cut_file`] removes.
    ///
    /// `producers` is the state of all records below `from`.
    pub fn recover(
        &self,
        from: Offset,
        producers: &mut ProducerStateManager,
        epochs: &mut LeaderEpochs,
        index_interval_bytes: u64,
        now_ms: TimestampMs,
    ) -> io::Result<RecoveredSegment> {
        let file_bytes = self.log_file().size_bytes()?;
        let (start, kept_offset) = self.keep_below(from)?;
        let mut reader = SoundBatches::new(&**self.log_file(), start, file_bytes);
        let mut next_offset = kept_offset;
        let mut last_indexed = self.offset_index.last().position;
        let mut max_timestamp = self.max_timestamp();
        loop {
            let batch = match reader.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let segment = self.base_offset();
                    tracing::warn!(%segment, position = reader.position(), %error, "the log is cut at a batch that is not sound");
                    break;
                }
                Err(error) => return Err(error),
            };
            let PlacedBatch { position, header } = batch;
            let in_order = header.base_offset >= next_offset
                && offset_index::relative_offset(self.base_offset(), header.last_offset()).is_some();
            if !in_order || header.last_offset_delta < 0 {
                let segment = self.base_offset();
                tracing::warn!(%segment, position, offset = %header.base_offset, "the log is cut at a batch out of order");
                reader.step_back(&batch);
                break;
            }
            let marker = read_marker(self, &batch)?;
            if header.max_timestamp > max_timestamp.timestamp {
                max_timestamp = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
            }
            if position - last_indexed > index_interval_bytes {
                self.offset_index.append(header.last_offset(), position);
                self.time_index.maybe_append(max_timestamp);
                last_indexed = position;
            }
            if epochs.latest_epoch().is_none_or(|latest| header.leader_epoch > latest) {
                epochs.assign(header.leader_epoch, header.base_offset);
            }
            if let Some(completed) = producers.replay(&header, marker.as_ref(), now_ms)
                && completed.is_aborted
            {
                self.txn_index.append(&aborted_txn(&completed))?;
            }
            next_offset = header.next_offset();
        }
        let sound_bytes = reader.position();
        self.set_size_bytes(sound_bytes);
        let mut state = self.state.lock();
        state.max_timestamp = max_timestamp;
        state.bytes_since_index_entry = sound_bytes - last_indexed;
        Ok(RecoveredSegment { truncated_bytes: file_bytes - sound_bytes, next_offset, checked_from: start })
    }

    /// Writes what lies from `position` on once more, as it is. After a sync that failed, the kernel holds pages for
    /// clean that never came to the device, and a later sync passes over them; only a write makes it look again.
    pub(super) fn write_again(&self, position: u64) -> io::Result<()> {
        let mut chunk = Vec::new();
        let mut at = position;
        while at < self.size_bytes() {
            chunk.resize((self.size_bytes() - at).min(CHUNK_BYTES as u64) as usize, 0);
            if self.log_file().read_at(&mut chunk, at)? < chunk.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.log_file().write_all_at(&[IoSlice::new(&chunk)], at)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    /// Removes what the file holds behind the segment's end.
    pub(super) fn cut_file(&self) -> io::Result<()> {
        if self.log_file().size_bytes()? > self.size_bytes() {
            self.log_file().set_size_bytes(self.size_bytes())?;
        }
        Ok(())
    }

    /// Cuts the indexes back to the batches that end below `from`, and says where those end: position and offset.
    fn keep_below(&self, from: Offset) -> io::Result<(u64, Offset)> {
        let mut start = 0;
        let mut kept_offset = self.base_offset();
        let mut max_timestamp = TimestampOffset { timestamp: NO_TIMESTAMP, offset: self.base_offset() };
        if from > self.base_offset() {
            let indexed = self.last_trusted_entry(from)?;
            let mut scan = HeaderScan::new(&**self.log_file(), indexed, self.size_bytes());
            loop {
                match scan.next() {
                    Ok(Some(batch)) if batch.header.last_offset() < from => {
                        start = batch.end_position();
                        kept_offset = batch.header.next_offset();
                    }
                    Ok(_) => break,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => break,
                    Err(error) => return Err(error),
                }
            }
            if start == 0 && indexed > 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the offset index leads to no batch"));
            }
        }
        self.offset_index.truncate_to(from)?;
        self.txn_index.truncate_to(from)?;
        // Both indexes grow together, but for one entry that the time index gets when the segment is closed: it may be
        // newer than the checkpoint, and is written anew.
        let last_indexed = self.offset_index.last().offset;
        let is_indexed = !self.offset_index.is_empty();
        self.time_index.truncate_to(if is_indexed { last_indexed.next() } else { self.base_offset() })?;
        if start > 0 {
            // So only batches behind the last indexed one can be newer than the time index says.
            max_timestamp = self.time_index.last();
            let behind = self.offset_index.last().position;
            let mut scan = HeaderScan::new(&**self.log_file(), behind, start);
            while let Some(PlacedBatch { header, .. }) = scan.next()? {
                if header.max_timestamp > max_timestamp.timestamp {
                    max_timestamp = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
                }
            }
        }
        self.state.lock().max_timestamp = max_timestamp;
        Ok((start, kept_offset))
    }

    /// The position of the last index entry below `from`; 0 where there is none.
    fn last_trusted_entry(&self, from: Offset) -> io::Result<u64> {
        self.offset_index.lookup(from + -1).map(|entry| entry.position)
    }
}
