//! How many files stay open between uses: a node with more segments than file descriptors keeps working.
//!
//! ```text
//!         hand ▼
//!  ring:  [used] [ ] [used] [unsynced] [ ] ...     opened files, in the order in which the hand comes by
//!          │      └─ is closed where there are too many, and opened again when it is needed
//!          └─ was used since the hand last came by: stays for another round
//! ```
//! Using an open file touches nothing that is shared; only opening one takes the lock.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::failure::is_out_of_descriptors;
use super::process::open_file_limit;

/// The part of the process's descriptors that logs may keep; the rest is for connections and short-lived files.
const PART_FOR_LOGS: u64 = 2;
/// However few the process may have.
const MIN_FILES: usize = 32;
/// Files that are closed at once where the process has no descriptor left.
const ROOM: usize = 32;

/// A file that can be closed behind its user's back.
pub trait Closable: Send + Sync {
    /// Whether it may be closed: not where it was used since this was last asked. One with unsynced writes takes a sync
    /// first, and is spared unless there are only such.
    fn may_close(&self, with_unsynced: bool) -> bool;

    /// Closes it; it has then left the ring. False: not now.
    fn close(&self) -> bool;

    /// Leaves the ring where it is closed already; false: it is not.
    fn leave_if_closed(&self) -> bool;
}

/// The files of one disk that are open between uses.
pub struct OpenFiles {
    limit: usize,
    open: AtomicUsize,
    ring: Mutex<VecDeque<Weak<dyn Closable>>>,
}

impl OpenFiles {
    /// At most `limit` stay open.
    pub fn new(limit: usize) -> Self {
        Self { limit, open: AtomicUsize::new(0), ring: Mutex::default() }
    }

    /// As many as this process can well keep.
    pub fn of_process() -> Self {
        let limit = open_file_limit().and_then(|limit| usize::try_from(limit / PART_FOR_LOGS).ok());
        Self::new(limit.unwrap_or(usize::MAX).max(MIN_FILES))
    }

    /// Files that are open now.
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// One more is open. To be called before it can be closed again, and followed by [`OpenFiles::make_way`].
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes others in the place of one that was opened, where there are too many. `entry`: its own place in the ring,
    /// unless it has one. May take a sync.
    pub fn make_way(&self, entry: Option<Weak<dyn Closable>>) {
        self.close_surplus(self.limit);
        // Behind the others: it is not closed for itself.
        let Some(entry) = entry else { return };
        let mut ring = self.ring.lock();
        ring.push_back(entry);
        if ring.len() > 2 * self.count() + ROOM {
            ring.retain(|entry| entry.upgrade().is_some_and(|file| !file.leave_if_closed()));
        }
    }

    /// One is closed.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Does what takes a descriptor; where none is left, once more after some files are closed, however few are open.
    pub fn with_descriptor<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match act() {
            Err(error) if is_out_of_descriptors(&error) => {
                self.make_room();
                act()
            }
            done => done,
        }
    }

    /// Closes some files, however few are open.
    pub fn make_room(&self) {
        self.close_surplus(self.count().saturating_sub(ROOM));
    }

    fn close_surplus(&self, limit: usize) {
        let surplus = self.count().saturating_sub(limit);
        if surplus == 0 {
            return;
        }
        // Closed without the lock: it may take a sync.
        for file in self.pick(surplus) {
            if file.close() {
                continue;
            }
            self.ring.lock().push_back(Arc::downgrade(&file));
        }
    }

    /// Up to `count` files that may be closed, out of the ring.
    fn pick(&self, count: usize) -> Vec<Arc<dyn Closable>> {
        let mut ring = self.ring.lock();
        let mut picked = Vec::new();
        let round = ring.len();
        // In the second round nothing counts as used any more.
        for at in 0..2 * round {
            if picked.len() == count {
                break;
            }
            let Some(entry) = ring.pop_front() else { break };
            let Some(file) = entry.upgrade() else { continue };
            if file.leave_if_closed() {
                continue;
            }
            if file.may_close(at >= round) {
                picked.push(file);
            } else {
                ring.push_back(entry);
            }
        }
        picked
    }
}

impl fmt::Debug for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFiles").field("limit", &self.limit).field("open", &self.open).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_finds_no_descriptor_is_done_once_more() {
        let files = OpenFiles::new(9);
        for (errno, expected) in [(Errno::MFILE, 2), (Errno::NFILE, 2), (Errno::IO, 1)] {
            let mut tries = 0;
            let refused = files.with_descriptor(|| -> io::Result<()> {
                tries += 1;
                Err(errno.into())
            });
            assert_eq!(refused.unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
            assert_eq!(tries, expected);
        }
    }
}
