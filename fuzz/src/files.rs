//! The small files of a log directory, and the broker's configuration; the first byte chooses which. What is read and
//! written again reads the same.

use std::path::Path;

use ottla::config::{self, Sources};
use ottla::ids::{BrokerId, DirectoryId, Offset};
use ottla::io::Disk;
use ottla::io::sim::SimDisk;
use ottla::log::leader_epochs::{EpochEntry, LeaderEpochs};
use ottla::log::meta_properties::MetaProperties;
use ottla::log::producer_state::{ProducerStateConfig, ProducerStateManager};
use ottla::log::{checkpoints, clean_shutdown, partition_metadata};

const NOW_MS: i64 = 1_700_000_000_000;

/// By the first byte of the input.
type FileKind = (&'static str, fn(&[u8]));

/// The names are those of the seeds.
pub const KINDS: &[FileKind] = &[
    ("leader-epoch-checkpoint", |content| leader_epochs(&text(content))),
    ("offset-checkpoint", |content| offset_checkpoint(&text(content))),
    ("meta.properties", |content| meta_properties(&text(content))),
    ("partition.metadata", |content| topic_id(&text(content))),
    ("producer-snapshot", producer_snapshot),
    ("clean-shutdown", clean_marker),
    ("server.properties", |content| server_properties(&text(content))),
];

pub fn run(data: &[u8]) {
    let Some((&kind, content)) = data.split_first() else { return };
    if let Some((_, read)) = KINDS.get(usize::from(kind)) {
        read(content);
    }
}

/// As the broker turns a file into text.
fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}

fn leader_epochs(content: &str) {
    let Ok(mut epochs) = LeaderEpochs::decode(content) else { return };
    assert_eq!(LeaderEpochs::decode(&epochs.encode()).as_ref(), Ok(&epochs));
    let grows = |pair: &[EpochEntry]| pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset;
    assert!(epochs.entries().windows(2).all(grows));
    let Some(middle) = epochs.entries().get(epochs.entries().len() / 2).copied() else { return };
    assert_eq!(epochs.epoch_for_offset(middle.start_offset), Some(middle.epoch));
    let _ = epochs.end_offset_for(middle.epoch, Offset(i64::MAX));
    epochs.truncate_from_start(middle.start_offset);
    assert_eq!(epochs.earliest(), Some(middle));
    epochs.truncate_from_end(middle.start_offset);
    assert!(epochs.is_empty());
}

fn offset_checkpoint(content: &str) {
    let Ok(offsets) = checkpoints::decode(content) else { return };
    assert_eq!(checkpoints::decode(&checkpoints::encode(&offsets)), Ok(offsets));
}

fn meta_properties(content: &str) {
    let Ok(meta) = MetaProperties::decode(content) else { return };
    let (cluster_id, node_id) = (meta.cluster_id.unwrap_or_default(), meta.node_id.unwrap_or(BrokerId(0)));
    let directory_id = meta.directory_id.unwrap_or(DirectoryId(uuid::Uuid::from_u128(1 << 100)));
    let written = MetaProperties::encode(&cluster_id, node_id, directory_id);
    let expected = MetaProperties {
        version: 1,
        cluster_id: Some(cluster_id),
        node_id: Some(node_id),
        directory_id: Some(directory_id),
    };
    assert_eq!(MetaProperties::decode(&written), Ok(expected), "{written:?}");
}

fn topic_id(content: &str) {
    let Ok(topic_id) = partition_metadata::decode(content) else { return };
    assert_eq!(partition_metadata::decode(&partition_metadata::encode(topic_id)), Ok(topic_id));
}

fn producer_snapshot(content: &[u8]) {
    let _ = ProducerStateManager::decode_snapshot(content);
    let sealed = sealed_snapshot(content);
    let Some(first) = reload_snapshot(&sealed) else { return };
    assert!(first.len() <= sealed.len(), "a snapshot is never longer for being read");
    assert_eq!(reload_snapshot(&first).as_ref(), Some(&first));
}

/// The snapshot of what a snapshot says.
fn reload_snapshot(content: &[u8]) -> Option<Vec<u8>> {
    let entries = ProducerStateManager::decode_snapshot(content).ok()?;
    let mut producers = ProducerStateManager::new(ProducerStateConfig::default());
    producers.load(entries, Offset(7), NOW_MS);
    assert_eq!(producers.map_end_offset(), Offset(7));
    let _ = producers.last_stable_offset(Offset(7));
    let again = producers.encode_snapshot();
    producers.remove_expired(i64::MAX);
    producers.on_high_watermark_updated(Offset(7));
    Some(again)
}

/// A snapshot with the checksum that its content has: one that is guessed is hardly ever right.
pub fn sealed_snapshot(content: &[u8]) -> Vec<u8> {
    let mut sealed = content.to_vec();
    if sealed.len() >= 6 {
        let crc = crc32c::crc32c(&sealed[6..]);
        sealed[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    sealed
}

fn clean_marker(content: &[u8]) {
    let (disk, directory) = (SimDisk::new(0), Path::new("data"));
    disk.create_directory(directory).expect("the disk is sound");
    disk.write_atomically(&directory.join(clean_shutdown::CLEAN_SHUTDOWN_FILE), content).expect("the disk is sound");
    let read = || clean_shutdown::read(&*disk, directory).expect("any content is a marker");
    let first = read().expect("the file is there");
    clean_shutdown::write(&*disk, directory, first.broker_epoch).expect("the disk is sound");
    assert_eq!(read(), Some(first));
}

fn server_properties(content: &str) {
    let file = |text: String| Sources { file: Some(("server.properties".into(), text)), ..Sources::default() };
    match config::load(&file(content.to_owned())) {
        Err(errors) => {
            assert!(!errors.0.is_empty());
            assert!(errors.0.iter().all(|error| error.to_string().lines().count() == 1));
        }
        Ok(loaded) => {
            assert!(loaded.warnings.iter().all(|warning| warning.lines().count() == 1));
            let shown = config::show(&loaded.config);
            let again = config::load(&file(shown.join("\n"))).expect("what is shown is a configuration");
            assert_eq!(settings(&config::show(&again.config)), settings(&shown));
        }
    }
}

/// Without the comments, which tell where a value was found.
fn settings(shown: &[String]) -> Vec<&String> {
    shown.iter().filter(|line| !line.starts_with('#')).collect()
}
