//! Files that belong to the process and not to a log directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The whole of a text file that the user named.
#[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
pub fn read_text(path: &Path) -> io::Result<String> {
    fs::read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    })
}

/// The path from the root on; as given where the working directory is not known.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Raises the number of files that this process may have open to the most it is allowed, and says what that is.
/// Systems start processes with few (1024 mostly), for the sake of programs that call `select`; every connection is an
/// open file, and so is every segment.
pub fn raise_open_file_limit() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(limit.maximum)
}

/// How many files this process may have open; none: any number.
pub fn open_file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The present thread gets the processor when nobody else wants it. Where the system refuses that, it goes on as it is.
pub fn lower_thread_priority() {
    const LOWEST: i32 = 19;
    // On Linux this is about a thread, where its number is given.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_text_is_named_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), &[0xff, 0xfe]).unwrap();
        assert_eq!(read_text(file.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_limit_on_open_files_is_the_most_allowed() {
        let raised = raise_open_file_limit().unwrap();
        assert_eq!(open_file_limit(), raised);
    }
}
