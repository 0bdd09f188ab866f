//! One batch on its way through the cleaner: copied as it is, built anew with fewer records, or left out.

use std::io;

use super::super::open_records::{TooLarge, open_records};
use super::super::producer_state::EndTxnMarker;
use super::fate::{BatchFate, RoundRules};
use super::offset_map::OffsetMap;
use super::transactions::Control;
use crate::ids::Offset;
use crate::protocol::batch::BatchHeader;
use crate::protocol::records::{self, BatchRecords, BuildError, RecordError, RecordsError};

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filtered {
    Nothing,
    /// All of it, byte for byte.
    Unchanged,
    Rebuilt(Vec<u8>),
}

/// A batch that cannot be cleaned, and so neither can its log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl TooLarge for FilterError {
    fn is_too_large(&self) -> bool {
        matches!(self, Self::Records(error) if error.is_too_large())
    }
}

impl From<FilterError> for io::Error {
    fn from(error: FilterError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// How many records a batch had, and how many are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordCounts {
    pub(super) read: u64,
    pub(super) kept: u64,
}

/// Filters a whole batch that is known to be sound.
pub(super) fn filter_batch(
    header: &BatchHeader,
    bytes: &[u8],
    fate: BatchFate,
    rules: &RoundRules,
    map: &OffsetMap,
) -> Result<(Filtered, RecordCounts), FilterError> {
    if fate.drops_records {
        let counts = RecordCounts { read: header.record_count.max(0) as u64, kept: 0 };
        let left = if fate.keeps_empty { emptied(header)? } else { Filtered::Nothing };
        return Ok((left, counts));
    }
    open_records(bytes.len(), |max_bytes| {
        let opened = BatchRecords::open(bytes, max_bytes)?;
        // A byte for each, and no more: of a batch that was made to be opened there may be millions.
        let (mut keeps, mut has_tombstone, mut kept) = (Vec::new(), false, 0);
        for record in opened.walk() {
            let record = record?;
            let is_kept = header.is_control() || rules.keeps_record(header, &record, map);
            has_tombstone |= is_kept && record.value.is_none();
            kept += u64::from(is_kept);
            keeps.push(is_kept);
        }
        let counts = RecordCounts { read: keeps.len() as u64, kept };
        let left = if kept == 0 {
            if fate.keeps_empty { emptied(header)? } else { Filtered::Nothing }
        } else {
            let delete_horizon_ms = rules.new_delete_horizon_ms(header, fate, has_tombstone);
            if counts.kept == counts.read && delete_horizon_ms.is_none() {
                Filtered::Unchanged
            } else {
                let kept = opened.walk().zip(keeps).filter_map(|(record, is_kept)| record.ok().filter(|_| is_kept));
                Filtered::Rebuilt(records::with_records(header, kept, delete_horizon_ms)?)
            }
        };
        Ok((left, counts))
    })
}

/// The batch without its records; one that has none already stays as it is.
fn emptied(header: &BatchHeader) -> Result<Filtered, FilterError> {
    if header.record_count == 0 {
        return Ok(Filtered::Unchanged);
    }
    Ok(Filtered::Rebuilt(records::without_records(header)?))
}

/// What a whole control batch means.
pub(super) fn control_of(header: &BatchHeader, bytes: &[u8]) -> io::Result<Control> {
    if header.record_count == 0 {
        return Ok(Control::Empty);
    }
    match EndTxnMarker::read(header, bytes) {
        Ok(Some(marker)) => Ok(Control::End(marker.outcome)),
        Ok(None) => Ok(Control::Other),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Takes the keys of a data batch into the map, those from `first_dirty_offset` on; false where one found no room.
pub(super) fn map_batch(
    header: &BatchHeader,
    bytes: &[u8],
    first_dirty_offset: Offset,
    map: &mut OffsetMap,
) -> Result<bool, FilterError> {
    open_records(bytes.len(), |max_bytes| {
        for record in BatchRecords::open(bytes, max_bytes)?.walk() {
            let record = record?;
            let offset = record.offset(header);
            if let Some(key) = record.key
                && offset >= first_dirty_offset
                && !map.put(key, offset)
            {
                return Ok(false);
            }
        }
        Ok(true)
    })
}
