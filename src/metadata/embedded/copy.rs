//! Reading a store's file without touching it: redb works on a copy in memory, which it may put right after a crash.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::database::{OpenError, builder, describe, load};
use crate::io::Disk;
use crate::metadata::store::{KeyValue, Revision};

/// A longer file is refused: metadata of a million partitions takes less.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// All that the file holds, every page of it checked. The caller sees to it that nobody writes it meanwhile.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<(Revision, Vec<KeyValue>), OpenError> {
    let content =
        disk.read(path, MAX_FILE_BYTES).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    if content.is_empty() {
        return Err(OpenError::Damaged { path: path.to_owned(), reason: "it is empty".to_owned() });
    }
    let copy = Copy { content: Arc::new(Mutex::new(content)) };
    let file = builder().create_with_backend(copy).map_err(|error| describe(path, error.into()))?;
    load(&file, path)
}

#[derive(Debug)]
struct Copy {
    content: Arc<Mutex<Vec<u8>>>,
}

impl StorageBackend for Copy {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content.lock();
        let held = content.get(offset as usize..).and_then(|held| held.get(..out.len()));
        out.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, size_bytes: u64) -> io::Result<()> {
        if size_bytes > MAX_FILE_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.content.lock().resize(size_bytes as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content.lock();
        let held = content.get_mut(offset as usize..).and_then(|held| held.get_mut(..data.len()));
        held.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}
