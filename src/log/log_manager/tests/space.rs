//! A log directory that is full, and one that has room again.

use super::*;
use crate::error::ErrorCode;
use crate::log::health::WriteState;

impl Fixture {
    fn used_bytes(&self) -> u64 {
        let space = self.disk.space(Path::new("a")).unwrap();
        space.total_bytes - space.usable_bytes
    }
}

#[test]
fn a_full_directory_has_room_again_once_records_are_deleted() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 40);
    log.set_high_watermark(log.log_end_offset());
    fixture.disk.set_capacity_bytes(1 << 20);
    let used_bytes = fixture.used_bytes();
    manager.look_after_space(NOW_MS);
    assert!(manager.directories().iter().all(|directory| directory.is_writable));

    // Less is left than is kept for the broker itself.
    fixture.disk.set_capacity_bytes(used_bytes + used_bytes / 100);
    manager.look_after_space(NOW_MS);
    assert!(manager.directories().iter().all(|directory| !directory.is_writable && directory.failure.is_none()));
    let error = append(&log, &ten_records()).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (ErrorCode::KafkaStorageError, "the log directory is full")
    );
    assert!(log.read(Offset(0), 1 << 20, true, log.log_end_offset()).unwrap().size_bytes() > 0, "reads go on");
    manager.checkpoint_now();
    assert_eq!(log.recovery_point(), log.log_end_offset(), "checkpoints find the room that was kept");

    log.delete_records(Offset(350)).unwrap();
    manager.look_after_space(NOW_MS);
    assert!(fixture.used_bytes() < used_bytes / 2, "deleted at once, not after file.delete.delay.ms");
    assert_eq!(log.health().write_state(), WriteState::Writable);
    append(&log, &ten_records()).unwrap();
    assert!(log.read(Offset(350), 1 << 20, true, log.log_end_offset()).unwrap().size_bytes() > 0);
}

#[test]
fn a_full_directory_is_started_on() {
    for seed in 0..20 {
        let fixture = Fixture::new();
        let manager = fixture.start();
        fixture.disk.sync_directory(Path::new("")).unwrap();
        let log = fixture.written(&manager, 0, 10);
        manager.checkpoint_now();
        for _ in 0..5 {
            append(&log, &ten_records()).unwrap();
        }
        log.request_flush();
        fixture.disk.run_syncs();
        let flushed = log.flushed_offset();
        assert_eq!(flushed, Offset(150));
        drop((log, manager));
        fixture.disk.crash(seed);
        fixture.disk.set_capacity_bytes(fixture.used_bytes());
        let manager = fixture.start();
        let log = manager.get(&partition(0)).unwrap();
        assert!(log.log_end_offset() >= flushed, "seed {seed}");
        assert!(append(&log, &ten_records()).is_err());
        fixture.disk.set_capacity_bytes(1 << 20);
        manager.look_after_space(NOW_MS);
        append(&log, &ten_records()).unwrap();
        manager.checkpoint_now();
        assert_eq!(log.recovery_point(), log.log_end_offset(), "seed {seed}");
    }
}
