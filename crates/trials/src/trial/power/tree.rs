//! A folder as data: names, and the bytes of files. What is done to it, and how it goes to a real disk and back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The number of a file or folder; a name only points to it.
pub(super) type Node = usize;
/// The folder itself.
pub(super) const ROOT: Node = 0;
/// What a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;

/// Files and folders by their numbers; those without a name are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    files: BTreeMap<Node, Vec<u8>>,
    folders: BTreeMap<Node, BTreeMap<String, Node>>,
}

/// What was written. A reserve of zeros is told apart, so that it takes no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bytes {
    Zeros(usize),
    Some(Vec<u8>),
}

/// A place for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) folder: Node,
    pub(super) name: String,
}

/// One change of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Write {
        file: Node,
        at: usize,
        bytes: Bytes,
    },
    Resize {
        file: Node,
        size: usize,
    },
    /// A file or folder gets a (further) name. Whatever had it before loses it.
    Name {
        entry: Entry,
        node: Node,
    },
    Unname {
        entry: Entry,
        node: Node,
    },
    Rename {
        from: Entry,
        to: Entry,
        node: Node,
    },
}

// === impl Bytes ===

impl Bytes {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        if bytes.iter().all(|byte| *byte == 0) {
            Self::Zeros(bytes.len())
        } else {
            Self::Some(bytes)
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Zeros(length) => *length,
            Self::Some(bytes) => bytes.len(),
        }
    }
}

// === impl Tree ===

impl Default for Tree {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            folders: BTreeMap::from([(ROOT, BTreeMap::new())]),
        }
    }
}

impl Tree {
    /// Adds a file or folder that is empty and has no name yet.
    pub(super) fn add(&mut self, is_folder: bool) -> Node {
        let last = |last: Option<Node>| last.unwrap_or(ROOT);
        let files = last(self.files.keys().next_back().copied());
        let folders = last(self.folders.keys().next_back().copied());
        let node = files.max(folders) + 1;
        self.know(node, is_folder);
        node
    }

    /// As `add`, with a number that another tree gave.
    pub(super) fn know(&mut self, node: Node, is_folder: bool) {
        if is_folder {
            self.folders.entry(node).or_default();
        } else {
            self.files.entry(node).or_default();
        }
    }

    pub(super) fn is_folder(&self, node: Node) -> bool {
        self.folders.contains_key(&node)
    }

    /// The bytes of a file; none of what is no file.
    pub(super) fn file(&self, node: Node) -> &[u8] {
        self.files.get(&node).map_or(&[], Vec::as_slice)
    }

    fn file_mut(&mut self, node: Node) -> &mut Vec<u8> {
        self.files.entry(node).or_default()
    }

    /// What a name points to.
    pub(super) fn lookup(&self, entry: &Entry) -> Option<Node> {
        self.folders.get(&entry.folder)?.get(&entry.name).copied()
    }

