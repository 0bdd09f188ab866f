//! `ottla.untouched`: the directory is another broker's, which may be started on it again.
//!
//! ```text
//!   {"about":"...","topic_configs":{"orders":{"settings":{"retention.ms":"1000"}}},"open":true}
//! ```
//! It is written, synced, before the metadata store comes to be, and goes with the first write. As long as it is there,
//! every start takes over anew what the other broker left, so that nothing is out of date if that one ran in between. So
//! it also keeps what the user said once and would have to say each time.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::topic_configs::TopicConfigs;
use crate::io::Disk;

/// The note's name, in the first log directory.
const NOTE_FILE: &str = "ottla.untouched";
const MAX_FILE_BYTES: u64 = 256 << 20;
const ABOUT: &str = "Ottla has taken over what Kafka left here and has written nothing yet: Kafka may still be started \
                     on it again. This file goes with the first write.";

/// What the user said about taking over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--adopt-configs`.
    pub topic_configs: Option<TopicConfigs>,
    /// `--adopt-open`: users, rules and tokens may stay without effect.
    pub open: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_configs: Option<TopicConfigs>,
    #[serde(default)]
    open: bool,
}

/// Where the note of a broker lies whose first log directory this is.
pub fn path(first_log_dir: &Path) -> PathBuf {
    first_log_dir.join(NOTE_FILE)
}

/// What was said before; `None`: there is no note. `InvalidData`: one that can't be read.
pub fn read(disk: &dyn Disk, first_log_dir: &Path) -> io::Result<Option<Wishes>> {
    let content = match disk.read(&path(first_log_dir), MAX_FILE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content?,
    };
    let content: Content = serde_json::from_slice(&content)?;
    Ok(Some(Wishes { topic_configs: content.topic_configs, open: content.open }))
}

/// Leaves the note; durable when it returns.
pub fn write(disk: &dyn Disk, first_log_dir: &Path, wishes: &Wishes) -> io::Result<()> {
    let Wishes { topic_configs, open } = wishes.clone();
    let content = serde_json::to_vec_pretty(&Content { about: ABOUT.to_owned(), topic_configs, open })?;
    disk.write_atomically(&path(first_log_dir), &content)
}

impl Wishes {
    /// What is said now counts, and what was said before where nothing is.
    #[must_use]
    pub fn or_before(self, before: Self) -> Self {
        Self { topic_configs: self.topic_configs.or(before.topic_configs), open: self.open || before.open }
    }
}
