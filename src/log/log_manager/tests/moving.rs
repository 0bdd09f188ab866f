use super::*;
use crate::log::testing::read_bytes;

/// Directory `b`, which the first log does not lie in.
fn other(manager: &LogManager) -> DirectoryId {
    manager.online_directory_ids()[1]
}

/// Copies everything, as the mover does.
fn catch_up(from: &PartitionLog, to: &Arc<PartitionLog>) {
    while to.log_end_offset() < from.log_end_offset() {
        let read = from.read(to.log_end_offset(), 1 << 20, true, from.log_end_offset()).unwrap();
        let slice = read.slice.unwrap();
        let mut bytes = vec![0; slice.size_bytes];
        slice.file.read_at(&mut bytes, slice.position).unwrap();
        to.append_as_follower(&Bytes::from(bytes), 0).unwrap();
    }
}

/// A log of 30 records in `a`, on its way to `b`.
fn moving(fixture: &Fixture, manager: &LogManager) -> Move {
    let log = fixture.written(manager, 0, 3);
    log.set_high_watermark(Offset(30));
    manager.begin_move(&partition(0), other(manager)).unwrap();
    manager.moves().remove(0)
}

fn moved(fixture: &Fixture, manager: &LogManager) {
    assert_eq!(manager.directory_of(&partition(0)), Some(other(manager)));
    assert!(manager.moves().is_empty());
    assert_eq!(fixture.folders("b"), ["topic-0"]);
    let log = manager.get(&partition(0)).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(30)));
    assert_eq!(read_bytes(&log, 0, 1 << 20, true).len(), 3 * ten_records().len());
}

#[test]
fn a_log_and_its_copy_change_places() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let copy = moving(&fixture, &manager);
    assert!(fixture.folders("b")[0].ends_with("-future"), "{:?}", fixture.folders("b"));
    assert_eq!(
        manager.directory_of(&partition(0)),
        Some(manager.online_directory_ids()[0]),
        "it serves where it was"
    );
    manager.begin_move(&partition(0), other(&manager)).unwrap();
    assert!(Arc::ptr_eq(&manager.moves()[0].future, &copy.future), "the same move goes on");
    catch_up(&manager.get(&partition(0)).unwrap(), &copy.future);
    assert_eq!(manager.finish_move(&partition(0)).unwrap(), other(&manager));
    assert!(fixture.folders("a")[0].ends_with("-delete"), "{:?}", fixture.folders("a"));
    moved(&fixture, &manager);
    let manager = fixture.crash(manager);
    moved(&fixture, &manager);
}

#[test]
fn a_crash_in_the_midst_of_the_change_loses_nothing() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let copy = moving(&fixture, &manager);
    catch_up(&manager.get(&partition(0)).unwrap(), &copy.future);
    copy.future.checkpoint(0).unwrap();
    manager.checkpoint_now();
    fixture.disk.rename(Path::new("a/topic-0"), Path::new("a/topic-0.00-delete")).unwrap();
    fixture.disk.sync_directory(Path::new("a")).unwrap();
    drop(copy);
    let manager = fixture.crash(manager);
    moved(&fixture, &manager);
}

#[test]
fn a_copy_that_was_not_done_goes_on() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    drop(moving(&fixture, &manager));
    manager.checkpoint_now();
    let manager = fixture.crash(manager);
    let copy = manager.moves().remove(0);
    assert_eq!(copy.partition, partition(0));
    catch_up(&manager.get(&partition(0)).unwrap(), &copy.future);
    manager.finish_move(&partition(0)).unwrap();
    moved(&fixture, &manager);
}

#[test]
fn a_move_is_called_off() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let copy = moving(&fixture, &manager);
    let home = manager.online_directory_ids()[0];
    manager.begin_move(&partition(0), home).unwrap();
    assert!(manager.moves().is_empty(), "back to where it is");
    assert!(copy.future.append_as_follower(&ten_records(), 0).is_err());
    manager.delete_expired_files(NOW_MS);
    assert_eq!((fixture.folders("a"), fixture.folders("b")), (vec!["topic-0".to_owned()], vec![]));
    // A topic that goes takes its copies along.
    manager.begin_move(&partition(0), other(&manager)).unwrap();
    manager.delete(&partition(0)).unwrap();
    assert!(manager.moves().is_empty());
}

