use super::*;
use crate::config::LogConfig;
use crate::log::testing::{NOW_MS, batch, new_log, read_bytes};

const BROKER: BrokerId = BrokerId(1);

fn image(epoch: i32) -> PartitionImage {
    PartitionImage {
        replicas: vec![BROKER],
        isr: vec![BROKER],
        leader: Some(BROKER),
        leader_epoch: LeaderEpoch(epoch),
        ..PartitionImage::hole()
    }
}

/// A partition that this broker leads alone, and a place for a copy of its log.
fn led(root: &std::path::Path) -> (Arc<Partition>, Arc<PartitionLog>) {
    let log = new_log(&root.join("a"), LogConfig::default());
    let copy = new_log(&root.join("b"), LogConfig::default());
    let partition = Partition::new(TopicPartition::new("topic", 0), TopicId::default(), BROKER, &log);
    partition.apply_image(&image(4), 1);
    (partition, copy)
}

#[test]
fn a_copy_takes_the_logs_place_once_it_has_everything() {
    let root = tempfile::tempdir().unwrap();
    let (partition, copy) = led(root.path());
    let records = batch(10, 20);
    partition.append(&records, Acks::All, NOW_MS).unwrap();
    let old = partition.log();
    partition.apply_image(&image(7), 1);
    old.assign_leader_epoch(LeaderEpoch(7));
    let refused = partition.replace_log(&copy, || Ok(()), || -> Result<(), ()> { panic!("the copy is empty") });
    assert_eq!(refused, Ok(false));
    copy.append_as_follower(&Bytes::from(read_bytes(&old, 0, 1 << 20, true)), NOW_MS).unwrap();
    assert_eq!(partition.replace_log(&copy, || Ok(()), || Err("no")), Err("no"));
    assert!(Arc::ptr_eq(&partition.log(), &old), "it stays where it was");

    let replaced = partition.replace_log(
        &copy,
        || Ok(()),
        || {
            copy.checkpoint(NOW_MS).unwrap();
            Ok::<_, ()>(())
        },
    );
    assert_eq!(replaced, Ok(true));
    assert!(Arc::ptr_eq(&partition.log(), &copy));
    assert!(partition.wait_for_high_watermark(Offset(10)).is_reached(), "the copy is flushed");
    assert_eq!(copy.latest_epoch(), Some(LeaderEpoch(7)), "also an epoch without records");
    assert_eq!(partition.append(&records, Acks::All, NOW_MS).unwrap().base_offset, Offset(10));
    assert_eq!((old.log_end_offset(), copy.log_end_offset()), (Offset(10), Offset(20)));
    assert_eq!(partition.delete_records(Offset(5)).unwrap(), Offset(5));
    assert_eq!((old.log_start_offset(), copy.log_start_offset()), (Offset(0), Offset(5)));
}

#[tokio::test]
async fn who_waits_while_the_log_moves_is_answered_by_the_copy() {
    let root = tempfile::tempdir().unwrap();
    let (partition, copy) = led(root.path());
    let log = partition.log();
    log.set_on_flushed(Box::new(|_| {}));
    partition.append(&batch(10, 20), Acks::All, NOW_MS).unwrap();
    let wait = partition.wait_for_high_watermark(Offset(10));
    assert!(!wait.is_reached(), "nobody has heard of a flush");
    let catch_up = || {
        copy.append_as_follower(&Bytes::from(read_bytes(&log, 0, 1 << 20, true)), NOW_MS).unwrap();
        copy.checkpoint(NOW_MS).unwrap();
        Ok::<_, ()>(())
    };
    assert_eq!(partition.replace_log(&copy, catch_up, || Ok(())), Ok(true));
    assert_eq!(wait.done().await, Ok(()));
}
