//! Which batches a slice of a log holds, by their headers.

use std::io;
use std::sync::Arc;

use super::batch_scan::HeaderScan;
use crate::ids::Offset;
use crate::io::FileSlice;
use crate::protocol::batch::BatchHeader;

/// The batches of a slice of whole batches, each with where it begins in the file.
#[derive(Debug)]
pub struct BatchList {
    slice: FileSlice,
    batches: Vec<(u64, BatchHeader)>,
}

impl BatchList {
    /// Reads the headers of a slice that [`PartitionLog::read`](super::partition_log::PartitionLog::read) answered, up
    /// to the first batch that reaches `enough`: there may be thousands behind that nobody wants.
    pub fn read(slice: FileSlice, enough: Offset) -> io::Result<Self> {
        let mut scan = HeaderScan::new(&*slice.file, slice.position, slice.position + slice.size_bytes as u64);
        let mut batches = Vec::new();
        while let Some(batch) = scan.next()? {
            batches.push((batch.position, batch.header));
            if batch.header.next_offset() >= enough {
                break;
            }
        }
        Ok(Self { slice, batches })
    }

    pub fn headers(&self) -> impl Iterator<Item = &BatchHeader> {
        self.batches.iter().map(|(_, header)| header)
    }

    /// The part of the slice that holds the offsets from `first` to `last`: whole batches again.
    pub fn covering(&self, first: Offset, last: Offset) -> Option<FileSlice> {
        let wanted = |header: &BatchHeader| header.last_offset() >= first && header.base_offset <= last;
        let mut covered = self.batches.iter().filter(|(_, header)| wanted(header));
        let (position, header) = covered.next()?;
        let (end, header) = covered.next_back().map_or((position, header), |(position, header)| (position, header));
        let size_bytes = (end - position) as usize + header.size_bytes();
        Some(FileSlice { file: Arc::clone(&self.slice.file), position: *position, size_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::log::testing;

    #[test]
    fn a_part_is_whole_batches() {
        let home = tempfile::tempdir().unwrap();
        let log = testing::new_log(home.path(), LogConfig::default());
        for _ in 0..4 {
            testing::append(&log, &testing::batch(3, 10)).unwrap();
        }
        let slice = log.read(Offset(0), usize::MAX, true, Offset(12)).unwrap().slice.unwrap();
        let (position, one) = (slice.position, slice.size_bytes / 4);
        let list = BatchList::read(slice.clone(), Offset(100)).unwrap();
        assert_eq!(list.headers().map(|header| header.base_offset.0).collect::<Vec<_>>(), [0, 3, 6, 9]);
        let part =
            |first, last| list.covering(Offset(first), Offset(last)).map(|part| (part.position, part.size_bytes));
        assert_eq!(part(0, 11), Some((position, 4 * one)));
        assert_eq!(part(4, 6), Some((position + one as u64, 2 * one)));
        assert_eq!(part(5, 5), Some((position + one as u64, one)));
        assert_eq!(part(12, 20), None);
        assert_eq!(BatchList::read(slice, Offset(5)).unwrap().headers().count(), 2);
    }
}
