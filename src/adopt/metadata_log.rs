//! Reading `__cluster_metadata-0`: the newest snapshot, and the log behind it.
//!
//! ```text
//!  00000000000000001200-0000000003.checkpoint     all metadata below offset 1200, epoch 3
//!  00000000000000000000.log                       batches from 0 on, without holes: a metadata log is never compacted
//!  00000000000000000980.log
//!  quorum-state                                   JSON: the epoch that this node knows of, before 3.9 the voters
//!    {"leaderId":1,"leaderEpoch":3,"votedId":-1,"currentVoters":[{"voterId":1}],"data_version":0}
//!  bootstrap.checkpoint                           in the log directory itself: what kafka-storage was told, not yet read
//! ```
//! Batches are those of any log (`protocol/batch.rs`), records those of [`super::metadata_records`].
//!
//! **What counts as committed.** A single voter commits what it has written, so all whole batches count. With several
//! voters the high watermark is on no disk. All that this node has is taken even so: it is what the quorum would have
//! gone on with, had this node been elected, and what it holds beyond the high watermark are requests that nobody was
//! answered. The one case where that is wrong is a node that has learned of a newer epoch than its log ends with: its
//! end may contradict what the other voters committed meanwhile, and it is refused.
//!
//! One batch is in memory at a time. A batch cut short by the end of the newest segment is where a crash stopped the
//! writing; any other damage is an error that says where.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use uuid::Uuid;

use super::kafka_metadata::{KafkaMetadata, Replay, ReplayError};
use super::metadata_records::{MetadataRecord, MetadataRecordError};
use crate::coordinator::record_codec::{Field, Reader, RecordError, schema};
use crate::ids::Offset;
use crate::io::{Disk, DiskFile, EntryKind, OpenMode};
use crate::protocol::batch::{self, BatchError, BatchHeader, HEADER_BYTES};
use crate::protocol::records::{BatchRecords, Record, RecordsError};

/// The folder that KRaft keeps its log in.
pub const METADATA_FOLDER: &str = "__cluster_metadata-0";
/// What `kafka-storage format` leaves for the first start.
const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
const QUORUM_STATE_FILE: &str = "quorum-state";

/// KRaft writes 8 MiB at most.
const MAX_BATCH_BYTES: usize = 32 << 20;
/// And does not compress; what is compressed anyway may become this large.
const MAX_RECORDS_BYTES: usize = 64 << 20;
const MAX_QUORUM_STATE_BYTES: u64 = 1 << 20;

/// Why the metadata can't be read: names the file and the place.
#[derive(Debug, thiserror::Error)]
pub enum MetadataLogError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Damaged { path: PathBuf, position: u64, reason: String },
    #[error("{}, offset {offset}: {source}", path.display())]
    Record { path: PathBuf, offset: Offset, source: RecordProblem },
    #[error("{}: the log goes on at offset {found}, and {expected} should follow", path.display())]
    Gap { path: PathBuf, expected: Offset, found: Offset },
    #[error(
        "{}: the log ends in epoch {last}, and this node knew of epoch {known}: other voters ({voters}) may have \
         committed something else; start Kafka once more, or adopt another node's directory", path.display()
    )]
    Stale { path: PathBuf, last: i32, known: i32, voters: String },
}

