//! The checkpoint files of a log directory: one offset for each of its partitions.
//!
//! ```text
//!   0                version
//!   2                number of entries
//!   orders 0 1200    topic, partition, offset
//!   orders 1 0
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::ids::{Offset, TopicPartition};
use crate::io::Disk;

use super::checkpoint_text::{self, FileError, TextError};

/// Below it records, indexes and producer state are on disk, and recovery trusts them.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// Where logs begin that begin behind their first segment's base offset (DeleteRecords).
pub const LOG_START_OFFSET_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// The high watermarks.
pub const REPLICATION_OFFSET_CHECKPOINT: &str = "replication-offset-checkpoint";
/// Up to where the cleaner got.
pub const CLEANER_OFFSET_CHECKPOINT: &str = "cleaner-offset-checkpoint";
/// All of them.
pub(crate) const OFFSET_CHECKPOINTS: [&str; 4] = [
    RECOVERY_POINT_CHECKPOINT,
    LOG_START_OFFSET_CHECKPOINT,
    REPLICATION_OFFSET_CHECKPOINT,
    CLEANER_OFFSET_CHECKPOINT,
];

/// A longer file is refused: room for 200,000 partitions of topics with the longest of names.
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 20;

/// One offset for each partition.
pub type OffsetCheckpoint = BTreeMap<TopicPartition, Offset>;

/// The content of a checkpoint file.
pub fn encode(offsets: &OffsetCheckpoint) -> String {
    let lines = offsets.iter().map(|(at, offset)| format!("{} {} {offset}", at.topic, at.partition));
    checkpoint_text::encode(0, lines)
}

/// Reads what [`encode`] and Kafka write. Of several lines of one partition the last counts.
pub fn decode(content: &str) -> Result<OffsetCheckpoint, TextError> {
    let mut offsets = OffsetCheckpoint::new();
    for line in checkpoint_text::lines(content, 0)? {
        let line = line?;
        let [topic, partition, offset] = line.fields()?;
        let partition = line.number(partition, "a partition")?;
        let offset = line.number(offset, "an offset")?;
        offsets.insert(TopicPartition::new(topic, partition), Offset(offset));
    }
    Ok(offsets)
}

/// Reads a checkpoint of a log directory; an absent one is empty.
pub fn read(disk: &dyn Disk, directory: &Path, name: &str) -> Result<OffsetCheckpoint, FileError> {
    let path = directory.join(name);
    let content = checkpoint_text::read_text(disk, &path, MAX_FILE_BYTES).map_err(FileError::io(&path))?;
    decode(&content.unwrap_or_default()).map_err(FileError::text(&path))
}

/// Replaces a checkpoint of a log directory; durable when it returns.
pub fn write(disk: &dyn Disk, directory: &Path, name: &str, offsets: &OffsetCheckpoint) -> Result<(), FileError> {
    let path = directory.join(name);
    disk.write_atomically(&path, encode(offsets).as_bytes()).map_err(FileError::io(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;
    use proptest::prelude::*;

    fn offsets(entries: &[(&str, i32, i64)]) -> OffsetCheckpoint {
        let entry =
            |&(topic, partition, offset): &(&str, _, _)| (TopicPartition::new(topic, partition), Offset(offset));
        entries.iter().map(entry).collect()
    }

    #[test]
    fn the_text_is_kafkas() {
        let two = offsets(&[("orders", 0, 1200), ("orders.eu-1", 1, 0)]);
        assert_eq!(encode(&two), "0\n2\norders 0 1200\norders.eu-1 1 0\n");
        assert_eq!(decode(&encode(&two)), Ok(two));
        for empty in ["", "0\n", "0\n0\n", "0\r\n0\r\n"] {
            assert_eq!(decode(empty), Ok(offsets(&[])), "{empty:?}");
        }
        assert_eq!(decode("0\n1\norders  0\t7"), Ok(offsets(&[("orders", 0, 7)])));
    }

    fn check_refused(content: &str, error: &str) {
        assert_eq!(decode(content).unwrap_err().to_string(), error);
    }

    #[test]
    fn bad_lines_are_named() {
        check_refused("1\n0\n", "line 1: version 1 where 0 should be");
        check_refused("x\n0\n", "line 1: 'x' is not a version");
        check_refused("0\n-1\n", "line 2: '-1' is not a number of entries");
        check_refused("0\n1\n", "line 3: 0 entries where 1 should be");
        check_refused("0\n1\na 0 1\nb 0 1\n", "line 4: more entries than 1");
        check_refused("0\n1\na 0\n", "line 3: 2 fields where 3 should be");
        check_refused("0\n1\na 0 1 2 3\n", "line 3: 4 fields where 3 should be");
        check_refused("0\n2\na 0 1\na x 1\n", "line 4: 'x' is not a partition");
        check_refused("0\n1\na 0 -5\n", "line 3: '-5' is not an offset");
    }

    #[test]
    fn files_are_replaced_whole() {
        let disk = SimDisk::new(0);
        let directory = Path::new("data");
        disk.create_directory(directory).unwrap();
        let read = || read(&*disk, directory, RECOVERY_POINT_CHECKPOINT);
        assert_eq!(read().unwrap(), offsets(&[]));
        let written = offsets(&[("orders", 0, 1200)]);
        write(&*disk, directory, RECOVERY_POINT_CHECKPOINT, &written).unwrap();
        assert_eq!(read().unwrap(), written);
        disk.write_atomically(&directory.join(RECOVERY_POINT_CHECKPOINT), b"0\nx\n").unwrap();
        let error = read().unwrap_err().to_string();
        assert_eq!(error, "data/recovery-point-offset-checkpoint: line 2: 'x' is not a number of entries");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(content in "0\n[0-9]{1,2}\n([a-z] [0-9-]{1,3} [0-9]{1,20}\n){0,4}|\\PC{0,40}") {
            if let Ok(offsets) = decode(&content) {
                prop_assert_eq!(decode(&encode(&offsets)), Ok(offsets));
            }
        }
    }
}
