//! `partition.metadata`: which topic a partition's folder belongs to (KIP-516).
//!
//! ```text
//!   version: 0
//!   topic_id: cJxEX1nhTAyKBCrSuMaHEw
//! ```

use std::path::Path;

use crate::ids::TopicId;
use crate::io::Disk;

use super::checkpoint_text::{self, FileError, TextError, shortened};

/// The file's name, in the partition's folder.
pub const PARTITION_METADATA_FILE: &str = "partition.metadata";

pub(crate) const MAX_FILE_BYTES: u64 = 4096;

/// The content of the file.
pub fn encode(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads what [`encode`] and Kafka write; later versions too, as long as they begin in the same way.
pub fn decode(content: &str) -> Result<TopicId, TextError> {
    let mut lines = content.lines();
    let mut value = |line: usize, key: &str| {
        let text = lines.next().unwrap_or_default();
        let value = text.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')).map(str::trim);
        value.ok_or_else(|| TextError::new(line, format!("'{}' where '{key}: ...' should be", shortened(text))))
    };
    let version = value(1, "version")?;
    if version.parse::<u32>().is_err() {
        return Err(TextError::new(1, format!("'{}' is not a version", shortened(version))));
    }
    let topic_id = value(2, "topic_id")?;
    match topic_id.parse() {
        Ok(id) if id != TopicId::default() => Ok(id),
        _ => Err(TextError::new(2, format!("'{}' is not a topic id", shortened(topic_id)))),
    }
}

/// The topic that a partition's folder belongs to; `None` where the file is absent (Kafka before 2.8).
pub fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<TopicId>, FileError> {
    let path = folder.join(PARTITION_METADATA_FILE);
    let content = checkpoint_text::read_text(disk, &path, MAX_FILE_BYTES).map_err(FileError::io(&path))?;
    content.map(|content| decode(&content).map_err(FileError::text(&path))).transpose()
}

/// Notes the topic that a partition's folder belongs to; durable when it returns.
pub fn write(disk: &dyn Disk, folder: &Path, topic_id: TopicId) -> Result<(), FileError> {
    let path = folder.join(PARTITION_METADATA_FILE);
    disk.write_atomically(&path, encode(topic_id).as_bytes()).map_err(FileError::io(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_kafkas() {
        let text = "version: 0\ntopic_id: cJxEX1nhTAyKBCrSuMaHEw";
        assert_eq!(encode(decode(text).unwrap()), text);
        assert_eq!(decode("version: 1\ntopic_id: cJxEX1nhTAyKBCrSuMaHEw\nmore: x\n"), decode(text));
    }

    fn check_refused(content: &str, error: &str) {
        assert_eq!(decode(content).unwrap_err().to_string(), error);
    }

    #[test]
    fn bad_lines_are_named() {
        check_refused("", "line 1: '' where 'version: ...' should be");
        check_refused("version: x\n", "line 1: 'x' is not a version");
        check_refused("version: 0\ntopic: x", "line 2: 'topic: x' where 'topic_id: ...' should be");
        check_refused("version: 0\ntopic_id: x", "line 2: 'x' is not a topic id");
        let none = "AAAAAAAAAAAAAAAAAAAAAA";
        check_refused(&format!("version: 0\ntopic_id: {none}"), &format!("line 2: '{none}' is not a topic id"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(content in "version: [0-9]{1,12}\ntopic_id: \\PC{0,24}|\\PC{0,40}") {
            let _ = decode(&content);
        }
    }
}
