//! What a recorded process did to its data folder: calls of the system in, changes and syncs out.
//!
//! Nothing is guessed. A call whose effect on the folder is not known here fails the trial, and after the process
//! has ended its folder must be, to the byte, what the recording says. The one file that may be written through memory
//! is SQLite's `-shm`, which no database needs after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::disk::{Born, Deed, Event, Timeline};
use super::strace::{Call, descriptor, string, vectors};
use super::tree::{Bytes, Change, Entry, Node, ROOT, Tree};

/// What processes did to one folder, one process after the other.
#[derive(Debug)]
pub(super) struct Recording {
    /// The folder by every name that it may have in the recording.
    roots: Vec<PathBuf>,
    pub(super) timeline: Timeline,
    /// The folder as readers see it now.
    live: Tree,
    /// Files of shared memory: their content is nobody's business.
    shared: BTreeSet<Node>,
    next_line: usize,
}

/// A process that is being read: its descriptors of what lies in the folder.
struct Process<'a> {
    recording: &'a mut Recording,
    descriptors: BTreeMap<i64, usize>,
    open: Vec<Open>,
    has_begun: bool,
    /// Events that a kill interrupted: they happened or not.
    uncertain: Vec<usize>,
}

/// Descriptors that were duplicated share one.
struct Open {
    node: Node,
    appends: bool,
    position: usize,
}

/// The ending of SQLite's file of shared memory.
pub(super) const SHARED_MEMORY: &str = "-shm";
/// How many events may be uncertain after one kill.
const MOST_UNCERTAIN: usize = 8;

// === impl Recording ===

impl Recording {
    /// Begins with a folder all of which is durable.
    pub(super) fn new(root: &Path, base: Tree) -> Self {
        let canonical = root
            .parent()
            .and_then(|parent| parent.canonicalize().ok())
            .zip(root.file_name())
            .map(|(parent, name)| parent.join(name));
        Self {
            roots: canonical.into_iter().chain([root.to_owned()]).collect(),
            shared: shared(&base),
            live: base.clone(),
            timeline: Timeline {
                base,
                ..Timeline::default()
            },
            next_line: 0,
        }
    }

    /// The number of the next line in the order of all recordings of this folder.
    pub(super) fn next_line(&self) -> usize {
        self.next_line
    }

    /// Adds what one process did from its start to its end, and compares with what it left behind.
    pub(super) fn add(&mut self, mut calls: Vec<Call>, found: &Tree) -> Result<(), String> {
        // A descriptor is free for others as soon as its close begins; everything else has happened when it ends.
        calls.sort_by_key(|call| match call.span.ended {
            Some((_, ended)) if call.name != "close" => ended,
            Some(_) => call.span.began_as,
            None => usize::MAX,
        });
        let mut process = Process {
            recording: self,
            descriptors: BTreeMap::new(),
            open: Vec::new(),
            has_begun: false,
            uncertain: Vec::new(),
        };
        let mut last = 0;
        for call in &calls {
            last = last.max(call.span.ended.map_or(call.span.began_as, |(_, line)| line));
            process
                .take(call)
                .map_err(|what| format!("{}: {what}", call.name))?;
        }
        let uncertain = process.uncertain;
        self.next_line = last + 1;
        self.reconcile(found, &uncertain)
    }

    /// The folder must be what was recorded. Of the events that a kill interrupted, those are kept that explain it.
    fn reconcile(&mut self, found: &Tree, uncertain: &[usize]) -> Result<(), String> {
        let is_free = |path: &str| path.ends_with(SHARED_MEMORY);
        let Some(difference) = self.live.difference(found, is_free) else {
            return Ok(());
        };
        if uncertain.len() <= MOST_UNCERTAIN {
            for kept in (0..1_usize << uncertain.len()).rev() {
                let is_kept = |index: usize| {
                    let place = uncertain.iter().position(|other| *other == index);
                    place.is_none_or(|place| kept & (1 << place) != 0)
                };
                let events = self.timeline.events.iter().enumerate();
                let timeline = Timeline {
                    base: self.timeline.base.clone(),
                    born: self.timeline.born.clone(),
                    events: events
                        .filter(|(index, _)| is_kept(*index))
                        .map(|(_, event)| event.clone())
                        .collect(),
                };
                let live = timeline.cache();
                if live.difference(found, is_free).is_none() {
                    (self.timeline, self.live) = (timeline, live);
                    return Ok(());
                }
            }
        }
        Err(format!(
            "the recording does not explain the data folder: {difference}; {} calls were interrupted",
            uncertain.len()
        ))
    }

