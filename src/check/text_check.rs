//! Small text files: where in them something is wrong.

use std::io;
use std::path::Path;

use super::finding::{Finding, Kind, Level};
use crate::io::Disk;
use crate::log::TextError;
use crate::log::checkpoint_text::read_text;

/// The content of a small file and what is wrong with it.
pub(super) struct TextFile<'a> {
    pub(super) path: &'a Path,
    pub(super) kind: Kind,
    pub(super) content: String,
}

impl<'a> TextFile<'a> {
    /// `None`: absent. A file that is too long is a finding.
    pub(super) fn read(
        disk: &dyn Disk,
        path: &'a Path,
        kind: Kind,
        max_bytes: u64,
    ) -> io::Result<Result<Option<Self>, Finding>> {
        match read_text(disk, path, max_bytes) {
            Ok(content) => Ok(Ok(content.map(|content| Self { path, kind, content }))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Ok(Err(Finding::damage(kind, path, error.to_string()).at(max_bytes, 0)))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.content.len() as u64
    }

    /// What a parser has found.
    pub(super) fn bad(&self, level: Level, error: &TextError) -> Finding {
        self.at_line(level, error.line, error.to_string())
    }

    /// Something about a line, counted from 1.
    pub(super) fn at_line(&self, level: Level, line: usize, message: impl Into<String>) -> Finding {
        let (position, bytes) = self.line_range(line);
        Finding::new(level, self.kind, self.path, message).at(position, bytes)
    }

    /// Something about the first line that begins like this, or about the lack of one.
    pub(super) fn at_line_of(&self, level: Level, begin: &str, message: impl Into<String>) -> Finding {
        match self.content.lines().position(|line| line.starts_with(begin)) {
            Some(at) => self.at_line(level, at + 1, message),
            // Any of them may have been that line once.
            None => Finding::new(level, self.kind, self.path, message).at(0, self.size_bytes()),
        }
    }

    /// The bytes of a line with its end; behind the last line, the end of the file and the line before.
    fn line_range(&self, line: usize) -> (u64, u64) {
        let mut position = 0;
        let mut range = (0, 0);
        for text in self.content.split_inclusive('\n').take(line.max(1)) {
            range = (position, text.len() as u64);
            position += text.len() as u64;
        }
        range
    }
}
