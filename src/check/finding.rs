//! What a check finds: one fact about one place in one file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ids::{Offset, TopicPartition};

/// Findings that are kept of one partition; of a device that has lost a whole region, the number says enough.
const FINDINGS_KEPT: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It was on the device once, and is no longer what it was.
    Damage,
    /// Behind the recovery point, where a crash may leave anything: the next start puts it right.
    Crash,
    /// Worth a look, and no harm.
    Note,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No sound batch: its header, its length or its checksum.
    Batch,
    /// A batch whose offsets do not follow those before it.
    BatchOrder,
    /// Messages of formats v0 or v1, from before there were batches.
    OldFormat,
    /// Offsets that no batch has.
    Gap,
    /// A batch that names another leader epoch than the checkpoint of epochs.
    LeaderEpoch,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
    ProducerSnapshot,
    LeaderEpochCheckpoint,
    PartitionMetadata,
    /// One of the directory's offset checkpoints.
    Checkpoint,
    MetaProperties,
    CleanShutdown,
    /// `ottla.redb`.
    MetadataStore,
    /// A partition that lies in two places, or in none where one is expected.
    Partition,
    /// A file of a change that was not completed.
    Leftover,
    /// A file or folder of somebody else's.
    Foreign,
}

/// One fact about one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    pub kind: Kind,
    pub path: PathBuf,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    /// The first byte of the file that is in doubt.
    pub position: Option<u64>,
    /// How many bytes are.
    pub bytes: Option<u64>,
    /// The record that would be there.
    pub offset: Option<i64>,
    /// What is there, and what was expected.
    pub message: String,
}

impl Finding {
    pub(super) fn new(level: Level, kind: Kind, path: &Path, message: impl Into<String>) -> Self {
        Self {
            level,
            kind,
            path: path.to_owned(),
            topic: None,
            partition: None,
            position: None,
            bytes: None,
            offset: None,
            message: message.into(),
        }
    }

    pub(super) fn damage(kind: Kind, path: &Path, message: impl Into<String>) -> Self {
        Self::new(Level::Damage, kind, path, message)
    }

    pub(super) fn at(mut self, position: u64, bytes: u64) -> Self {
        self.position = Some(position);
        self.bytes = Some(bytes);
        self
    }

    pub(super) fn offset(mut self, offset: Offset) -> Self {
        self.offset = Some(offset.0);
        self
    }

    pub(super) fn of(mut self, partition: &TopicPartition) -> Self {
        self.topic = Some(partition.topic.to_string());
        self.partition = Some(partition.partition);
        self
    }
}

/// `damage  /data/orders-0/00000000000000000000.log:4096  orders-0, offset 17: ...`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Damage => "damage",
            Level::Crash => "crash ",
            Level::Note => "note  ",
        };
        write!(f, "{level}  {}", self.path.display())?;
        if let Some(position) = self.position {
            write!(f, ":{position}")?;
        }
        f.write_str("  ")?;
        if let (Some(topic), Some(partition)) = (&self.topic, self.partition) {
            write!(f, "{topic}-{partition}")?;
            match self.offset {
                Some(offset) => write!(f, ", offset {offset}: ")?,
                None => f.write_str(": ")?,
            }
        }
        f.write_str(&self.message)
    }
}

/// Findings as they come, of one partition or one directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) kept: Vec<Finding>,
    pub(super) left_out: u64,
    has_damage: bool,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.has_damage |= finding.level == Level::Damage;
        if self.kept.len() < FINDINGS_KEPT {
            self.kept.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.push(finding);
        }
    }

    /// What was taken for the traces of a crash is damage.
    pub(super) fn raise(&mut self, place: usize) {
        self.has_damage = true;
        if let Some(finding) = self.kept.get_mut(place) {
            finding.level = Level::Damage;
            finding.message += "; sound batches follow in the next segment: the next start will cut them off with it";
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.has_damage |= other.has_damage;
        self.left_out += other.left_out;
        self.kept.extend(other.kept);
    }

    pub(super) fn has_damage(&self) -> bool {
        self.has_damage
    }
}
