//! One kind of damage each.

use super::*;
use crate::log::testing::{append, batch, context};
use crate::protocol::batch::BatchHeader;

/// Batches of 10 records in partition 0, and the run they were written in.
fn written(machine: &Machine, batches: usize) -> Run {
    let run = machine.start();
    let log = run.log(&machine.config, 0);
    for _ in 0..batches {
        append(&log, &batch(10, 20)).unwrap();
    }
    run
}

fn log_of(run: &Run) -> Arc<PartitionLog> {
    run.manager.get(&partition(0)).unwrap()
}

fn machine() -> Machine {
    Machine::new(0, small_segments())
}

#[test]
fn a_clean_stop_leaves_nothing_to_do() {
    let machine = machine();
    let run = written(&machine, 50);
    let before = all_bytes(&log_of(&run));
    assert!(log_of(&run).segment_count() > 3);
    run.manager.checkpoint_high_watermarks();
    let run = machine.restart(run);
    assert!(run.summary.was_clean);
    assert_eq!(machine.top_content(".kafka_cleanshutdown"), None, "the marker is gone before the first write");
    let log = log_of(&run);
    assert_eq!((all_bytes(&log), offsets(&log)), (before, (Offset(0), Offset(500))));
    assert_eq!((log.flushed_offset(), log.recovery_point()), (Offset(500), Offset(500)));
    assert_eq!(run.manager.partitions(), [(partition(0), Some(TopicId(uuid::Uuid::from_u128(99))))]);
    assert_eq!(log.latest_epoch(), Some(context().leader_epoch));
    assert!(run.manager.is_intact(&partition(0)));
    assert_eq!(append(&log, &batch(1, 1)).unwrap().base_offset, Offset(500));
}