    /// The place that a path names, and what is there. `None`: its folder does not exist.
    pub(super) fn resolve(&self, path: &Path) -> Option<(Entry, Option<Node>)> {
        let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
        let mut entry = Entry {
            folder: ROOT,
            name: parts.next()?,
        };
        for part in parts {
            let folder = self.lookup(&entry).filter(|node| self.is_folder(*node))?;
            entry = Entry { folder, name: part };
        }
        let node = self.lookup(&entry);
        Some((entry, node))
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { file, at, bytes } => {
                let content = self.file_mut(*file);
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                match bytes {
                    Bytes::Zeros(_) => content[*at..end].fill(0),
                    Bytes::Some(bytes) => content[*at..end].copy_from_slice(bytes),
                }
            }
            Change::Resize { file, size } => self.file_mut(*file).resize(*size, 0),
            Change::Name { entry, node } => self.name(entry, *node),
            Change::Unname { entry, node } => self.unname(entry, *node),
            Change::Rename { from, to, node } => {
                self.unname(from, *node);
                self.name(to, *node);
            }
        }
    }

    fn name(&mut self, entry: &Entry, node: Node) {
        if let Some(names) = self.folders.get_mut(&entry.folder) {
            names.insert(entry.name.clone(), node);
        }
    }

    /// Only if the name points there: it may have come to point elsewhere meanwhile.
    fn unname(&mut self, entry: &Entry, node: Node) {
        if let Some(names) = self.folders.get_mut(&entry.folder)
            && names.get(&entry.name) == Some(&node)
        {
            names.remove(&entry.name);
        }
    }

    /// Takes the sectors of a file that begin before `end` and not before `at` as they are in `newer`.
    pub(super) fn persist(&mut self, file: Node, (at, end): (usize, usize), newer: &Tree) {
        let source = newer.file(file);
        let from = at - at % SECTOR;
        let sectors_end = end.next_multiple_of(SECTOR);
        let to = sectors_end.min(source.len());
        let content = self.file_mut(file);
        if from >= to {
            return;
        }
        if content.len() < to {
            content.resize(to, 0);
        }
        content[from..to].copy_from_slice(&source[from..to]);
        // Behind the end of a file its last sector is zero, also where the disk takes the file to be longer.
        let behind = sectors_end.min(content.len());
        content[to..behind].fill(0);
    }

    /// The size of a file as it is in `newer`, if that is more; the bytes are not there.
    pub(super) fn persist_size(&mut self, file: Node, newer: &Tree) {
        let size = newer.file(file).len();
        let content = self.file_mut(file);
        if content.len() < size {
            content.resize(size, 0);
        }
    }

    /// Every file that has a name, with its path.
    pub(super) fn files(&self) -> Vec<(String, Node)> {
        let mut found = Vec::new();
        self.walk(ROOT, "", &mut |path, node, is_folder| {
            if !is_folder {
                found.push((path.to_owned(), node));
            }
        });
        found
    }

    fn walk(&self, folder: Node, prefix: &str, visit: &mut impl FnMut(&str, Node, bool)) {
        for (name, node) in self.folders.get(&folder).into_iter().flatten() {
            let path = format!("{prefix}{name}");
            visit(&path, *node, self.is_folder(*node));
            self.walk(*node, &format!("{path}/"), visit);
        }
    }

    /// Takes a file's or folder's name away.
    pub(super) fn remove(&mut self, path: &str) {
        if let Some((entry, Some(node))) = self.resolve(Path::new(path)) {
            self.unname(&entry, node);
        }
    }

    /// Other bytes in place of those of a file.
    pub(super) fn replace(&mut self, node: Node, bytes: Vec<u8>) {
        *self.file_mut(node) = bytes;
    }

    /// The tree of a real folder; an empty one when there is none.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        if folder.is_dir() {
            tree.read_into(ROOT, folder)?;
        }
        Ok(tree)
    }

    fn read_into(&mut self, folder: Node, path: &Path) -> io::Result<()> {
        for found in fs::read_dir(path)? {
            let found = found?;
            let name = found.file_name().to_string_lossy().into_owned();
            let is_folder = found.file_type()?.is_dir();
            let node = self.add(is_folder);
            self.name(&Entry { folder, name }, node);
            if is_folder {
                self.read_into(node, &found.path())?;
            } else {
                *self.file_mut(node) = fs::read(found.path())?;
            }
        }
        Ok(())
    }

    /// Makes a real folder of it. Sectors of zeros are left out of the files, as holes.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let mut result = Ok(());
        self.walk(ROOT, "", &mut |path, node, is_folder| {
            if result.is_err() {
                return;
            }
            let path = folder.join(path);
            result = if is_folder {
                fs::create_dir(&path)
                    .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
            } else {
                write_sparse(&path, self.file(node))
            };
        });
        result
    }

    /// What is different in `other`, in words; files that `is_free` names may be.
    pub(super) fn difference(
        &self,
        other: &Tree,
        is_free: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let named = |tree: &Tree| -> BTreeMap<String, Option<Node>> {
            let mut found = BTreeMap::new();
            tree.walk(ROOT, "", &mut |path, node, is_folder| {
                found.insert(path.to_owned(), (!is_folder).then_some(node));
            });
            found
        };
        let (ours, theirs) = (named(self), named(other));
        for path in ours.keys().chain(theirs.keys()) {
            let (Some(ours), Some(theirs)) = (ours.get(path), theirs.get(path)) else {
                let side = if ours.contains_key(path) {
                    "only expected"
                } else {
                    "not expected"
                };
                return Some(format!("{path} is {side}"));
            };
            let (Some(ours), Some(theirs)) = (ours, theirs) else {
                continue;
            };
            let (ours, theirs) = (self.file(*ours), other.file(*theirs));
            if ours == theirs || is_free(path) {
                continue;
            }
            let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            let (expected, found) = (ours.len(), theirs.len());
            return Some(format!(
                "{path} differs from byte {same} on ({expected} bytes expected, {found} found)"
            ));
        }
        None
    }
}

fn write_sparse(path: &Path, bytes: &[u8]) -> io::Result<()> {
    const PART: usize = 4096;
    let mut file = File::create_new(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    for (index, part) in bytes.chunks(PART).enumerate() {
        if part.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start((index * PART) as u64))?;
            file.write_all(part)?;
        }
    }
    file.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> Tree {
        let mut tree = Tree::default();
        for (path, bytes) in files {
            let mut folder = ROOT;
            let parts: Vec<&str> = path.split('/').collect();
            for (index, part) in parts.iter().enumerate() {
                let name = (*part).to_owned();
                let entry = Entry { folder, name };
                let is_folder = index + 1 < parts.len();
                let node = tree.lookup(&entry).unwrap_or_else(|| tree.add(is_folder));
                tree.apply(&Change::Name { entry, node });
                folder = node;
            }
            tree.replace(folder, bytes.to_vec());
        }
        tree
    }

    #[test]
    fn a_tree_is_the_same_after_the_way_to_a_disk_and_back() {
        let mut long = vec![0; 20_000];
        long[9_000] = 7;
        let tree = tree(&[
            ("a", b"text"),
            ("b/c", &long),
            ("b/empty", b""),
            ("zeros", &[0; 5000]),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        tree.write(&path).unwrap();
        let back = Tree::read(&path).unwrap();
        assert_eq!(tree.difference(&back, |_| false), None);
        assert_eq!(fs::metadata(path.join("zeros")).unwrap().len(), 5000);
    }

    #[test]
    fn every_difference_is_found_and_named() {
        let base = tree(&[("a", b"text"), ("b/c", b"more")]);
        let found = |files: &[(&str, &[u8])]| base.difference(&tree(files), |path| path == "free");
        assert_eq!(found(&[("a", b"text"), ("b/c", b"more")]), None);
        let byte = found(&[("a", b"tezt"), ("b/c", b"more")]).unwrap();
        assert!(byte.starts_with("a differs from byte 2 on"), "{byte}");
        let size = found(&[("a", b"text"), ("b/c", b"mor")]).unwrap();
        assert!(
            size.contains("b/c differs from byte 3 on (4 bytes expected, 3 found)"),
            "{size}"
        );
        assert_eq!(found(&[("a", b"text")]).unwrap(), "b is only expected");
        let more = found(&[("a", b"text"), ("b/c", b"more"), ("d", b"")]);
        assert_eq!(more.unwrap(), "d is not expected");
        let free = tree(&[("free", b"1")]);
        assert_eq!(
            free.difference(&tree(&[("free", b"2")]), |path| path == "free"),
            None
        );
    }
}