/// What is wrong with one record.
#[derive(Debug, thiserror::Error)]
pub enum RecordProblem {
    #[error(transparent)]
    Metadata(#[from] MetadataRecordError),
    #[error("a control record of type {0}, which is not known: a newer Kafka wrote it")]
    UnknownControl(i16),
    #[error("a control record that can't be read: {0}")]
    Control(RecordError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Kafka's metadata, and how far it was read.
#[derive(Debug)]
pub struct MetadataLog {
    pub metadata: KafkaMetadata,
    /// The offset behind the last record.
    pub end_offset: Offset,
    /// End and epoch of the snapshot that was read.
    pub snapshot: Option<(Offset, i32)>,
    /// The nodes that voted for leaders, as far as they are written down.
    pub voters: Vec<i32>,
    /// Bytes at the end that are no whole batch.
    pub torn_bytes: u64,
}

/// Reads the metadata of the log directory; `None` where there is no KRaft log in it, or one that nothing was ever
/// written to.
pub fn read(disk: &dyn Disk, log_dir: &Path) -> Result<Option<MetadataLog>, MetadataLogError> {
    let folder = log_dir.join(METADATA_FOLDER);
    let files = Files::list(disk, &folder)?;
    let mut reading = Reading::default();
    if let Some((end_offset, epoch, name)) = files.newest_snapshot() {
        reading.file(disk, &folder.join(name), Place::Snapshot)?;
        (reading.next_offset, reading.last_epoch) = (*end_offset, *epoch);
        reading.snapshot = Some((*end_offset, *epoch));
    } else if disk.exists(&log_dir.join(BOOTSTRAP_FILE)) {
        // The first start copies its records to the log.
        reading.file(disk, &log_dir.join(BOOTSTRAP_FILE), Place::Snapshot)?;
    }
    let segments = files.segments_from(reading.next_offset);
    for (at, (_, name)) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        reading.file(disk, &folder.join(name), Place::Segment { is_last })?;
    }
    reading.finish(disk, &folder)
}

/// The files that matter, sorted.
#[derive(Default)]
struct Files {
    snapshots: Vec<(Offset, i32, String)>,
    segments: Vec<(Offset, String)>,
}

impl Files {
    fn list(disk: &dyn Disk, folder: &Path) -> Result<Self, MetadataLogError> {
        let mut files = Self::default();
        if !disk.exists(folder) {
            return Ok(files);
        }
        for entry in disk.list(folder).map_err(at(folder))?.into_iter().filter(|entry| entry.kind == EntryKind::File)
        {
            if let Some((end_offset, epoch)) = entry.name.strip_suffix(".checkpoint").and_then(snapshot_name) {
                files.snapshots.push((end_offset, epoch, entry.name));
            } else if let Some(base_offset) = entry.name.strip_suffix(".log").and_then(|name| digits(name, 20)) {
                files.segments.push((Offset(base_offset), entry.name));
            }
        }
        files.snapshots.sort_unstable();
        files.segments.sort_unstable();
        Ok(files)
    }

    fn newest_snapshot(&self) -> Option<&(Offset, i32, String)> {
        self.snapshots.last()
    }

    /// The segments from the one on that reaches up to `offset`.
    fn segments_from(&self, offset: Offset) -> &[(Offset, String)] {
        let first = self.segments.partition_point(|(base, _)| *base <= offset).saturating_sub(1);
        &self.segments[first..]
    }
}

/// `<end offset, 20 digits>-<epoch, 10 digits>`.
fn snapshot_name(name: &str) -> Option<(Offset, i32)> {
    let (end_offset, epoch) = name.split_once('-')?;
    Some((Offset(digits(end_offset, 20)?), i32::try_from(digits(epoch, 10)?).ok()?))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> MetadataLogError {
    move |source| MetadataLogError::Io { path: path.to_owned(), source }
}

/// What a file is a part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Whole, its offsets are its own.
    Snapshot,
    Segment {
        is_last: bool,
    },
}

#[derive(Default)]
struct Reading {
    replay: Replay,
    next_offset: Offset,
    last_epoch: i32,
    snapshot: Option<(Offset, i32)>,
    voters: Vec<i32>,
    torn_bytes: u64,
}

impl Reading {
    fn file(&mut self, disk: &dyn Disk, path: &Path, place: Place) -> Result<(), MetadataLogError> {
        let file = disk.open(path, OpenMode::Read).map_err(at(path))?;
        let end = file.size_bytes().map_err(at(path))?;
        let mut position = 0;
        while position < end {
            let damaged = |error: BatchError| MetadataLogError::Damaged {
                path: path.to_owned(),
                position,
                reason: error.to_string(),
            };
            let bytes = match read_batch(&*file, position, end).map_err(at(path))? {
                Ok(bytes) => bytes,
                Err(BatchError::Truncated { .. }) if place == (Place::Segment { is_last: true }) => {
                    self.torn_bytes = end - position;
                    return Ok(());
                }
                Err(error) => return Err(damaged(error)),
            };
            let (header, _) = batch::read_batch(&bytes).map_err(damaged)?;
            if matches!(place, Place::Segment { .. }) {
                self.follow(&header, path)?;
            }
            self.batch(&header, &bytes, place).map_err(|problem| problem.in_file(path, position))?;
            position += bytes.len() as u64;
        }
        Ok(())
    }

    /// Checks that a batch of the log begins where the last one ended; the first may reach back below the snapshot.
    fn follow(&mut self, header: &BatchHeader, path: &Path) -> Result<(), MetadataLogError> {
        if header.base_offset > self.next_offset {
            let (expected, found) = (self.next_offset, header.base_offset);
            return Err(MetadataLogError::Gap { path: path.to_owned(), expected, found });
        }
        if header.last_offset() >= self.next_offset {
            self.last_epoch = header.leader_epoch.0;
        }
        Ok(())
    }

    fn batch(&mut self, header: &BatchHeader, bytes: &[u8], place: Place) -> Result<(), BatchProblem> {
        let records = BatchRecords::open(bytes, MAX_RECORDS_BYTES)?;
        for record in records.walk() {
            let record = record.map_err(RecordsError::from)?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            if matches!(place, Place::Segment { .. }) {
                if offset < self.next_offset {
                    continue;
                }
                self.next_offset = offset.next();
            }
            let taken = if header.is_control() { self.control(&record) } else { self.record(&record) };
            taken.map_err(|source| BatchProblem::Record(offset, source))?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), RecordProblem> {
        let value = record.value.ok_or(MetadataRecordError::NoValue)?;
        self.replay.take_in(MetadataRecord::decode(value)?)?;
        Ok(())
    }

    /// Raft's own records: of their contents only the voters matter.
    fn control(&mut self, record: &Record<'_>) -> Result<(), RecordProblem> {
        const LEADER_CHANGE: i16 = 2;
        const SNAPSHOT_HEADER: i16 = 3;
        const KRAFT_VERSION: i16 = 5;
        const KRAFT_VOTERS: i16 = 6;
        let mut key = Reader::new(record.key.unwrap_or_default());
        let _version = i16::take(&mut key).map_err(RecordProblem::Control)?;
        match i16::take(&mut key).map_err(RecordProblem::Control)? {
            kind @ (LEADER_CHANGE | KRAFT_VOTERS) => {
                let value = record.value.unwrap_or_default();
                self.voters = take_voters(value, kind == KRAFT_VOTERS).map_err(RecordProblem::Control)?;
                Ok(())
            }
            // Between the two lies the snapshot's footer.
            SNAPSHOT_HEADER..=KRAFT_VERSION => Ok(()),
            other => Err(RecordProblem::UnknownControl(other)),
        }
    }

    fn finish(mut self, disk: &dyn Disk, folder: &Path) -> Result<Option<MetadataLog>, MetadataLogError> {
        let quorum = QuorumState::read(disk, &folder.join(QUORUM_STATE_FILE))?;
        if self.voters.is_empty() {
            self.voters = quorum.voters();
        }
        let metadata = self.replay.finish();
        if self.next_offset == Offset::ZERO && !metadata.is_secured() {
            return Ok(None);
        }
        if self.voters.len() > 1 && quorum.leader_epoch > self.last_epoch {
            let voters = self.voters.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            let (last, known) = (self.last_epoch, quorum.leader_epoch);
            return Err(MetadataLogError::Stale { path: folder.to_owned(), last, known, voters });
        }
        Ok(Some(MetadataLog {
            metadata,
            end_offset: self.next_offset,
            snapshot: self.snapshot,
            voters: self.voters,
            torn_bytes: self.torn_bytes,
        }))
    }
}

/// What is wrong within a batch.
enum BatchProblem {
    Records(RecordsError),
    Record(Offset, RecordProblem),
}

impl From<RecordsError> for BatchProblem {
    fn from(error: RecordsError) -> Self {
        Self::Records(error)
    }
}

impl BatchProblem {
    fn in_file(self, path: &Path, position: u64) -> MetadataLogError {
        let path = path.to_owned();
        match self {
            Self::Records(error) => MetadataLogError::Damaged { path, position, reason: error.to_string() },
            Self::Record(offset, source) => MetadataLogError::Record { path, offset, source },
        }
    }
}

/// The bytes of the batch at `position`; nothing of it is checked but its length.
fn read_batch(file: &dyn DiskFile, position: u64, end: u64) -> io::Result<Result<Vec<u8>, BatchError>> {
    let left = usize::try_from(end - position).unwrap_or(usize::MAX);
    let mut header = [0; HEADER_BYTES];
    let read = file.read_at(&mut header, position)?;
    let size_bytes = match BatchHeader::read(&header[..read]) {
        Ok(header) => header.size_bytes(),
        Err(error) => return Ok(Err(error)),
    };
    if size_bytes > left {
        return Ok(Err(BatchError::Truncated { needed: size_bytes, available: left }));
    }
    if size_bytes > MAX_BATCH_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a batch of {size_bytes} bytes")));
    }
    let mut bytes = vec![0; size_bytes];
    if file.read_at(&mut bytes, position)? < size_bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Ok(bytes))
}

schema! {
    /// A voter in a change of leaders, version 0.
    pub struct NumberedVoter {
        id: i32,
    }
}

schema! {
    /// A voter in a change of leaders, version 1.
    pub struct PlacedVoter {
        id: i32,
        directory: Uuid,
    }
}

schema! {
    /// A voter in the list of voters (KIP-853).
    pub struct ListedVoter {
        id: i32,
        directory: Uuid,
        endpoints: Vec<VoterEndpoint>,
        versions: VersionRange,
    }
}

schema! {
    /// Where a voter listens.
    pub struct VoterEndpoint {
        name: String,
        host: String,
        port: i16,
    }
}

schema! {
    /// The versions of KRaft that a voter speaks.
    pub struct VersionRange {
        min: i16,
        max: i16,
    }
}

/// The ids of the voters in a list of voters, or in a change of leaders.
fn take_voters(value: &[u8], is_list: bool) -> Result<Vec<i32>, RecordError> {
    let mut from = Reader::new(value);
    from.flexible(true);
    let version = i16::take(&mut from)?;
    if is_list {
        return Ok(Vec::<ListedVoter>::take(&mut from)?.iter().map(|voter| voter.id).collect());
    }
    let _leader = i32::take(&mut from)?;
    Ok(match version {
        0 => Vec::<NumberedVoter>::take(&mut from)?.iter().map(|voter| voter.id).collect(),
        _ => Vec::<PlacedVoter>::take(&mut from)?.iter().map(|voter| voter.id).collect(),
    })
}

/// What of `quorum-state` matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuorumState {
    leader_epoch: i32,
    /// Before 3.9.
    #[serde(default)]
    current_voters: Option<Vec<QuorumVoter>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuorumVoter {
    voter_id: i32,
}

impl QuorumState {
    /// Absent: the node has never taken part.
    fn read(disk: &dyn Disk, path: &Path) -> Result<Self, MetadataLogError> {
        let content = match disk.read(path, MAX_QUORUM_STATE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { leader_epoch: -1, current_voters: None });
            }
            content => content.map_err(at(path))?,
        };
        serde_json::from_slice(&content).map_err(|error| MetadataLogError::Damaged {
            path: path.to_owned(),
            position: 0,
            reason: error.to_string(),
        })
    }

    fn voters(&self) -> Vec<i32> {
        self.current_voters.iter().flatten().map(|voter| voter.voter_id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::io::sim::SimDisk;
    use crate::protocol::records::{NewRecord, RecordBatchBuilder};

    const LOG_DIR: &str = "data";

    /// A log directory whose metadata log is made of these files.
    fn disk_with(files: &[(&str, Vec<u8>)]) -> Arc<SimDisk> {
        let disk = SimDisk::new(0);
        disk.create_directory(&Path::new(LOG_DIR).join(METADATA_FOLDER)).unwrap();
        for (name, content) in files {
            let folder =
                if *name == BOOTSTRAP_FILE { LOG_DIR.into() } else { Path::new(LOG_DIR).join(METADATA_FOLDER) };
            let file = disk.open(&folder.join(name), OpenMode::Create).unwrap();
            file.write_all_at(&[IoSlice::new(content)], 0).unwrap();
        }
        disk
    }

    fn read_from(files: &[(&str, Vec<u8>)]) -> Result<Option<MetadataLog>, MetadataLogError> {
        read(&*disk_with(files), Path::new(LOG_DIR))
    }

    #[track_caller]
    fn check_refused(files: &[(&str, Vec<u8>)], expected: &str) {
        let error = read_from(files).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn batch(builder: RecordBatchBuilder, records: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut builder = builder;
        for &(key, value) in records {
            let key = (!key.is_empty()).then_some(key);
            builder.append(&NewRecord { timestamp_ms: 0, key, value: Some(value), headers: &[] });
        }
        builder.build().unwrap()
    }

    fn at_offset(offset: i64, epoch: i32) -> RecordBatchBuilder {
        RecordBatchBuilder::new(Offset(offset)).leader_epoch(LeaderEpoch(epoch))
    }

    /// A ProducerIdsRecord, by which one sees how far the reading went.
    fn block(next: u8) -> Vec<u8> {
        [&[1, 15, 0][..], &[0; 12], &[0, 0, 0, 0, 0, 0, 0, next], &[0]].concat()
    }

    /// Batches of one record each, from an offset on.
    fn segment(from: u8, to: u8) -> Vec<u8> {
        (from..to).flat_map(|offset| batch(at_offset(offset.into(), 3), &[(&[], &block(offset))])).collect()
    }

    /// Voters of a LeaderChange of version 0.
    fn leader_change(offset: i64, epoch: i32, voters: &[u8]) -> Vec<u8> {
        let mut value = vec![0, 0, 0, 0, 0, 1, voters.len() as u8 + 1];
        for voter in voters {
            value.extend([0, 0, 0, *voter, 0]);
        }
        value.extend([1, 0]);
        batch(at_offset(offset, epoch).control(), &[(&[0, 0, 0, 2], &value)])
    }

    fn quorum(epoch: i32) -> Vec<u8> {
        format!(r#"{{"leaderId":1,"leaderEpoch":{epoch},"votedId":1,"data_version":1}}"#).into_bytes()
    }

    fn next(log: &MetadataLog) -> Option<i64> {
        log.metadata.next_producer_id
    }

    const FIRST: &str = "00000000000000000000.log";
    const FIFTH: &str = "00000000000000000005.log";

    #[test]
    fn segments_follow_each_other() {
        let log = read_from(&[(FIRST, segment(0, 5)), (FIFTH, segment(5, 9))]).unwrap().unwrap();
        assert_eq!((next(&log), log.end_offset, log.snapshot), (Some(8), Offset(9), None));
        check_refused(&[(FIFTH, segment(5, 9))], "goes on at offset 5, and 0 should follow");
        check_refused(&[(FIRST, segment(0, 4)), (FIFTH, segment(5, 9))], "goes on at offset 5, and 4 should follow");
    }

    #[test]
    fn the_newest_snapshot_replaces_what_is_below_it() {
        let old = ("00000000000000000002-0000000001.checkpoint", segment(40, 41));
        let new = ("00000000000000000004-0000000002.checkpoint", segment(50, 51));
        let half = ("00000000000000000008-0000000002.checkpoint.part", vec![1]);
        let files = [old, new.clone(), half, (FIRST, vec![0; 99]), ("00000000000000000003.log", segment(3, 7))];
        let log = read_from(&files).unwrap().unwrap();
        assert_eq!((next(&log), log.end_offset, log.snapshot), (Some(6), Offset(7), Some((Offset(4), 2))));
        let log = read_from(std::slice::from_ref(&new)).unwrap().unwrap();
        assert_eq!((next(&log), log.end_offset), (Some(50), Offset(4)), "no log behind it");
        check_refused(&[new, (FIFTH, segment(5, 9))], "goes on at offset 5, and 4 should follow");
    }

    #[test]
    fn only_the_end_of_the_log_may_be_torn() {
        let mut torn = segment(0, 5);
        torn.truncate(torn.len() - 3);
        let log = read_from(&[(FIRST, torn.clone())]).unwrap().unwrap();
        assert_eq!((next(&log), log.end_offset), (Some(3), Offset(4)));
        assert!(log.torn_bytes > 0);
        check_refused(&[(FIRST, torn), (FIFTH, segment(5, 6))], "is damaged at byte");
        let mut flipped = segment(0, 5);
        let last = flipped.len() - 2;
        flipped[last] ^= 1;
        check_refused(&[(FIRST, flipped)], "CRC-32C");
    }

    #[test]
    fn a_directory_that_was_only_formatted_holds_nothing() {
        assert!(read_from(&[]).unwrap().is_none());
        let bootstrap = (BOOTSTRAP_FILE, segment(0, 1));
        assert!(read_from(std::slice::from_ref(&bootstrap)).unwrap().is_none());
        let empty = ("00000000000000000000-0000000000.checkpoint", leader_change(0, 0, &[1]));
        assert!(read_from(&[bootstrap, empty]).unwrap().is_none());
        let scram = [&[1, 11, 0, 2, b'a', 1][..], &[1, 1, 1], &[0, 0, 16, 0], &[0]].concat();
        let secured = (BOOTSTRAP_FILE, batch(at_offset(0, 0), &[(&[], &scram)]));
        assert!(read_from(&[secured]).unwrap().unwrap().metadata.is_secured());
    }

    #[test]
    fn a_voter_that_knows_of_a_newer_epoch_is_refused_unless_it_is_alone() {
        let log = |voters: &[u8]| [leader_change(0, 3, voters), segment(1, 3)].concat();
        let read = |voters: &[u8], epoch| read_from(&[(FIRST, log(voters)), (QUORUM_STATE_FILE, quorum(epoch))]);
        assert_eq!(read(&[1, 2, 3], 3).unwrap().unwrap().voters, [1, 2, 3]);
        assert_eq!(read(&[1], 4).unwrap().unwrap().voters, [1]);
        let error = read(&[1, 2, 3], 4).unwrap_err().to_string();
        assert!(error.contains("ends in epoch 3, and this node knew of epoch 4: other voters (1, 2, 3)"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_named_with_its_place() {
        let unknown = batch(at_offset(1, 0), &[(&[], &[1, 77, 0])]);
        check_refused(&[(FIRST, [segment(0, 1), unknown].concat())], "offset 1: a metadata record of type 77");
        let control = batch(at_offset(0, 0).control(), &[(&[0, 0, 0, 9], &[0])]);
        check_refused(&[(FIRST, control)], "offset 0: a control record of type 9");
        check_refused(&[(FIRST, segment(0, 1)), (QUORUM_STATE_FILE, b"{".to_vec())], "quorum-state is damaged");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(cut in 0..600_usize, flips in prop::collection::vec((0..600_usize, any::<u8>()), 0..4)) {
            let mut bytes = [leader_change(0, 3, &[1]), segment(1, 6)].concat();
            for (at, flip) in flips {
                let at = at % bytes.len();
                bytes[at] ^= flip;
            }
            bytes.truncate(cut);
            let _ = read_from(&[(FIRST, bytes)]);
        }
    }
}
