//! The operating system's files, and the threads that sync them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, fcntl_lock, flock, statvfs};
use rustix::io::{Errno, ReadWriteFlags};

use super::relief::relieving_worker;
use super::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, DiskSpace, EntryKind, OpenFiles, OpenMode, SyncDone, SyncRequest,
    WholeSync, temporary_path, whole_sync,
};
use crate::time::{Clock, SystemClock};

/// `pwritev` takes at most this many pieces (IOV_MAX on Linux).
const MAX_SLICES: usize = 1024;

type SyncJob = (SyncRequest, SyncDone);

/// The file system, with `sync_threads` threads of its own that wait for the device.
///
/// Requests queue without bound here, because each caller keeps at most one under way per partition.
#[derive(Debug)]
pub struct RealDisk {
    sync_jobs: mpsc::Sender<SyncJob>,
    open_files: Arc<OpenFiles>,
}

/// Told how long a sync took, on the sync thread.
pub type OnSync = Arc<dyn Fn(Duration) + Send + Sync>;

impl RealDisk {
    /// Distinct files sync in parallel: the file system's journal merges their commits.
    pub fn new(sync_threads: usize) -> io::Result<Arc<Self>> {
        Self::with_observer(
            sync_threads,
            &(Arc::new(SystemClock::new()) as Arc<dyn Clock>),
            &(Arc::new(|_| {}) as OnSync),
        )
    }

    /// As [`RealDisk::new`]; every sync is timed by `clock` and told to `on_sync`.
    pub fn with_observer(sync_threads: usize, clock: &Arc<dyn Clock>, on_sync: &OnSync) -> io::Result<Arc<Self>> {
        let (sync_jobs, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let open_files = Arc::new(OpenFiles::of_process());
        for number in 0..sync_threads.max(1) {
            let (receiver, clock, on_sync) = (Arc::clone(&receiver), Arc::clone(clock), Arc::clone(on_sync));
            let open_files = Arc::clone(&open_files);
            std::thread::Builder::new()
                .name(format!("sync-{number}"))
                .spawn(move || sync_jobs_until_closed(&receiver, &open_files, &*clock, &*on_sync))?;
        }
        Ok(Arc::new(Self { sync_jobs, open_files }))
    }
}

/// Ends when the disk is dropped and its queue is empty.
fn sync_jobs_until_closed(
    jobs: &Mutex<mpsc::Receiver<SyncJob>>,
    open_files: &OpenFiles,
    clock: &dyn Clock,
    on_sync: &(dyn Fn(Duration) + Send + Sync),
) {
    loop {
        // The guard lives for this statement only: one thread waits for a job, the others for their turn to wait.
        let job = jobs.lock().recv();
        let Ok((request, done)) = job else { return };
        let started = clock.monotonic();
        let result = run_sync(&request, open_files);
        on_sync(clock.monotonic().saturating_sub(started));
        done(result);
    }
}

fn run_sync(request: &SyncRequest, open_files: &OpenFiles) -> io::Result<()> {
    for file in &request.files {
        file.sync()?;
    }
    let mut directories = request.directories.iter();
    directories.try_for_each(|directory| open_files.with_descriptor(|| sync_directory(directory)))
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(false);
            }
        }
        let file = self.open_files.with_descriptor(|| options.open(path))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn open_files(&self) -> &OpenFiles {
        &self.open_files
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let file = self.open_files.with_descriptor(|| OpenOptions::new().read(true).open(path))?;
        file.take(max_bytes + 1).read_to_end(&mut content)?;
        if content.len() as u64 > max_bytes {
            let reason = format!("{} is longer than {max_bytes} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(content)
    }

    fn write_atomically(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = temporary_path(path);
        let create = || OpenOptions::new().write(true).create(true).truncate(true).open(&temporary);
        let file = self.open_files.with_descriptor(create)?;
        file.write_all_at(content, 0)?;
        file.sync_all()?;
        self.rename(&temporary, path)?;
        self.sync_directory(path.parent().unwrap_or(Path::new(".")))
    }

    #[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    #[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in self.open_files.with_descriptor(|| fs::read_dir(path))? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between the listing and this look at it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let kind = match metadata.file_type() {
                kind if kind.is_file() => EntryKind::File,
                kind if kind.is_dir() => EntryKind::Directory,
                _ => EntryKind::Other,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirectoryEntry { name, kind, size_bytes: metadata.len() });
        }
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    #[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent_is_done(fs::remove_file(path))
    }

    #[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        absent_is_done(fs::remove_dir_all(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.open_files.with_descriptor(|| sync_directory(path))
    }

    fn whole_sync(&self, path: &Path) -> io::Result<Option<Arc<dyn WholeSync>>> {
        whole_sync::of(path)
    }

    fn submit_sync(&self, request: SyncRequest, done: SyncDone) {
        if let Err(mpsc::SendError((request, done))) = self.sync_jobs.send((request, done)) {
            // No sync thread is left; the caller waits for its event all the same.
            done(run_sync(&request, &self.open_files));
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Kafka takes the other kind of lock (POSIX record locks, by Java's FileLock), which this one says nothing about.
        // That one goes with the first handle of the file that this process closes: nobody else opens a lock file.
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::ACCESS => Errno::AGAIN,
            other => other,
        })?;
        Ok(Box::new(RealLock { _file: file }))
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        let volume = statvfs(path)?;
        Ok(DiskSpace {
            total_bytes: volume.f_blocks.saturating_mul(volume.f_frsize),
            usable_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
        })
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).open(path)?.sync_all()
}

fn absent_is_done(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Released by the operating system when the file closes, whichever way the process ends.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl DirectoryLock for RealLock {}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if let Some(count) = self.read_cached_at(buffer, position)? {
            return Ok(count);
        }
        relieving_worker(|| {
            let mut done = 0;
            while done < buffer.len() {
                match self.file.read_at(&mut buffer[done..], position + done as u64) {
                    Ok(0) => break,
                    Ok(count) => done += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        let wanted = buffer.len();
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(self.file.as_fd(), &mut slices, position, ReadWriteFlags::NOWAIT) {
            Ok(count) if count == wanted => Ok(Some(count)),
            // Short: the end of the file, or the end of what the page cache holds. The caller reads again, blocking.
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write_all_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut at = position;
        let mut remaining = slices;
        let mut skip = 0;
        while let Some(first) = remaining.first() {
            if skip == first.len() {
                remaining = &remaining[1..];
                skip = 0;
                continue;
            }
            let written = if skip == 0 {
                let some = &remaining[..remaining.len().min(MAX_SLICES)];
                rustix::io::pwritev(self.file.as_fd(), some, at)
            } else {
                rustix::io::pwrite(self.file.as_fd(), &first[skip..], at)
            };
            let mut written = match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            at += written as u64;
            written += skip;
            skip = 0;
            while let Some(first) = remaining.first() {
                if written < first.len() {
                    skip = written;
                    break;
                }
                written -= first.len();
                remaining = &remaining[1..];
            }
        }
        Ok(())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_size_bytes(&self, size_bytes: u64) -> io::Result<()> {
        self.file.set_len(size_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn as_os_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}
