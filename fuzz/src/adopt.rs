//! What a Kafka left and Ottla is to take over; the first byte chooses: a metadata log, one record of it, what Kafka's
//! tools print about topics, a snapshot of the metadata, the quorum's state, or the note of an earlier adoption.

use std::io::IoSlice;
use std::path::Path;

use ottla::adopt::metadata_log::{self, METADATA_FOLDER};
use ottla::adopt::metadata_records::MetadataRecord;
use ottla::adopt::note;
use ottla::adopt::plan::Plan;
use ottla::adopt::survey::Survey;
use ottla::adopt::topic_configs;
use ottla::config::BrokerConfig;
use ottla::io::sim::SimDisk;
use ottla::io::{Disk, OpenMode};

/// Base offset and length, which the length itself does not count; where the checksum is, and what it covers.
const LENGTH_AT: usize = 8;
const BEHIND_LENGTH: usize = 12;
const CRC_AT: usize = 17;
const COVERED_AT: usize = 21;

pub fn run(data: &[u8]) {
    let Some((&kind, content)) = data.split_first() else { return };
    match kind % 6 {
        0 => metadata("00000000000000000000.log", &sealed(content)),
        1 => drop(MetadataRecord::decode(content)),
        2 => drop(topic_configs::parse(&String::from_utf8_lossy(content))),
        3 => metadata("00000000000000000005-0000000001.checkpoint", &sealed(content)),
        4 => metadata("quorum-state", content),
        _ => note(content),
    }
}

fn note(content: &[u8]) {
    let (disk, log_dir) = (SimDisk::new(0), Path::new("data"));
    disk.create_directory(log_dir).expect("the disk is sound");
    disk.write_atomically(&note::path(log_dir), content).expect("the disk is sound");
    let Ok(wishes) = note::read(&*disk, log_dir) else { return };
    let wishes = wishes.expect("it is there");
    note::write(&*disk, log_dir, &wishes).expect("the disk is sound");
    assert_eq!(note::read(&*disk, log_dir).expect("it was written"), Some(wishes));
}

/// Without a single folder no partition may be served, whatever the metadata says.
fn metadata(file: &str, content: &[u8]) {
    let (disk, log_dir) = (SimDisk::new(0), Path::new("data"));
    let folder = log_dir.join(METADATA_FOLDER);
    disk.create_directory(&folder).expect("the disk is sound");
    let file = disk.open(&folder.join(file), OpenMode::Create).expect("the disk is sound");
    file.write_all_at(&[IoSlice::new(content)], 0).expect("the disk is sound");
    let Ok(Some(log)) = metadata_log::read(&*disk, log_dir) else { return };
    let Ok(plan) = Plan::decide(&BrokerConfig::default(), log.metadata, &Survey::default()) else { return };
    assert_eq!(plan.partition_count(), 0);
}

/// Every batch with the checksum that it has: one that is guessed is hardly ever right.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut sealed = content.to_vec();
    let mut rest = &mut sealed[..];
    while let Some(length) = rest.get(LENGTH_AT..BEHIND_LENGTH) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some((batch, behind)) = rest.split_at_mut_checked(BEHIND_LENGTH.saturating_add(length)) else { break };
        if batch.len() >= COVERED_AT {
            let crc = crc32c::crc32c(&batch[COVERED_AT..]);
            batch[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
        }
        rest = behind;
    }
    sealed
}
