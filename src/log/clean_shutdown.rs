//! `.kafka_cleanshutdown`: the log directory was closed in good order, and nothing has been written since.
//!
//! ```text
//!   {"version":0,"brokerEpoch":12}
//! ```
//! The broker epoch lets the controller see that this registration was the last one (KIP-966).

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ids::BrokerEpoch;
use crate::io::Disk;

/// The marker's name.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";

const VERSION: i32 = 0;
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 10;

/// A directory that was closed in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The registration of the broker that closed it. Kafka before 3.8 left an empty file.
    pub broker_epoch: Option<BrokerEpoch>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    version: i32,
    broker_epoch: Option<i64>,
}

/// Whether the directory was closed in good order. That the file is there says it: its content is only about the
/// epoch.
pub fn read(disk: &dyn Disk, directory: &Path) -> io::Result<Option<CleanShutdown>> {
    let content = match disk.read(&directory.join(CLEAN_SHUTDOWN_FILE), MAX_FILE_BYTES) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Vec::new(),
        Err(error) => return Err(error),
    };
    let content = serde_json::from_slice::<Content>(&content).ok();
    let broker_epoch = content.and_then(|content| content.broker_epoch).filter(|epoch| *epoch >= 0);
    Ok(Some(CleanShutdown { broker_epoch: broker_epoch.map(BrokerEpoch) }))
}

/// Leaves the marker: the last thing that is written to a directory.
pub fn write(disk: &dyn Disk, directory: &Path, broker_epoch: Option<BrokerEpoch>) -> io::Result<()> {
    let epoch = broker_epoch.map_or(-1, |epoch| epoch.0);
    let content = serde_json::to_vec(&Content { version: VERSION, broker_epoch: Some(epoch) })?;
    disk.write_atomically(&directory.join(CLEAN_SHUTDOWN_FILE), &content)
}

/// Takes the marker away, durably: whatever is written afterwards finds a directory that is not clean.
pub fn remove(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    disk.remove_file(&directory.join(CLEAN_SHUTDOWN_FILE))?;
    disk.sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    #[test]
    fn the_marker_is_kafkas() {
        let disk = SimDisk::new(0);
        let directory = Path::new("data");
        disk.create_directory(directory).unwrap();
        assert_eq!(read(&*disk, directory).unwrap(), None);
        write(&*disk, directory, Some(BrokerEpoch(12))).unwrap();
        let content = disk.read(&directory.join(CLEAN_SHUTDOWN_FILE), 100).unwrap();
        assert_eq!(content, br#"{"version":0,"brokerEpoch":12}"#);
        let expected = CleanShutdown { broker_epoch: Some(BrokerEpoch(12)) };
        assert_eq!(read(&*disk, directory).unwrap(), Some(expected));
        remove(&*disk, directory).unwrap();
        assert_eq!(read(&*disk, directory).unwrap(), None);
    }

    #[test]
    fn the_file_alone_says_clean() {
        let disk = SimDisk::new(0);
        disk.create_directory(Path::new("data")).unwrap();
        for content in ["", "{", r#"{"version":0,"brokerEpoch":-1}"#, r#"{"version":0,"brokerEpoch":null,"more":1}"#]
        {
            disk.write_atomically(&Path::new("data").join(CLEAN_SHUTDOWN_FILE), content.as_bytes()).unwrap();
            let expected = Some(CleanShutdown { broker_epoch: None });
            assert_eq!(read(&*disk, Path::new("data")).unwrap(), expected, "{content}");
        }
    }
}
