//! The names: as they are seen, and as they lie on the device.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use rand::Rng;
use rand::rngs::StdRng;

use super::FileId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirectoryId(u64);

const ROOT: DirectoryId = DirectoryId(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(FileId),
    Directory(DirectoryId),
}

type Names = BTreeMap<String, Node>;

#[derive(Debug, Default)]
struct Directory {
    live: Names,
    durable: Names,
    /// What `live` is ahead of `durable`, in the order it was done.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Link(String, Node),
    Unlink(String),
    Rename(String, String),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Link(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Makes the first `count` changes durable.
    fn keep(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            change.apply(&mut self.durable);
        }
    }

    fn crash(&mut self, rng: &mut StdRng) {
        let survivors = match rng.random_range(0..3) {
            0 => 0,
            1 => self.pending.len(),
            _ => rng.random_range(0..=self.pending.len()),
        };
        self.keep(survivors);
        self.pending.clear();
        self.live.clone_from(&self.durable);
    }
}

#[derive(Debug)]
pub(super) struct Tree {
    directories: BTreeMap<DirectoryId, Directory>,
    next_id: u64,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { directories: BTreeMap::from([(ROOT, Directory::default())]), next_id: 1 }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Directory(ROOT);
        for name in names(path) {
            node = *self.directory(node)?.live.get(&name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    pub(super) fn link(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let (parent, name) = self.parent_mut(path)?;
        parent.change(Change::Link(name, node));
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_mut(path)?;
        parent.change(Change::Unlink(name));
        Ok(())
    }

    /// As `rename(2)`: a file replaces a file, a directory replaces an empty one.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        match (node, self.find(to)) {
            (Node::Directory(_), Ok(taken @ Node::Directory(_))) if !self.directory(taken)?.live.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            (Node::Directory(_), Ok(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::File(_), Ok(Node::Directory(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            _ => {}
        }
        let (_, from_name) = self.parent_mut(from)?;
        if from.parent() == to.parent() {
            let (parent, to_name) = self.parent_mut(to)?;
            parent.change(Change::Rename(from_name, to_name));
            return Ok(());
        }
        self.link(to, node)?;
        self.unlink(from)
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in names(path) {
            let known = self.directory(Node::Directory(at))?.live.get(&name).copied();
            at = match known {
                Some(Node::Directory(id)) => id,
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let id = DirectoryId(self.next_id);
                    self.next_id += 1;
                    self.directories.insert(id, Directory::default());
                    self.directory_mut(at)?.change(Change::Link(name, Node::Directory(id)));
                    id
                }
            };
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, Node)>> {
        let directory = self.directory(self.find(path)?)?;
        Ok(directory.live.iter().map(|(name, node)| (name.clone(), *node)).collect())
    }

    pub(super) fn sync(&mut self, path: &Path) -> io::Result<()> {
        let Node::Directory(id) = self.find(path)? else { return Err(io::ErrorKind::NotADirectory.into()) };
        let directory = self.directory_mut(id)?;
        directory.keep(directory.pending.len());
        Ok(())
    }

    pub(super) fn crash(&mut self, rng: &mut StdRng) {
        for directory in self.directories.values_mut() {
            directory.crash(rng);
        }
    }

    /// All files that have a name.
    pub(super) fn files(&self) -> BTreeSet<FileId> {
        let mut files = BTreeSet::new();
        let mut to_visit = vec![ROOT];
        while let Some(id) = to_visit.pop() {
            for node in self.directories.get(&id).into_iter().flat_map(|directory| directory.live.values()) {
                match node {
                    Node::File(id) => {
                        files.insert(*id);
                    }
                    Node::Directory(id) => to_visit.push(*id),
                }
            }
        }
        files
    }

    fn directory(&self, node: Node) -> io::Result<&Directory> {
        match node {
            Node::Directory(id) => self.directories.get(&id).ok_or_else(|| io::ErrorKind::NotFound.into()),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn directory_mut(&mut self, id: DirectoryId) -> io::Result<&mut Directory> {
        self.directories.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn parent_mut(&mut self, path: &Path) -> io::Result<(&mut Directory, String)> {
        let mut names = names(path);
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let Node::Directory(id) = self.find(path.parent().unwrap_or(Path::new("")))? else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        Ok((self.directory_mut(id)?, name))
    }
}

/// The simulator knows neither `.` nor `..` nor a working directory.
fn names(path: &Path) -> Vec<String> {
    let normal = |component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    };
    path.components().filter_map(normal).collect()
}