#[test]
fn a_copy_of_another_topics_log_goes() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    drop(moving(&fixture, &manager));
    let home = manager.online_directory_ids()[0];
    manager.get_or_create(&NewLog { directory: Some(home), ..fixture.new_log(1, 2) }).unwrap();
    drop(manager);
    fixture.disk.remove_directory(Path::new("a/topic-0")).unwrap();
    fixture.disk.rename(Path::new("a/topic-1"), Path::new("a/topic-0")).unwrap();
    let manager = fixture.start();
    assert!(manager.moves().is_empty());
    assert_eq!(manager.directory_of(&partition(0)), Some(home));
    assert!(fixture.folders("b")[0].ends_with("-delete"), "{:?}", fixture.folders("b"));
}

#[test]
fn only_what_can_be_moved_is() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let refused = |result: Result<(), LogManagerError>| result.unwrap_err().code();
    assert_eq!(refused(manager.begin_move(&partition(9), other(&manager))), ErrorCode::UnknownTopicOrPartition);
    let long = TopicPartition::new("t".repeat(240), 0);
    assert_eq!(refused(LogManager::check_movable(&long)), ErrorCode::InvalidTopicException);
    LogManager::check_movable(&TopicPartition::new("t".repeat(200), 0)).unwrap();
    assert_eq!(refused(manager.directory_at("/nowhere").map(drop)), ErrorCode::LogDirNotFound);
    let there = crate::io::absolute(Path::new("b"));
    assert_eq!(manager.directory_at(there.to_str().unwrap()).unwrap(), other(&manager));
}

#[test]
fn a_wish_for_a_log_that_comes_later_is_remembered_once() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    manager.prefer_directory(&partition(0), other(&manager));
    fixture.create(&manager, 0);
    assert_eq!(manager.directory_of(&partition(0)), Some(other(&manager)));
    manager.prefer_directory(&partition(0), other(&manager));
    manager.delete(&partition(0)).unwrap();
    fixture.create(&manager, 0);
    let first = manager.online_directory_ids()[0];
    assert_eq!(manager.directory_of(&partition(0)), Some(first), "of a log that was there nothing is remembered");
}

#[test]
fn nothing_is_cleaned_while_a_log_moves_and_what_was_clean_is_known_where_it_goes() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 3);
    log.set_high_watermark(Offset(30));
    let checkpoint = |directory: &str| {
        let content = fixture.disk.read(&Path::new(directory).join("cleaner-offset-checkpoint"), 1 << 10);
        String::from_utf8(content.unwrap_or_default()).unwrap()
    };
    manager.set_cleaned_up_to(&log, log.history(), Offset(20));
    assert_eq!(checkpoint("a"), "0\n1\ntopic 0 20\n");

    manager.begin_move(&partition(0), other(&manager)).unwrap();
    manager.set_cleaned_up_to(&log, log.history(), Offset(30));
    assert_eq!(checkpoint("a"), "0\n1\ntopic 0 20\n", "of a round that was under way nothing may count");
    manager.cancel_move(&partition(0));
    assert!(log.is_cleanable(log.history()));

    manager.begin_move(&partition(0), other(&manager)).unwrap();
    let copy = manager.moves().remove(0);
    let manager = {
        drop(copy);
        manager.checkpoint_now();
        drop(log);
        fixture.crash(manager)
    };
    let (log, copy) = (manager.get(&partition(0)).unwrap(), manager.moves().remove(0));
    assert!(!log.is_cleanable(log.history()), "the move goes on after a crash");
    log.set_high_watermark(Offset(30));
    catch_up(&log, &copy.future);
    manager.finish_move(&partition(0)).unwrap();
    assert_eq!((checkpoint("a").as_str(), checkpoint("b").as_str()), ("0\n0\n", "0\n1\ntopic 0 20\n"));
    let moved = manager.get(&partition(0)).unwrap();
    assert!(moved.is_cleanable(moved.history()));

    // A log of the same name that is made anew has not been cleaned.
    manager.delete(&partition(0)).unwrap();
    drop((log, moved, copy));
    manager.get_or_create(&NewLog { directory: Some(other(&manager)), ..fixture.new_log(0, 1) }).unwrap();
    assert!(!checkpoint("a").contains("topic 0 ") && !checkpoint("b").contains("topic 0 "));
}