#[test]
fn the_clean_marker_tells_the_broker_epoch() {
    let machine = machine();
    let run = written(&machine, 1);
    run.manager.shutdown(Some(BrokerEpoch(7)));
    assert_eq!(machine.top_content(".kafka_cleanshutdown").unwrap(), br#"{"version":0,"brokerEpoch":7}"#);
    assert_eq!(machine.top_content("recovery-point-offset-checkpoint").unwrap(), b"0\n1\ntopic 0 10\n");
    assert_eq!(machine.content("leader-epoch-checkpoint").unwrap(), b"0\n1\n3 0\n");
    assert_eq!(machine.content("partition.metadata").unwrap(), b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAYw");
    drop(run);
    machine.disk.kill();
    let disk: Arc<dyn Disk> = Arc::clone(&machine.disk) as _;
    let directories = LogDirectories::open(&disk, &["data".into()], BrokerId(1), |_, _| {}).unwrap();
    assert_eq!(directories.clean_broker_epoch(), Some(BrokerEpoch(7)));
}

#[test]
fn what_is_torn_at_the_end_is_cut() {
    let machine = machine();
    let run = written(&machine, 5);
    let before = all_bytes(&log_of(&run));
    let last = machine.file("00000000000000000000.log");
    append_bytes(&*last, &before[..100]);
    let run = machine.kill(run);
    let log = log_of(&run);
    assert_eq!((all_bytes(&log), log.log_end_offset()), (before, Offset(50)));
    assert_eq!((run.summary.truncated_bytes, run.summary.was_clean), (100, false));
    assert_eq!(log.flushed_offset(), Offset(50), "what is kept was synced");
    assert_eq!(append(&log, &batch(1, 1)).unwrap().base_offset, Offset(50));
}

#[test]
fn nothing_behind_a_bad_byte_is_kept() {
    let machine = machine();
    let run = written(&machine, 50);
    let before = all_bytes(&log_of(&run));
    let first_bytes = BatchHeader::read(&before).unwrap().size_bytes();
    drop(run);
    // In the third batch's records.
    machine.disk.flip_bit(&path("00000000000000000000.log"), (first_bytes as u64 * 2 + 100) * 8).unwrap();
    machine.disk.kill();
    let run = machine.start();
    let log = log_of(&run);
    assert_eq!((log.log_end_offset(), log.segment_count()), (Offset(20), 1));
    assert_eq!(all_bytes(&log), before[..first_bytes * 2]);
    assert_eq!(run.summary.truncated_bytes as usize, before.len() - first_bytes * 2);
    let logs = machine.logs();
    assert_eq!(logs, ["00000000000000000000.log"]);
}

/// The checksum does not cover a batch's offset, and a sector may end behind it.
#[test]
fn a_batch_whose_offset_was_torn_is_cut() {
    let machine = machine();
    let run = written(&machine, 5);
    run.manager.checkpoint_now();
    append(&log_of(&run), &batch(10, 20)).unwrap();
    let before = all_bytes(&log_of(&run));
    drop(run);
    let file = machine.file("00000000000000000000.log");
    file.write_all_at(&[IoSlice::new(&[0; 8])], before.len() as u64 / 6 * 5).unwrap();
    machine.disk.kill();
    let run = machine.start();
    assert_eq!(log_of(&run).log_end_offset(), Offset(50));
    assert_eq!(all_bytes(&log_of(&run)), before[..before.len() / 6 * 5]);
}

#[test]
fn below_the_recovery_point_nothing_is_read_again() {
    let machine =
        Machine::new(0, LogConfig { segment_bytes: 100_000, index_interval_bytes: 4096, ..LogConfig::default() });
    let run = machine.start();
    let log = run.log(&machine.config, 0);
    for _ in 0..300 {
        append(&log, &batch(10, 100)).unwrap();
    }
    assert!(log.size_bytes() > 350_000 && log.segment_count() > 3);
    run.manager.checkpoint_now();
    append(&log, &batch(10, 100)).unwrap();
    drop(log);
    let before = machine.disk.read_bytes();
    let run = machine.kill(run);
    assert_eq!(log_of(&run).log_end_offset(), Offset(3010));
    let read_bytes = machine.disk.read_bytes() - before;
    assert!(read_bytes < 40_000, "recovery of one batch read {read_bytes} bytes");
}

#[test]
fn indexes_are_built_anew_byte_by_byte() {
    let machine = machine();
    let run = written(&machine, 50);
    run.manager.shutdown(None);
    let indexes: Vec<_> = machine.names().into_iter().filter(|name| name.ends_with("index")).collect();
    assert!(indexes.len() > 6);
    let before: Vec<_> = indexes.iter().map(|name| machine.content(name).unwrap()).collect();
    for (at, name) in indexes.iter().enumerate() {
        if at % 3 == 0 {
            machine.disk.remove_file(&path(name)).unwrap();
        } else {
            append_bytes(&*machine.file(name), &[0; 5]);
        }
    }
    drop(run);
    machine.disk.kill();
    let run = machine.start();
    assert!(run.summary.was_clean && run.manager.is_intact(&partition(0)));
    run.manager.shutdown(None);
    for (name, before) in indexes.iter().zip(&before) {
        assert_eq!(machine.content(name).as_ref(), Some(before), "{name}");
    }
}

/// A part of an index would pass for the whole: then times lead to wrong offsets, and aborted records pass for others.
#[test]
fn a_crash_while_indexes_are_built_leaves_none_in_part() {
    for step in 0.. {
        let machine = Machine::new(step, small_segments());
        let run = written(&machine, 50);
        run.manager.shutdown(None);
        drop(run);
        let indexes: Vec<_> = machine.names().into_iter().filter(|name| name.ends_with("index")).collect();
        let before: Vec<_> = indexes.iter().map(|name| machine.content(name).unwrap()).collect();
        machine.disk.remove_file(&path(&machine.logs()[1].replace(".log", ".timeindex"))).unwrap();
        machine.disk.sync_directory(Path::new("data/topic-0")).unwrap();
        machine.disk.kill();
        machine.disk.cut_power_at(machine.disk.steps() + step);
        drop(machine.try_start());
        if !machine.disk.is_powerless() {
            assert!(step > 10, "no step was left out");
            break;
        }
        machine.disk.crash(step);
        machine.start().manager.shutdown(None);
        let after: Vec<_> = indexes.iter().map(|name| machine.content(name).unwrap()).collect();
        assert_eq!(after, before, "the power was cut at step {step}");
    }
}

#[test]
fn leftovers_are_removed_and_strangers_are_not() {
    let machine = machine();
    let run = written(&machine, 50);
    for name in [
        "00000000000000000000.log.deleted",
        "00000000000000000000.index.deleted",
        "00000000000000009999.log.cleaned",
        "00000000000000009999.log.swap",
        "leader-epoch-checkpoint.tmp",
        "00000000000000008888.index",
        "00000000000000008888.timeindex",
        "00000000000000008888.txnindex",
        "00000000000000008888.snapshot",
        "notes.txt",
    ] {
        machine.file(name);
    }
    let run = machine.kill(run);
    assert_eq!(log_of(&run).log_end_offset(), Offset(500));
    let names = machine.names();
    let left: Vec<_> = names.iter().filter(|name| !name.starts_with("00000000000000000")).collect();
    assert_eq!(left, ["leader-epoch-checkpoint", "notes.txt", "partition.metadata"]);
    assert!(!names.iter().any(|name| name.ends_with(".deleted")));
}

#[test]
fn an_interrupted_swap_is_completed() {
    let machine = Machine::new(0, small_compacted_segments());
    let run = machine.start();
    let log = run.log(&machine.config, 0);
    for _ in 0..50 {
        append(&log, &batch(10, 20)).unwrap();
    }
    run.manager.shutdown(None);
    drop((log, run));
    machine.disk.kill();
    // The second and third segment, compacted into the second one's last batch.
    let logs = machine.logs();
    let third = machine.content(&logs[2]).unwrap();
    let swap = format!("{}.swap", logs[1]);
    append_bytes(&*machine.file(&swap), &third[third.len() - BatchHeader::read(&third).unwrap().size_bytes()..]);
    let run = machine.start();
    let log = log_of(&run);
    assert_eq!(offsets(&log), (Offset(0), Offset(500)));
    assert_eq!(log.segment_count(), logs.len() - 1);
    assert!(!machine.names().contains(&logs[2]) && !machine.names().contains(&swap));
    let second_base = logs[1].trim_end_matches(".log").parse().unwrap();
    let read = log.read(Offset(second_base), 1, true, log.log_end_offset()).unwrap();
    let next_base = logs[3].trim_end_matches(".log").parse().unwrap();
    assert_eq!(read.next_offset, Offset(next_base), "the hole is passed over");
}

#[test]
fn a_swap_file_that_is_not_sound_counts_up_to_there() {
    let machine = Machine::new(0, small_compacted_segments());
    let run = written(&machine, 50);
    run.manager.shutdown(None);
    drop(run);
    machine.disk.kill();
    let logs = machine.logs();
    let second = machine.content(&logs[1]).unwrap();
    let first_bytes = BatchHeader::read(&second).unwrap().size_bytes();
    let swap = format!("{}.swap", logs[1]);
    append_bytes(&*machine.file(&swap), &second[..first_bytes + 40]);
    let run = machine.start();
    assert_eq!(offsets(&log_of(&run)), (Offset(0), Offset(500)));
    assert_eq!(machine.content(&logs[1]).unwrap(), second[..first_bytes]);
    assert!(!machine.names().contains(&swap) && !run.manager.is_intact(&partition(0)));
}

#[test]
fn a_recovery_point_beyond_the_end_is_lowered_before_it_is_grown_over() {
    let machine = machine();
    let run = written(&machine, 5);
    run.manager.checkpoint_now();
    drop(run);
    // Somebody cut the file.
    let file = machine.file("00000000000000000000.log");
    file.set_size_bytes(file.size_bytes().unwrap() - 10).unwrap();
    machine.disk.kill();
    let run = machine.start();
    let log = log_of(&run);
    assert_eq!(log.log_end_offset(), Offset(40));
    assert!(!run.manager.is_intact(&partition(0)));
    assert_eq!(machine.top_content("recovery-point-offset-checkpoint").unwrap(), b"0\n1\ntopic 0 40\n");
    append(&log, &batch(10, 20)).unwrap();
    let bytes = all_bytes(&log);
    drop((log, run));
    machine.disk.flip_bit(&path("00000000000000000000.log"), (bytes.len() as u64 - 5) * 8).unwrap();
    machine.disk.kill();
    assert_eq!(log_of(&machine.start()).log_end_offset(), Offset(40), "what was written anew is checked");
}

#[test]
fn a_log_that_begins_behind_its_end_goes_on_where_it_begins() {
    let machine = machine();
    let run = written(&machine, 5);
    run.manager.shutdown(None);
    drop(run);
    machine.disk.write_atomically(Path::new("data/log-start-offset-checkpoint"), b"0\n1\ntopic 0 700\n").unwrap();
    machine.disk.kill();
    let run = machine.start();
    let log = log_of(&run);
    assert_eq!(offsets(&log), (Offset(700), Offset(700)));
    assert!(log.leader_epochs().is_empty() && !run.manager.is_intact(&partition(0)));
    assert_eq!(append(&log, &batch(10, 20)).unwrap().base_offset, Offset(700));
    let run = machine.restart(run);
    assert_eq!(offsets(&log_of(&run)), (Offset(700), Offset(710)));
}

#[test]
fn leader_epochs_come_from_the_log_where_their_file_is_of_no_use() {
    for content in [None, Some(&b"0\n1\nx y\n"[..]), Some(b"\0\0\0\0")] {
        let machine = machine();
        let run = written(&machine, 50);
        run.manager.checkpoint_now();
        machine.disk.remove_file(&path("leader-epoch-checkpoint")).unwrap();
        if let Some(content) = content {
            append_bytes(&*machine.file("leader-epoch-checkpoint"), content);
        }
        let run = machine.kill(run);
        assert_eq!(log_of(&run).latest_epoch(), Some(context().leader_epoch));
        assert_eq!(machine.content("leader-epoch-checkpoint").unwrap(), b"0\n1\n3 0\n");
    }
}

#[test]
fn epochs_and_snapshots_behind_the_end_are_dropped() {
    let machine = machine();
    let run = written(&machine, 5);
    run.manager.checkpoint_now();
    append_bytes(&*machine.file("00000000000000000077.snapshot"), b"junk");
    machine.disk.write_atomically(&path("leader-epoch-checkpoint"), b"0\n2\n3 0\n4 60\n").unwrap();
    let run = machine.kill(run);
    assert_eq!(log_of(&run).latest_epoch(), Some(context().leader_epoch));
    assert!(!machine.names().contains(&"00000000000000000077.snapshot".to_owned()));
}

/// Three segments, the second one's file without its last batch.
fn with_a_hole(config: LogConfig) -> (Machine, Vec<i64>) {
    let machine = Machine::new(0, config);
    let run = machine.start();
    let log = run.log(&machine.config, 0);
    while log.segment_count() < 3 {
        append(&log, &batch(10, 20)).unwrap();
    }
    drop((log, run));
    let bases: Vec<i64> = machine.logs().iter().map(|name| FileKind::parse(name).unwrap().1.0).collect();
    let second = machine.file(&format!("{:020}.log", bases[1]));
    let batch_bytes =
        BatchHeader::read(&machine.content(&format!("{:020}.log", bases[1])).unwrap()).unwrap().size_bytes();
    second.set_size_bytes(second.size_bytes().unwrap() - batch_bytes as u64).unwrap();
    machine.disk.kill();
    (machine, bases)
}

#[test]
fn what_follows_a_hole_goes_unless_compaction_may_have_left_it() {
    let (machine, bases) = with_a_hole(small_segments());
    let run = machine.start();
    assert_eq!(log_of(&run).log_end_offset(), Offset(bases[2] - 10));
    assert_eq!(log_of(&run).segment_count(), 2);

    let (machine, bases) = with_a_hole(small_compacted_segments());
    let run = machine.start();
    assert!(log_of(&run).log_end_offset() > Offset(bases[2]));
}

#[test]
fn missing_first_segments_move_the_beginning() {
    let machine = machine();
    let run = written(&machine, 50);
    run.manager.shutdown(None);
    drop(run);
    let first: Vec<_> =
        machine.names().into_iter().filter(|name| name.starts_with("00000000000000000000.")).collect();
    for name in &first {
        machine.disk.remove_file(&path(name)).unwrap();
    }
    machine.disk.kill();
    let run = machine.start();
    let (start, end) = offsets(&log_of(&run));
    assert!(start > Offset(0) && end == Offset(500));
}

#[test]
fn an_empty_active_segment_is_no_damage() {
    let machine = machine();
    let run = written(&machine, 5);
    log_of(&run).roll(NOW_MS).unwrap();
    let run = machine.kill(run);
    assert_eq!((log_of(&run).log_end_offset(), log_of(&run).segment_count()), (Offset(50), 2));
    let run = machine.restart(run);
    assert_eq!((log_of(&run).log_end_offset(), log_of(&run).segment_count()), (Offset(50), 2));
}

/// A roll that fails leaves an empty file, and the log goes on in the segment before.
#[test]
fn the_leftover_of_a_failed_roll_hides_nothing() {
    for is_clean in [true, false] {
        for checkpointed in [true, false] {
            let machine = machine();
            let run = written(&machine, 50);
            let before = all_bytes(&log_of(&run));
            let first = FileKind::parse(&machine.logs()[1]).unwrap().1;
            for leftover in [first + -20, Offset(490)] {
                machine.file(&FileKind::Log.file_name(leftover));
            }
            if checkpointed {
                run.manager.checkpoint_now();
            }
            let run = if is_clean { machine.restart(run) } else { machine.kill(run) };
            let log = log_of(&run);
            assert_eq!(offsets(&log), (Offset(0), Offset(500)), "clean {is_clean}, checkpointed {checkpointed}");
            assert_eq!(all_bytes(&log), before);
            assert!(run.manager.is_intact(&partition(0)));
        }
    }
}

#[test]
fn a_damaged_checkpoint_costs_time_and_no_data() {
    let machine = machine();
    let run = written(&machine, 50);
    run.manager.checkpoint_now();
    for name in ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint"] {
        machine.disk.write_atomically(&Path::new("data").join(name), b"0\nnonsense\n").unwrap();
    }
    let run = machine.kill(run);
    assert_eq!(offsets(&log_of(&run)), (Offset(0), Offset(500)));
}

#[test]
fn damage_in_a_log_that_was_closed_is_found_and_cut() {
    let machine = machine();
    let run = written(&machine, 5);
    let before = all_bytes(&log_of(&run));
    run.manager.shutdown(None);
    drop(run);
    // The length of the last batch: the end of the log can't be told any more.
    let batch_bytes = before.len() as u64 / 5;
    machine.disk.flip_bit(&path("00000000000000000000.log"), (batch_bytes * 4 + 9) * 8).unwrap();
    machine.disk.kill();
    let run = machine.start();
    assert_eq!(log_of(&run).log_end_offset(), Offset(40));
    assert!(!run.manager.is_intact(&partition(0)));
}
