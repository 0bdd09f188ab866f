use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A disk with the directory `d`, durable.
fn disk() -> Arc<SimDisk> {
    let disk = SimDisk::new(1);
    disk.create_directory(path("d")).unwrap();
    disk.sync_directory(path("")).unwrap();
    disk
}

fn create(disk: &SimDisk, name: &str, content: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path(name), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(content)], 0).unwrap();
    file
}

fn content(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.read(path(name), 1 << 20).ok()
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..50 {
        let disk = disk();
        let file = create(&disk, "d/a", b"kept");
        file.sync().unwrap();
        disk.sync_directory(path("d")).unwrap();
        file.write_all_at(&[IoSlice::new(b" maybe")], 4).unwrap();
        disk.crash(seed);
        let content = content(&disk, "d/a").unwrap();
        assert!(content.starts_with(b"kept"), "seed {seed}");
        assert!(file.sync().is_err(), "its process is no more");
    }
}

/// How many of 200 crashes end with `outcome`.
fn count(write: impl Fn(&SimDisk), outcome: impl Fn(&SimDisk) -> bool) -> usize {
    let crashed = |seed: &u64| {
        let disk = disk();
        write(&disk);
        disk.crash(*seed);
        outcome(&disk)
    };
    (0..200).filter(crashed).count()
}

#[test]
fn a_name_without_directory_sync_may_vanish() {
    let write = |disk: &SimDisk| create(disk, "d/a", b"x").sync().unwrap();
    assert!((1..200).contains(&count(write, |disk| disk.exists(path("d/a")))));
}

#[test]
fn the_power_goes_at_a_step_and_comes_back_with_the_crash() {
    let disk = disk();
    let step = disk.steps();
    disk.cut_power_at(step + 2);
    let file = create(&disk, "d/a", b"abc");
    assert!(!disk.is_powerless());
    assert!(disk.sync_directory(path("d")).is_err() && disk.is_powerless());
    assert!(file.sync().is_err() && file.read_at(&mut [0; 3], 0).is_err());
    assert!(disk.remove_file(path("d/a")).is_err() && disk.open(path("d/a"), OpenMode::Read).is_err());
    assert_eq!(disk.steps(), step + 2);
    disk.crash(1);
    create(&disk, "d/b", b"x");
    assert_eq!(disk.steps(), step + 5);
}

#[test]
fn some_steps_fail_and_others_do_not() {
    let disk = disk();
    let file = create(&disk, "d/a", b"abc");
    let step = disk.steps();
    disk.fail_steps(step + 1..step + 3, SimFault::NoSpace);
    let write = || file.write_all_at(&[IoSlice::new(b"x")], 0).map_err(|error| error.kind());
    assert_eq!(write(), Ok(()));
    assert_eq!((write(), write()), (Err(io::ErrorKind::StorageFull), Err(io::ErrorKind::StorageFull)));
    assert_eq!((write(), disk.failures()), (Ok(()), 2));
}

#[test]
fn a_journal_tells_of_every_step() {
    let disk = disk();
    disk.keep_journal();
    create(&disk, "d/a", b"abc").sync().unwrap();
    disk.remark(|| "and then".to_owned());
    disk.remove_file(path("d/a")).unwrap();
    let expected = [
        "     2  create d/a",
        "     3  write 3 bytes at 0 of d/a",
        "     4  sync d/a",
        "and then",
        "     5  remove d/a",
    ];
    assert_eq!(disk.take_journal(), expected);
}

