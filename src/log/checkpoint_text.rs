//! The text form that Kafka's checkpoint files share.
//!
//! ```text
//!   version
//!   number of entries
//!   entry, its fields separated by blanks     (one line each)
//! ```

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::io::Disk;

/// A small file of the log's that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Text { path: PathBuf, source: TextError },
}

impl FileError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// The cause; for a bad line, an error of its own.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Io { source, .. } => source,
            Self::Text { .. } => io::Error::other(self),
        }
    }

    pub(super) fn text(path: &Path) -> impl FnOnce(TextError) -> Self {
        move |source| Self::Text { path: path.to_path_buf(), source }
    }
}

/// A line that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TextError {
    /// From 1.
    pub line: usize,
    pub reason: String,
}

impl TextError {
    pub(super) fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// One entry and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    /// The entry's fields, exactly `N`.
    pub(super) fn fields<const N: usize>(&self) -> Result<[&'a str; N], TextError> {
        let fields: Vec<_> = self.text.split_ascii_whitespace().take(N + 1).collect();
        let refused = |fields: Vec<_>| self.error(format!("{} fields where {N} should be", fields.len()));
        fields.try_into().map_err(refused)
    }

    /// A number not below 0.
    pub(super) fn number<T: FromStr + PartialOrd + Default>(&self, text: &str, what: &str) -> Result<T, TextError> {
        let number = text.parse().ok().filter(|number| *number >= T::default());
        number.ok_or_else(|| self.error(format!("'{}' is not {what}", shortened(text))))
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> TextError {
        TextError::new(self.number, reason)
    }
}

pub(super) fn encode(version: u32, entries: impl Iterator<Item = impl Display>) -> String {
    let mut count = 0_usize;
    let mut lines = String::new();
    for entry in entries {
        count += 1;
        lines.push_str(&entry.to_string());
        lines.push('\n');
    }
    format!("{version}\n{count}\n{lines}")
}

/// The entries of a file of this version. A line too few or too many is an error of the last entry. A file that is
/// empty or ends behind its version has none: Kafka creates its checkpoints so.
pub(super) fn lines(
    content: &str,
    version: u32,
) -> Result<impl Iterator<Item = Result<Line<'_>, TextError>>, TextError> {
    let mut lines = content.lines().enumerate().map(|(at, text)| Line { number: at + 1, text });
    if let Some(found) = lines.next()
        && found.number::<u32>(found.text.trim(), "a version")? != version
    {
        return Err(found.error(format!("version {} where {version} should be", shortened(found.text))));
    }
    let count = match lines.next() {
        Some(count) => count.number::<usize>(count.text.trim(), "a number of entries")?,
        None => 0,
    };
    let mut seen = 0;
    Ok(std::iter::from_fn(move || match lines.next() {
        Some(line) if seen < count => {
            seen += 1;
            Some(Ok(line))
        }
        Some(line) if line.text.trim().is_empty() => None,
        Some(line) => Some(Err(line.error(format!("more entries than {count}")))),
        None if seen < count => {
            let missing = TextError::new(seen + 3, format!("{seen} entries where {count} should be"));
            seen = count;
            Some(Err(missing))
        }
        None => None,
    }))
}

/// A small file's text; `None` where it is absent. Bytes that are no UTF-8 are replaced, and fail where they stand.
pub(crate) fn read_text(disk: &dyn Disk, path: &Path, max_bytes: u64) -> io::Result<Option<String>> {
    match disk.read(path, max_bytes) {
        Ok(content) => Ok(Some(String::from_utf8_lossy(&content).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What of a foreign text is fit for an error message.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