    /// The part of a path below the folder; `None` when it lies elsewhere.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let below = |root: &PathBuf| path.strip_prefix(root).ok().map(Path::to_owned);
        self.roots.iter().find_map(below)
    }
}

// === impl Process ===

impl Process<'_> {
    fn take(&mut self, call: &Call) -> Result<(), String> {
        if call.returned.is_some_and(|returned| returned < 0) {
            return Ok(());
        }
        match call.name.as_str() {
            "open" | "openat" | "creat" | "openat2" => self.opens(call),
            "close" => {
                let number = argument(call, 0).ok().and_then(|text| descriptor(text).0);
                number.map(|number| self.descriptors.remove(&number));
                Ok(())
            }
            "dup" | "dup2" | "dup3" => self.duplicates(call),
            "fcntl" if argument(call, 1)?.starts_with("F_DUPFD") => self.duplicates(call),
            "fcntl" => Ok(()),
            "read" | "readv" | "lseek" => self.moves(call),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.writes(call),
            "ftruncate" | "truncate" | "fallocate" => self.resizes(call),
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => self.renames(call),
            "unlink" | "unlinkat" | "rmdir" => self.unnames(call),
            "mkdir" | "mkdirat" => self.makes_folder(call),
            "symlink" | "symlinkat" => match self.path(call, call.arguments.len() - 1)? {
                Some(_) => Err("symbolic links are not modelled".to_owned()),
                None => Ok(()),
            },
            "fsync" | "fdatasync" | "syncfs" | "sync" => self.syncs(call),
            "mmap" => self.maps(call),
            "sendfile" => self.must_not_touch(call, 0),
            "copy_file_range" | "splice" => self.must_not_touch(call, 2),
            "close_range" if self.descriptors.is_empty() => Ok(()),
            "clone" | "clone3" if call.arguments.concat().contains("CLONE_FILES") => Ok(()),
            "clone" | "clone3" => Err("the gateway started another process".to_owned()),
            "execve" if !std::mem::replace(&mut self.has_begun, true) => Ok(()),
            _ => Err("what this call does to the data folder is not modelled".to_owned()),
        }
    }

    fn opens(&mut self, call: &Call) -> Result<(), String> {
        let (place, flags) = match call.name.as_str() {
            "open" => (0, argument(call, 1)?),
            "creat" => (0, "O_WRONLY|O_CREAT|O_TRUNC"),
            _ => (1, argument(call, 2).unwrap_or_default()),
        };
        let Some(path) = self.path(call, place)? else {
            return Ok(());
        };
        let has = |flag: &str| flags.split('|').any(|one| one == flag);
        let is_odd =
            call.name == "openat2" || ["O_SYNC", "O_DSYNC", "O_TMPFILE"].map(has).contains(&true);
        if is_odd {
            return Err(format!(
                "{} is opened in a way that is not modelled: {flags}",
                path.display()
            ));
        }
        let node = if path.as_os_str().is_empty() {
            ROOT
        } else {
            let (entry, node) = self.resolve(&path)?;
            match node {
                Some(node) => node,
                None if has("O_CREAT") => self.is_born(call, entry, false),
                None => return Err(format!("{} is not known", path.display())),
            }
        };
        if has("O_TRUNC") && !self.recording.live.file(node).is_empty() {
            let file = node;
            self.happens(call, Deed::Change(Change::Resize { file, size: 0 }));
        }
        if let Some(number) = call.returned {
            self.descriptors.insert(number, self.open.len());
            self.open.push(Open {
                node,
                appends: has("O_APPEND"),
                position: 0,
            });
        }
        Ok(())
    }

    fn duplicates(&mut self, call: &Call) -> Result<(), String> {
        let (number, _) = descriptor(argument(call, 0)?);
        let open = number.and_then(|number| self.descriptors.get(&number).copied());
        if let Some(new) = call.returned {
            match open {
                Some(open) => self.descriptors.insert(new, open),
                None => self.descriptors.remove(&new),
            };
        }
        Ok(())
    }

    fn moves(&mut self, call: &Call) -> Result<(), String> {
        let (Some(open), Some(returned)) = (self.open(call, 0)?, call.returned) else {
            return Ok(());
        };
        let by = usize::try_from(returned).unwrap_or_default();
        let open = &mut self.open[open];
        open.position = if call.name == "lseek" {
            by
        } else {
            open.position + by
        };
        Ok(())
    }

    fn writes(&mut self, call: &Call) -> Result<(), String> {
        let Some(open) = self.open(call, 0)? else {
            return Ok(());
        };
        let has_flags = call.name == "pwritev2" && argument(call, 4)? != "0";
        if has_flags {
            return Err("flags of a write are not modelled".to_owned());
        }
        let mut bytes = match call.name.as_str() {
            "write" | "pwrite64" => string(argument(call, 1)?)?,
            _ => vectors(argument(call, 1)?)?,
        };
        if let Some(returned) = call.returned {
            bytes.truncate(usize::try_from(returned).unwrap_or_default());
        }
        let end = self.recording.live.file(self.open[open].node).len();
        let open = &mut self.open[open];
        let at = match call.name.as_str() {
            "write" | "writev" if open.appends => end,
            "write" | "writev" => open.position,
            _ => number(argument(call, 3)?)?,
        };
        if call.name.starts_with("write") {
            open.position = at + bytes.len();
        }
        let file = open.node;
        if !bytes.is_empty() {
            let bytes = Bytes::of(bytes);
            self.happens(call, Deed::Change(Change::Write { file, at, bytes }));
        }
        Ok(())
    }

    fn resizes(&mut self, call: &Call) -> Result<(), String> {
        let file = if call.name == "truncate" {
            let Some(path) = self.path(call, 0)? else {
                return Ok(());
            };
            self.resolve(&path)?.1.ok_or("an unknown file")?
        } else {
            let Some(open) = self.open(call, 0)? else {
                return Ok(());
            };
            self.open[open].node
        };
        let size = if call.name == "fallocate" {
            match argument(call, 1)? {
                "0" => {}
                "FALLOC_FL_KEEP_SIZE" => return Ok(()),
                mode => return Err(format!("{mode} is not modelled")),
            }
            let end = number(argument(call, 2)?)? + number(argument(call, 3)?)?;
            end.max(self.recording.live.file(file).len())
        } else {
            number(argument(call, 1)?)?
        };
        self.happens(call, Deed::Change(Change::Resize { file, size }));
        Ok(())
    }

    fn renames(&mut self, call: &Call) -> Result<(), String> {
        let (from, to) = match call.name.as_str() {
            "rename" | "link" => (0, 1),
            _ => (1, 3),
        };
        let is_plain =
            argument(call, 4).is_err() || ["0", "RENAME_NOREPLACE"].contains(&argument(call, 4)?);
        match (self.path(call, from)?, self.path(call, to)?) {
            (None, None) => Ok(()),
            (Some(from), Some(to)) if is_plain => {
                let (from, node) = self.resolve(&from)?;
                let node = node.ok_or("an unknown file")?;
                let (to, _) = self.resolve(&to)?;
                let change = if call.name.starts_with("link") {
                    Change::Name { entry: to, node }
                } else {
                    Change::Rename { from, to, node }
                };
                self.happens(call, Deed::Change(change));
                Ok(())
            }
            _ => Err("a move into the data folder or out of it is not modelled".to_owned()),
        }
    }

    fn unnames(&mut self, call: &Call) -> Result<(), String> {
        let place = usize::from(call.name == "unlinkat");
        if let Some(path) = self.path(call, place)? {
            let (entry, node) = self.resolve(&path)?;
            let node = node.ok_or("an unknown file")?;
            self.happens(call, Deed::Change(Change::Unname { entry, node }));
        }
        Ok(())
    }

    fn makes_folder(&mut self, call: &Call) -> Result<(), String> {
        let place = usize::from(call.name == "mkdirat");
        match self.path(call, place)? {
            // The folder itself: its name belongs to another folder.
            Some(path) if !path.as_os_str().is_empty() => {
                let (entry, _) = self.resolve(&path)?;
                self.is_born(call, entry, true);
            }
            _ => {}
        }
        Ok(())
    }

    fn syncs(&mut self, call: &Call) -> Result<(), String> {
        let deed = if call.name == "sync" {
            Deed::SyncAll
        } else {
            match self.open(call, 0)? {
                Some(_) if call.name == "syncfs" => Deed::SyncAll,
                Some(open) => Deed::Sync(self.open[open].node),
                None => return Ok(()),
            }
        };
        // One that did not return promises nothing.
        if call.returned.is_some() {
            self.happens(call, deed);
        }
        Ok(())
    }

    fn maps(&mut self, call: &Call) -> Result<(), String> {
        let is_writable =
            argument(call, 2)?.contains("PROT_WRITE") && argument(call, 3)?.contains("MAP_SHARED");
        if !is_writable || self.open(call, 4)?.is_none() {
            return Ok(());
        }
        let path = descriptor(argument(call, 4)?).1.unwrap_or_default();
        if path.ends_with(SHARED_MEMORY) {
            return Ok(());
        }
        Err(format!(
            "{path} is written through memory, which cannot be recorded"
        ))
    }

    fn must_not_touch(&mut self, call: &Call, place: usize) -> Result<(), String> {
        match self.open(call, place)? {
            Some(_) => Err("what this call writes is not recorded".to_owned()),
            None => Ok(()),
        }
    }

    /// What a descriptor stands for, if it lies in the folder.
    fn open(&self, call: &Call, place: usize) -> Result<Option<usize>, String> {
        let (number, path) = descriptor(argument(call, place)?);
        let found = number.and_then(|number| self.descriptors.get(&number).copied());
        let is_inside = |path: &String| self.recording.inside(Path::new(path)).is_some();
        if found.is_none() && path.as_ref().is_some_and(is_inside) {
            return Err(format!(
                "the descriptor of {} is not known",
                path.unwrap_or_default()
            ));
        }
        Ok(found)
    }

    /// A path of the call below the folder; `None` when it lies elsewhere.
    fn path(&self, call: &Call, place: usize) -> Result<Option<PathBuf>, String> {
        let text = String::from_utf8_lossy(&string(argument(call, place)?)?).into_owned();
        let path = PathBuf::from(text);
        // A relative one begins at the folder of the argument before it, if there is such an argument.
        let begin = place
            .checked_sub(1)
            .and_then(|before| descriptor(call.arguments.get(before)?).1);
        let path = match begin {
            Some(begin) if path.is_relative() => Path::new(&begin).join(path),
            _ => path,
        };
        let inside = self.recording.inside(&path);
        if path.iter().any(|part| part == "..") && inside.is_some() {
            return Err(format!("{} is not plain", path.display()));
        }
        Ok(inside)
    }

    fn resolve(&self, path: &Path) -> Result<(Entry, Option<Node>), String> {
        let found = self.recording.live.resolve(path);
        found.ok_or_else(|| format!("the folder of {} is not known", path.display()))
    }

    fn is_born(&mut self, call: &Call, entry: Entry, is_folder: bool) -> Node {
        let node = self.recording.live.add(is_folder);
        let name = entry.name.clone();
        if name.ends_with(SHARED_MEMORY) {
            self.recording.shared.insert(node);
        }
        let born = Born { is_folder, name };
        self.recording.timeline.born.insert(node, born);
        self.happens(call, Deed::Change(Change::Name { entry, node }));
        node
    }

    fn happens(&mut self, call: &Call, deed: Deed) {
        let timeline = &mut self.recording.timeline;
        if let Deed::Change(Change::Write { file, .. } | Change::Resize { file, .. }) = &deed
            && self.recording.shared.contains(file)
        {
            return;
        }
        if let Deed::Change(change) = &deed {
            self.recording.live.apply(change);
            if call.returned.is_none() {
                self.uncertain.push(timeline.events.len());
            }
        }
        let span = call.span;
        timeline.events.push(Event { span, deed });
    }
}

fn shared(tree: &Tree) -> BTreeSet<Node> {
    let files = tree.files().into_iter();
    let shared = files.filter(|(path, _)| path.ends_with(SHARED_MEMORY));
    shared.map(|(_, node)| node).collect()
}

fn argument(call: &Call, place: usize) -> Result<&str, String> {
    let found = call.arguments.get(place).map(String::as_str);
    found.ok_or_else(|| format!("argument {place} is not in the recording"))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

#[cfg(test)]
mod tests;
