//! Directories that are full: noticed while there is room for the broker's own needs, and again when there is more.
//!
//! A producer that fills a disk must not take the last bytes from those who could free it: deleting a topic is a write
//! of metadata, a roll that lets retention work is a few small files, a commit is a record.

use super::{Directory, LogManager};
use crate::io::{DiskSpace, OpenMode};
use crate::log::health::WriteState;
use crate::log::meta_properties::META_PROPERTIES_FILE;
use crate::time::TimestampMs;

/// What is kept of a volume: this part of it, and no more than so much.
const RESERVE_PART: u64 = 64;
const MAX_RESERVE_BYTES: u64 = 64 << 20;
/// Writes resume when there is so many times the reserve, so that a directory does not come and go with every record.
const RESUME_RESERVES: u64 = 2;

impl LogManager {
    /// Looks how much room there is, and makes some where there is none: what retention and DeleteRecords let go is
    /// deleted at once. To be called every second or so. Waits for the device.
    pub fn look_after_space(&self, now_ms: TimestampMs) {
        for (at, directory) in self.online() {
            let health = directory.base.health();
            // Another broker's directory is left as it is until something is written to it.
            if health.write_state() == WriteState::Full && !health.awaits_first_write() {
                self.make_room(at, now_ms);
            }
            let space = directory.base.disk().space(directory.path()).ok();
            let state = next_state(health.write_state(), space, || directory.takes_writes());
            health.set_write_state(state);
            if let Some(space) = space {
                health.set_room_bytes(space.usable_bytes.saturating_sub(reserve_bytes(&space)));
            }
        }
    }

    fn make_room(&self, at: usize, now_ms: TimestampMs) {
        for (partition, log) in self.logs_in(at) {
            let removed = log.delete_old_segments(now_ms).map_err(|error| error.to_string());
            let removed =
                removed.and_then(|_| log.remove_due_files(TimestampMs::MAX).map_err(|error| error.to_string()));
            if let Err(error) = removed {
                tracing::warn!(%partition, %error, "no room can be made here");
            }
        }
        self.directories[at].remove_expired_folders(TimestampMs::MAX);
    }
}

impl Directory {
    fn takes_writes(&self) -> bool {
        self.base.disk().open(&self.path().join(META_PROPERTIES_FILE), OpenMode::ReadWrite).is_ok()
    }
}

fn next_state(state: WriteState, space: Option<DiskSpace>, takes_writes: impl FnOnce() -> bool) -> WriteState {
    if state == WriteState::ReadOnly {
        return if takes_writes() { WriteState::Writable } else { state };
    }
    let Some(space) = space else { return state };
    let reserve_bytes = reserve_bytes(&space);
    let wanted_bytes = if state == WriteState::Full { reserve_bytes * RESUME_RESERVES } else { reserve_bytes };
    if space.usable_bytes < wanted_bytes { WriteState::Full } else { WriteState::Writable }
}

fn reserve_bytes(space: &DiskSpace) -> u64 {
    (space.total_bytes / RESERVE_PART).min(MAX_RESERVE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use WriteState::{Full, ReadOnly, Writable};

    fn check(state: WriteState, total_bytes: u64, usable_bytes: u64, expected: WriteState) {
        let space = Some(DiskSpace { total_bytes, usable_bytes });
        assert_eq!(next_state(state, space, || unreachable!()), expected, "{state} with {usable_bytes}");
    }

    #[test]
    fn a_part_of_the_volume_is_kept() {
        const MIB: u64 = 1 << 20;
        for (state, usable, expected) in
            [(Writable, 127, Full), (Writable, 128, Writable), (Full, 255, Full), (Full, 256, Writable)]
        {
            check(state, 8 * MIB, usable << 10, expected);
            check(state, 1 << 40, usable * MIB / 2, expected);
        }
        assert_eq!(next_state(Full, None, || unreachable!()), Full);
    }

    #[test]
    fn a_read_only_directory_is_tried() {
        assert_eq!(next_state(ReadOnly, None, || false), ReadOnly);
        assert_eq!(next_state(ReadOnly, None, || true), Writable);
    }
}
