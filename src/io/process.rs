//! Files that belong to the process and not to a log directory.

use std::fs;
use std::io;
use std::path::Path;

/// The whole of a text file that the user named.
#[expect(clippy::disallowed_methods, reason = "the home of std::fs")]
pub fn read_text(path: &Path) -> io::Result<String> {
    fs::read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    })
}

/// Bytes that this process made devices read and write since it started, as far as the system tells (Linux).
pub fn process_disk_bytes() -> (Option<u64>, Option<u64>) {
    let Ok(text) = read_text(Path::new("/proc/self/io")) else { return (None, None) };
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    (field("read_bytes:"), field("write_bytes:"))
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
}
