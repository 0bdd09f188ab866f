//! The first write to directories that another broker left: until then that one can be started on them again.
//!
//! ```text
//!  awaited ── begin ──▶ clean markers go, synced ──▶ what waited is written ──▶ note goes, synced ──▶ begun
//!     ▲                                                                            │
//!     └── a crash before the note is gone: nothing was written, the next start adopts anew
//! ```
//! While it is awaited nothing is checkpointed, cleaned or retained, and stopping leaves the directories as they are.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::clean_shutdown;
use crate::io::{Disk, relieving_worker};

/// Something that is written before everything else; doing it twice does no harm.
type Waiting = Box<dyn Fn() -> io::Result<()> + Send>;

/// Whether something was written yet, and what has to happen before that.
pub struct FirstWrite {
    is_awaited: AtomicBool,
    before: Mutex<Before>,
    has_begun: Notify,
}

/// What happens before the first write.
struct Before {
    disk: Arc<dyn Disk>,
    directories: Vec<PathBuf>,
    waiting: Vec<Waiting>,
    note: PathBuf,
}

impl FirstWrite {
    /// Directories that another broker left. `note` is a file that says so, and is gone once they are ours.
    pub fn awaited(disk: Arc<dyn Disk>, directories: Vec<PathBuf>, note: PathBuf) -> Arc<Self> {
        let before = Before { disk, directories, waiting: Vec::new(), note };
        Arc::new(Self { is_awaited: AtomicBool::new(true), before: Mutex::new(before), has_begun: Notify::new() })
    }

    pub fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Acquire)
    }

    /// Waits until something is written.
    pub async fn begun(&self) {
        loop {
            let begun = self.has_begun.notified();
            if !self.is_awaited() {
                return;
            }
            begun.await;
        }
    }

    /// To be called before anything is written. The first time it waits for the device; an error leaves all as it was,
    /// and nothing may be written.
    pub fn begin(&self) -> io::Result<()> {
        if !self.is_awaited() {
            return Ok(());
        }
        relieving_worker(|| {
            let mut before = self.before.lock();
            if !self.is_awaited() {
                return Ok(());
            }
            before.happen()?;
            self.is_awaited.store(false, Ordering::Release);
            self.has_begun.notify_waiters();
            tracing::info!("first write: the log directories are this broker's from now on");
            Ok(())
        })
    }

    /// Does something now, or, while the first write is awaited, right before it.
    pub fn in_its_time(&self, write: impl Fn() -> io::Result<()> + Send + 'static) -> io::Result<()> {
        {
            let mut before = self.before.lock();
            if self.is_awaited() {
                before.waiting.push(Box::new(write));
                return Ok(());
            }
        }
        write()
    }
}

impl Before {
    fn happen(&mut self) -> io::Result<()> {
        for directory in &self.directories {
            clean_shutdown::remove(&*self.disk, directory)?;
        }
        self.waiting.iter().try_for_each(|write| write())?;
        self.waiting.clear();
        self.disk.remove_file(&self.note)?;
        self.note.parent().map_or(Ok(()), |directory| self.disk.sync_directory(directory))
    }
}

impl fmt::Debug for FirstWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstWrite").field("is_awaited", &self.is_awaited()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::io::sim::SimDisk;

    const NOTE: &str = "a/ottla.untouched";

    fn taken_over() -> (Arc<SimDisk>, Arc<FirstWrite>) {
        let disk = SimDisk::new(0);
        for directory in ["a", "b"] {
            disk.create_directory(Path::new(directory)).unwrap();
            clean_shutdown::write(&*disk, Path::new(directory), None).unwrap();
        }
        disk.write_atomically(Path::new(NOTE), b"").unwrap();
        let first_write = FirstWrite::awaited(Arc::clone(&disk) as _, vec!["a".into(), "b".into()], NOTE.into());
        (disk, first_write)
    }

    fn is_clean(disk: &SimDisk, directory: &str) -> bool {
        clean_shutdown::read(disk, Path::new(directory)).unwrap().is_some()
    }

    #[test]
    fn markers_go_then_what_waits_is_written_then_the_note_goes() {
        let (disk, first_write) = taken_over();
        let written = Arc::new(AtomicUsize::new(0));
        let count = {
            let (written, disk) = (Arc::clone(&written), Arc::clone(&disk));
            move || {
                assert!(!is_clean(&disk, "a") && !is_clean(&disk, "b"));
                assert_eq!(disk.exists(Path::new(NOTE)), written.fetch_add(1, Ordering::Relaxed) == 0);
                Ok(())
            }
        };
        first_write.in_its_time(count.clone()).unwrap();
        assert!(first_write.is_awaited() && is_clean(&disk, "a") && is_clean(&disk, "b"));
        assert_eq!(written.load(Ordering::Relaxed), 0);
        first_write.begin().unwrap();
        assert!(!first_write.is_awaited() && !disk.exists(Path::new(NOTE)));
        first_write.begin().unwrap();
        assert_eq!(written.load(Ordering::Relaxed), 1, "once");
        first_write.in_its_time(count).unwrap();
        assert_eq!(written.load(Ordering::Relaxed), 2, "and from then on at once");
    }

    #[test]
    fn a_failure_leaves_it_awaited() {
        let (disk, first_write) = taken_over();
        let may_fail = Arc::new(AtomicBool::new(true));
        let fails = Arc::clone(&may_fail);
        let write = move || if fails.load(Ordering::Relaxed) { Err(io::Error::other("full")) } else { Ok(()) };
        first_write.in_its_time(write).unwrap();
        first_write.begin().unwrap_err();
        assert!(first_write.is_awaited() && disk.exists(Path::new(NOTE)), "the next start takes over anew");
        may_fail.store(false, Ordering::Relaxed);
        first_write.begin().unwrap();
        assert!(!first_write.is_awaited());
    }
}
