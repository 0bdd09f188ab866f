//! Everything below a path made durable: file by file, so that a crash may come in the midst of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::State;
use super::tree::Node;
use crate::io::WholeSync;

pub(super) struct SimWholeSync {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) path: PathBuf,
}

impl std::fmt::Debug for SimWholeSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimWholeSync({})", self.path.display())
    }
}

impl WholeSync for SimWholeSync {
    fn sync(&self) -> io::Result<()> {
        self.state.lock().sync_below(&self.path)
    }
}

impl State {
    fn sync_below(&mut self, path: &Path) -> io::Result<()> {
        for (name, node) in self.tree.list(path)? {
            match node {
                Node::File(id) => self.sync_file(id, u64::MAX)?,
                Node::Directory(_) => self.sync_below(&path.join(name))?,
            }
        }
        self.sync_directory(path)
    }
}