#[test]
fn unsynced_writes_tear_at_sectors() {
    let write = |disk: &SimDisk| {
        let file = create(disk, "d/a", &[0xff; 4 * SECTOR_BYTES]);
        disk.sync_directory(path("d")).unwrap();
        drop(file);
    };
    let torn = |disk: &SimDisk| {
        let content = content(disk, "d/a").unwrap();
        let sectors: Vec<_> = content.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect();
        assert!(content.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        sectors.contains(&0) || (1..4).contains(&sectors.len())
    };
    assert!((20..180).contains(&count(write, torn)));
}

#[test]
fn an_atomic_write_is_old_or_new() {
    let write = |disk: &SimDisk| {
        disk.write_atomically(path("d/a"), b"old").unwrap();
        disk.fail_after(SimOperation::Sync, 1, SimFault::Io);
        assert!(disk.write_atomically(path("d/a"), b"newer").is_err());
        disk.heal();
    };
    let old = count(write, |disk| content(disk, "d/a").unwrap() == b"old");
    let new = count(write, |disk| content(disk, "d/a").unwrap() == b"newer");
    assert!(old > 0 && new > 0 && old + new == 200);
}

#[test]
fn a_rename_keeps_one_of_the_names() {
    let write = |disk: &SimDisk| {
        create(disk, "d/a", b"x").sync().unwrap();
        disk.sync_directory(path("d")).unwrap();
        disk.rename(path("d/a"), path("d/b")).unwrap();
    };
    let both_or_none = |disk: &SimDisk| disk.exists(path("d/a")) == disk.exists(path("d/b"));
    assert_eq!(count(write, both_or_none), 0);
}

#[test]
fn a_submitted_sync_covers_what_was_written_before() {
    let completed = Arc::new(AtomicUsize::new(0));
    let write = |disk: &SimDisk| {
        let file = create(disk, "d/a", b"before");
        let request = SyncRequest { files: vec![Arc::clone(&file)], directories: vec!["d".into()] };
        let (before, seen) = (completed.load(Ordering::SeqCst), Arc::clone(&completed));
        let done = move |result: io::Result<()>| {
            result.unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
        };
        disk.submit_sync(request, Box::new(done));
        file.write_all_at(&[IoSlice::new(b" after")], 6).unwrap();
        assert_eq!(completed.load(Ordering::SeqCst), before);
        disk.run_syncs();
        assert_eq!(completed.load(Ordering::SeqCst), before + 1);
    };
    let covered = count(write, |disk| content(disk, "d/a").unwrap().starts_with(b"before"));
    let also_after = count(write, |disk| content(disk, "d/a").unwrap() == b"before after");
    assert!(covered == 200 && (1..200).contains(&also_after));
}

#[test]
fn a_failed_sync_loses_what_it_should_have_covered() {
    let disk = disk();
    let file = create(&disk, "d/a", b"gone");
    disk.sync_directory(path("d")).unwrap();
    disk.fail_after(SimOperation::Sync, 0, SimFault::Io);
    assert!(file.sync().is_err());
    disk.heal();
    file.sync().unwrap();
    disk.crash(0);
    assert_eq!(content(&disk, "d/a").unwrap(), b"");
}

#[test]
fn a_full_disk_takes_what_needs_no_room() {
    let disk = disk();
    let file = create(&disk, "d/a", &[1; 100]);
    disk.set_capacity_bytes(100);
    let error = file.write_all_at(&[IoSlice::new(b"x")], 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[IoSlice::new(b"x")], 99).unwrap();
    assert_eq!(disk.space(path("d")).unwrap().usable_bytes, 0);
    disk.remove_file(path("d/a")).unwrap();
    assert_eq!(disk.space(path("d")).unwrap().usable_bytes, 100);
}

#[test]
fn faults_count_down_and_heal() {
    let disk = disk();
    let file = create(&disk, "d/a", b"abc");
    disk.fail_after(SimOperation::Read, 1, SimFault::Io);
    let read = || file.read_at(&mut [0; 3], 0);
    assert_eq!(read().unwrap(), 3);
    assert!(read().is_err() && read().is_err());
    disk.heal();
    assert_eq!(read().unwrap(), 3);
    disk.flip_bit(path("d/a"), 9).unwrap();
    assert_eq!(content(&disk, "d/a").unwrap(), b"a`c");
}

#[test]
fn locks_exclude_until_dropped_or_dead() {
    let disk = disk();
    let lock = disk.lock(path("d/.lock")).unwrap();
    assert_eq!(disk.lock(path("d/.lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    disk.kill();
    let next = disk.lock(path("d/.lock")).unwrap();
    drop(lock);
    assert!(disk.lock(path("d/.lock")).is_err(), "a dead process frees nothing of the living");
    drop(next);
    disk.lock(path("d/.lock")).unwrap();
}

#[test]
fn directories_move_with_all_they_hold() {
    let disk = disk();
    disk.create_directory(path("d/t-0")).unwrap();
    create(&disk, "d/t-0/a", b"x");
    disk.rename(path("d/t-0"), path("d/t-0.x-delete")).unwrap();
    assert_eq!(content(&disk, "d/t-0.x-delete/a").unwrap(), b"x");
    disk.remove_directory(path("d/t-0.x-delete")).unwrap();
    assert_eq!(disk.list(path("d")).unwrap(), []);
}

#[test]
fn reads_after_a_crash_are_cold() {
    let disk = disk();
    let file = create(&disk, "d/a", b"abc");
    file.sync().unwrap();
    disk.sync_directory(path("d")).unwrap();
    assert_eq!(file.read_cached_at(&mut [0; 3], 0).unwrap(), Some(3));
    disk.crash(3);
    let file = disk.open(path("d/a"), OpenMode::Read).unwrap();
    assert_eq!(file.read_cached_at(&mut [0; 3], 0).unwrap(), None);
    assert_eq!(file.read_at(&mut [0; 3], 0).unwrap(), 3);
    assert_eq!(file.read_cached_at(&mut [0; 3], 0).unwrap(), Some(3));
    assert_eq!(file.write_all_at(&[IoSlice::new(b"x")], 0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn the_same_seed_is_the_same_disk() {
    let run = |seed| {
        let disk = disk();
        let mut contents = Vec::new();
        for round in 0..20_u8 {
            create(&disk, "d/a", &[round; 3000]);
            disk.crash(seed + u64::from(round));
            contents.push(content(&disk, "d/a"));
        }
        (disk.trace(), contents)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
