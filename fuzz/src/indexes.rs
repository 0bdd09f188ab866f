//! The index files of a segment: kind, base offset, size of the log and what is looked for, then the file.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use ottla::ids::{Offset, ProducerId};
use ottla::io::sim::SimDisk;
use ottla::io::{Disk, OpenMode};
use ottla::log::directory::{FileKind, PartitionDirectory};
use ottla::log::offset_index::{OFFSET_ENTRY_BYTES, OffsetIndex};
use ottla::log::time_index::{TIME_ENTRY_BYTES, TimeIndex, TimestampOffset};
use ottla::log::txn_index::{AbortedTxn, TXN_ENTRY_BYTES, TxnIndex};

use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.u8() % 3;
    let base_offset = Offset(input.i64().max(0));
    let log_bytes = u64::from(input.u32());
    let target = input.i64();
    let content = input.rest();
    match kind {
        0 => offset_index(base_offset, log_bytes, Offset(target), content),
        1 => time_index(base_offset, target, content),
        _ => txn_index(base_offset, Offset(target), content),
    }
}

fn directory_with(kind: FileKind, base_offset: Offset, content: &[u8]) -> Arc<PartitionDirectory> {
    let (disk, path) = (SimDisk::new(0), Path::new("t-0"));
    disk.create_directory(path).expect("the disk is sound");
    let directory = PartitionDirectory::new(disk, path.to_owned());
    let file = directory.open(kind, base_offset, OpenMode::Create).expect("the disk is sound");
    file.write_all_at(&[IoSlice::new(content)], 0).expect("the disk is sound");
    directory
}

fn offset_index(base_offset: Offset, log_bytes: u64, target: Offset, content: &[u8]) {
    let directory = directory_with(FileKind::OffsetIndex, base_offset, content);
    let open = || OffsetIndex::open(Arc::clone(&directory), base_offset, log_bytes);
    let Ok(index) = open() else { return };
    assert_eq!(index.len() * OFFSET_ENTRY_BYTES, content.len());
    let last = index.last();
    assert!(index.is_empty() || last.position < log_bytes);
    assert!(last.offset >= base_offset);
    let found = index.lookup(target).expect("the disk is sound");
    assert!(found.offset <= target.max(base_offset), "{found:?} is beyond {target}");
    index.append(last.offset + 1, last.position + 1);
    index.write_tail().expect("the disk is sound");
    assert_eq!(
        OffsetIndex::open(directory.clone(), base_offset, u64::MAX).map(|again| again.last()).ok(),
        Some(index.last())
    );
    index.truncate_to(target).expect("the disk is sound");
    assert!(index.lookup(target).expect("the disk is sound").offset <= target.max(base_offset));
}

fn time_index(base_offset: Offset, target: i64, content: &[u8]) {
    let directory = directory_with(FileKind::TimeIndex, base_offset, content);
    let Ok(index) = TimeIndex::open(Arc::clone(&directory), base_offset) else { return };
    assert_eq!(index.len() * TIME_ENTRY_BYTES, content.len());
    let last = index.last();
    assert!(last.offset >= base_offset);
    let found = index.lookup(target).expect("the disk is sound");
    assert!(found.timestamp <= target || found.timestamp == -1, "{found:?} is beyond {target}");
    index.maybe_append(TimestampOffset { timestamp: last.timestamp.saturating_add(1), offset: last.offset });
    index.write_tail().expect("the disk is sound");
    let again = TimeIndex::open(Arc::clone(&directory), base_offset).expect("what was written is sound");
    assert_eq!((again.len(), again.last()), (index.len(), index.last()));
    index.truncate_to(Offset(target)).expect("the disk is sound");
    assert!(index.len() <= again.len());
}

fn txn_index(base_offset: Offset, target: Offset, content: &[u8]) {
    let directory = directory_with(FileKind::TxnIndex, base_offset, content);
    let Ok(index) = TxnIndex::open(Arc::clone(&directory), base_offset) else { return };
    let collect = |index: &TxnIndex, up_to: Offset| {
        let mut found = Vec::new();
        index.collect(target, up_to, &mut found).expect("an index that was opened is sound");
        found
    };
    let found = collect(&index, Offset(i64::MAX));
    assert!(found.len() * TXN_ENTRY_BYTES <= content.len());
    assert!(found.iter().all(|txn| txn.last_offset >= target));
    let mut all = Vec::new();
    index.collect(Offset::ZERO, Offset(i64::MAX), &mut all).expect("an index that was opened is sound");
    // Markers come one behind the other, each behind a record.
    let latest = all.iter().map(|txn| txn.last_offset).fold(target.max(base_offset), Offset::max);
    if latest.0 >= i64::MAX - 1 {
        return;
    }
    let aborted = AbortedTxn {
        producer_id: ProducerId(1),
        first_offset: latest,
        last_offset: latest.next(),
        last_stable_offset: latest.next().next(),
    };
    index.append(&aborted).expect("the disk is sound");
    let again = TxnIndex::open(Arc::clone(&directory), base_offset).expect("what was written is sound");
    assert_eq!(collect(&again, Offset(i64::MAX)), collect(&index, Offset(i64::MAX)));
    index.truncate_to(target).expect("the disk is sound");
    assert!(collect(&index, Offset(i64::MAX)).len() <= found.len() + 1);
}
