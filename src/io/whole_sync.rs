//! `syncfs`: everything on a file system becomes durable at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{fstatfs, syncfs};
use rustix::system::uname;

use super::WholeSync;

/// Since then the kernel notes a write that fails for the whole file system, and `syncfs` tells of it.
const FIRST_KERNEL: (u32, u32) = (5, 8);

/// `f_type` of file systems whose own code writes the data, so that its errors are noted there: ext4, XFS, Btrfs, tmpfs. An
/// overlay's are noted by the one below it, which is not asked.
const KNOWN: [u64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];

/// A directory of the file system, open for as long as errors are to be told: each is told once to everyone who had the
/// file system open when it happened.
#[derive(Debug)]
struct FileSystem(File);

impl WholeSync for FileSystem {
    fn sync(&self) -> io::Result<()> {
        Ok(syncfs(&self.0)?)
    }
}

/// `None` where errors might go unnoticed.
pub(super) fn of(path: &Path) -> io::Result<Option<Arc<dyn WholeSync>>> {
    let release = uname();
    if kernel_version(&release.release().to_string_lossy()).is_none_or(|version| version < FIRST_KERNEL) {
        return Ok(None);
    }
    let directory = OpenOptions::new().read(true).open(path)?;
    let kind = fstatfs(&directory)?.f_type as u64;
    Ok(KNOWN.contains(&kind).then(|| Arc::new(FileSystem(directory)) as _))
}

/// Major and minor of `6.1.0-13-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_by_their_release() {
        assert_eq!(kernel_version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(kernel_version("5.7"), Some((5, 7)));
        assert_eq!(kernel_version("5.15.0"), Some((5, 15)));
        assert_eq!(kernel_version("plan9"), None);
        assert!((4, 19) < FIRST_KERNEL && (5, 15) > FIRST_KERNEL && (6, 0) > FIRST_KERNEL);
    }

    #[test]
    fn a_file_system_that_tells_of_errors_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        if let Some(whole) = of(directory.path()).unwrap() {
            whole.sync().unwrap();
        }
        assert!(of(Path::new("/proc")).unwrap().is_none(), "nothing is written there");
        assert!(of(&directory.path().join("absent")).is_err());
    }
}
