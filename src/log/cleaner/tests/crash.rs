//! A round that is interrupted at every operation of the disk: what a restart finds is the log before or after, or
//! anything in between that reads the same.

use super::history::History;
use super::*;
use crate::io::sim::{SimFault, SimOperation};

const STEPS: usize = 45;

/// A log that is on the device, and dirty.
fn prepared(seed: u64) -> History {
    let mut history = History::new(seed);
    (0..STEPS).for_each(|_| history.write());
    history.end_all_transactions();
    history.bench.roll();
    history.bench.log.checkpoint(history.bench.now_ms()).unwrap();
    history
}

fn interrupt(seed: u64, operation: SimOperation, after: u64, is_crash: bool) -> bool {
    let mut history = prepared(seed);
    let bench = &mut history.bench;
    let end = bench.log.log_end_offset();
    let (table, cleaned_up_to) = (bench.table(), bench.cleaned_up_to);
    bench.disk.fail_after(operation, after, SimFault::Io);
    let is_done = bench.clean().is_ok();
    bench.disk.heal();
    if is_crash {
        bench.disk.crash(seed ^ after);
    } else {
        bench.disk.kill();
    }
    // The checkpoint of the cleaner was not written.
    bench.cleaned_up_to = cleaned_up_to;
    let recovery_point = if after.is_multiple_of(2) { end } else { Offset::ZERO };
    bench.reload(recovery_point);
    assert_eq!(bench.log.log_end_offset(), end);
    assert_eq!(bench.table(), table);
    assert!(!bench.names().iter().any(|name| is_unfinished(name)), "{:?}", bench.names());
    history.check_reads();
    history.clean_all();
    history.check();
    history.bench.restart(Offset::ZERO);
    assert_eq!((history.bench.log.log_end_offset(), history.bench.table()), (end, table));
    history.check();
    is_done
}

/// `CLEANER_SEEDS=from..to` chooses others.
#[test]
fn a_crash_at_any_step_loses_nothing_and_brings_nothing_back() {
    for seed in seeds(5) {
        for operation in [SimOperation::Write, SimOperation::Sync] {
            for is_crash in [true, false] {
                let mut after = 0;
                while !interrupt(seed, operation, after, is_crash) {
                    after += 1;
                }
                let least = if operation == SimOperation::Write { 8 } else { 3 };
                assert!(after >= least, "seed {seed}: {after} interruptions by {operation:?}");
            }
        }
    }
}

#[test]
fn a_round_without_room_leaves_the_log_as_it_was() {
    let mut history = prepared(3);
    let bench = &mut history.bench;
    let before = bench.batches();
    bench.disk.set_capacity_bytes(0);
    let error = bench.clean().unwrap_err();
    assert!(
        matches!(&error, RoundError::Segment { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{error}"
    );
    assert_eq!(bench.batches(), before);
    bench.disk.set_capacity_bytes(1 << 30);
    history.clean_all();
    history.check();
}
