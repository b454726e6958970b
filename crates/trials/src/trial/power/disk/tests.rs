use super::super::tree::{Bytes, ROOT};
use super::*;

/// A timeline that is written down call by call; each takes ten microseconds.
#[derive(Default)]
struct Story {
    timeline: Timeline,
    tree: Tree,
    now: Micros,
}

impl Story {
    /// Begins with a durable file `old` of this content.
    fn with_old(content: &[u8]) -> (Self, Node) {
        let mut tree = Tree::default();
        let old = tree.add(false);
        tree.apply(&Change::Name {
            entry: entry("old"),
            node: old,
        });
        tree.replace(old, content.to_vec());
        let timeline = Timeline {
            base: tree.clone(),
            ..Timeline::default()
        };
        let story = Self {
            timeline,
            tree,
            now: 0,
        };
        (story, old)
    }

    fn during(&mut self, (began, ended): (Micros, Option<Micros>), deed: Deed) {
        if let Deed::Change(change) = &deed {
            self.tree.apply(change);
        }
        let place = |at: Micros| usize::try_from(at).unwrap();
        let span = Span {
            began,
            began_as: place(began),
            ended: ended.map(|at| (at, place(at))),
        };
        self.timeline.events.push(Event { span, deed });
        self.now = self.now.max(ended.unwrap_or(began) + 1);
    }

    fn does(&mut self, deed: Deed) {
        let now = self.now;
        self.during((now, Some(now + 10)), deed);
    }

    fn create(&mut self, name: &str) -> Node {
        let node = self.tree.add(false);
        let born = Born {
            is_folder: false,
            name: name.to_owned(),
        };
        self.timeline.born.insert(node, born);
        self.does(Deed::Change(Change::Name {
            entry: entry(name),
            node,
        }));
        node
    }

    fn write(&mut self, file: Node, at: usize, bytes: &[u8]) {
        self.does(write(file, at, bytes));
    }

    fn sync(&mut self, node: Node) {
        self.does(Deed::Sync(node));
    }

    /// The disks that come of 200 seeds and all variants, at this instant.
    fn cuts_at(&self, at: Micros, names: Names) -> Vec<Tree> {
        self.cuts_of(200, at, names)
    }

    fn cuts_of(&self, seeds: u64, at: Micros, names: Names) -> Vec<Tree> {
        let cut = |seed: u64| {
            let variant = match seed % 5 {
                0 => Variant::AllLost,
                1 => Variant::AllKept,
                percent => Variant::Mixed(percent * 20),
            };
            let mut dice = Dice::new(seed);
            self.timeline.cut(at, variant, names, &mut dice).tree
        };
        (0..seeds).map(cut).collect()
    }

    fn cuts(&self) -> Vec<Tree> {
        self.cuts_at(self.now, Names::Strict)
    }
}

fn entry(name: &str) -> Entry {
    Entry {
        folder: ROOT,
        name: name.to_owned(),
    }
}

fn write(file: Node, at: usize, bytes: &[u8]) -> Deed {
    let bytes = Bytes::of(bytes.to_vec());
    Deed::Change(Change::Write { file, at, bytes })
}

/// Which of these came about in some of the cuts.
fn outcomes<T: Ord>(cuts: &[Tree], of: impl Fn(&Tree) -> T) -> Vec<T> {
    let found: std::collections::BTreeSet<T> = cuts.iter().map(of).collect();
    found.into_iter().collect()
}

fn names(tree: &Tree) -> Vec<String> {
    tree.files().into_iter().map(|(path, _)| path).collect()
}

#[test]
fn what_a_sync_covered_is_there_whatever_the_dice_say() {
    let (mut story, old) = Story::with_old(&[1; 1024]);
    story.write(old, 512, &[2; 1024]);
    story.sync(old);
    story.write(old, 4096, &[3; 512]);
    for tree in story.cuts() {
        assert_eq!(tree.file(old)[..512], [1; 512]);
        assert_eq!(tree.file(old)[512..1536], [2; 1024]);
    }
}

#[test]
fn a_sync_covers_nothing_that_ended_after_it_began_and_nothing_before_it_ends() {
    let (mut story, old) = Story::with_old(&[1; 512]);
    story.during((10, Some(30)), write(old, 0, &[2; 512]));
    story.during((20, Some(40)), Deed::Sync(old));
    assert_eq!(outcomes(&story.cuts(), |tree| tree.file(old)[0]), [1, 2]);
    story.during((50, Some(90)), Deed::Sync(old));
    let before = story.cuts_at(89, Names::Strict);
    assert_eq!(outcomes(&before, |tree| tree.file(old)[0]), [1, 2]);
    let after = story.cuts_at(90, Names::Strict);
    assert_eq!(outcomes(&after, |tree| tree.file(old)[0]), [2]);
    // Of the file that it was asked for, and of no other.
    let (mut story, old) = Story::with_old(&[1; 512]);
    story.write(old, 0, &[2; 512]);
    story.sync(ROOT);
    assert_eq!(outcomes(&story.cuts(), |tree| tree.file(old)[0]), [1, 2]);
    story.does(Deed::SyncAll);
    assert_eq!(outcomes(&story.cuts(), |tree| tree.file(old)[0]), [2]);
}

#[test]
fn what_had_not_begun_did_not_happen_and_what_never_ended_may_have() {
    let (mut story, old) = Story::with_old(&[1; 512]);
    story.during((10, Some(20)), write(old, 0, &[2; 512]));
    assert_eq!(
        outcomes(&story.cuts_at(9, Names::Strict), |tree| tree.file(old)[0]),
        [1]
    );
    let (mut story, old) = Story::with_old(&[1; 512]);
    story.during((10, None), write(old, 0, &[2; 512]));
    story.sync(old);
    assert_eq!(outcomes(&story.cuts(), |tree| tree.file(old)[0]), [1, 2]);
}

#[test]
fn a_later_write_may_stay_while_an_earlier_one_is_lost() {
    let (mut story, old) = Story::with_old(&[0; 1024]);
    story.write(old, 0, &[1; 512]);
    story.write(old, 512, &[2; 512]);
    let both = outcomes(&story.cuts(), |tree| {
        (tree.file(old)[0], tree.file(old)[512])
    });
    assert_eq!(both, [(0, 0), (0, 2), (1, 0), (1, 2)]);
}

#[test]
fn a_write_that_stays_brings_along_what_was_in_its_sector() {
    let (mut story, old) = Story::with_old(&[0; 512]);
    story.write(old, 0, &[1; 100]);
    story.write(old, 100, &[2; 100]);
    let both = outcomes(&story.cuts(), |tree| {
        (tree.file(old)[0], tree.file(old)[100])
    });
    assert_eq!(both, [(0, 0), (1, 0), (1, 2)]);
}

#[test]
fn a_write_is_torn_between_sectors_and_never_within_one() {
    let (mut story, old) = Story::with_old(&[0; 4096]);
    story.write(old, 700, &[9; 2000]);
    let whole: Vec<u8> = story.tree.file(old).to_vec();
    let mut torn = 0;
    for tree in story.cuts() {
        let (mut new, mut kept) = (0, 0);
        for (sector, now) in tree.file(old).chunks(SECTOR).zip(whole.chunks(SECTOR)) {
            assert!(sector == now || sector.iter().all(|byte| *byte == 0));
            new += usize::from(now.contains(&9));
            kept += usize::from(sector.contains(&9));
        }
        torn += usize::from(kept > 0 && kept < new);
    }
    assert!(torn > 20, "torn in {torn} of 200 cuts");
}

#[test]
fn a_file_may_have_its_size_without_its_bytes() {
    let (mut story, old) = Story::with_old(&[1; 100]);
    story.write(old, 100, &[2; 1000]);
    let found = outcomes(&story.cuts(), |tree| {
        (tree.file(old).len(), tree.file(old).get(600).copied())
    });
    assert!(
        found.contains(&(100, None)) && found.contains(&(1100, Some(0))),
        "{found:?}"
    );
    assert!(found.contains(&(1100, Some(2))), "{found:?}");
}

#[test]
fn a_size_that_was_cut_may_come_back() {
    let (mut story, old) = Story::with_old(&[1; 2000]);
    story.does(Deed::Change(Change::Resize { file: old, size: 0 }));
    assert_eq!(
        outcomes(&story.cuts(), |tree| tree.file(old).len()),
        [0, 2000]
    );
    story.sync(old);
    assert_eq!(outcomes(&story.cuts(), |tree| tree.file(old).len()), [0]);
}

#[test]
fn a_new_name_needs_a_sync_of_its_folder_unless_names_are_journaled() {
    let (mut story, _) = Story::with_old(&[]);
    let new = story.create("new");
    story.write(new, 0, &[1; 10]);
    let both = [
        vec!["new".to_owned(), "old".to_owned()],
        vec!["old".to_owned()],
    ];
    assert_eq!(outcomes(&story.cuts(), names), both);
    story.sync(new);
    assert_eq!(outcomes(&story.cuts(), names), both);
    let journaled = story.cuts_at(story.now, Names::Journaled);
    assert_eq!(outcomes(&journaled, names), both[..1]);
    story.sync(ROOT);
    assert_eq!(outcomes(&story.cuts(), names), both[..1]);
}

#[test]
fn journaled_names_are_kept_in_their_order_and_strict_ones_each_by_itself() {
    let (mut story, _) = Story::with_old(&[]);
    for name in ["a", "b", "c"] {
        story.create(name);
    }
    let joined = |tree: &Tree| names(tree).concat();
    let journaled = story.cuts_at(story.now, Names::Journaled);
    assert_eq!(
        outcomes(&journaled, joined),
        ["abcold", "abold", "aold", "old"]
    );
    assert_eq!(outcomes(&story.cuts(), joined).len(), 8);
}

#[test]
fn a_renamed_file_has_one_of_its_names() {
    let (mut story, old) = Story::with_old(&[1; 10]);
    story.does(Deed::Change(Change::Rename {
        from: entry("old"),
        to: entry("renamed"),
        node: old,
    }));
    let found = outcomes(&story.cuts(), names);
    assert_eq!(found, [["old".to_owned()], ["renamed".to_owned()]]);
}

#[test]
fn a_deleted_file_may_come_back_with_what_was_durable_of_it() {
    let (mut story, old) = Story::with_old(&[1; 512]);
    story.write(old, 512, &[2; 512]);
    story.sync(old);
    story.does(Deed::Change(Change::Unname {
        entry: entry("old"),
        node: old,
    }));
    let found = outcomes(&story.cuts(), |tree| {
        tree.resolve("old".as_ref())
            .unwrap()
            .1
            .map(|node| tree.file(node).len())
    });
    assert_eq!(found, [None, Some(1024)]);
}

#[test]
fn in_a_folder_that_lost_its_name_everything_is_lost() {
    let (mut story, _) = Story::with_old(&[]);
    let folder = story.tree.add(true);
    let born = Born {
        is_folder: true,
        name: "folder".to_owned(),
    };
    story.timeline.born.insert(folder, born);
    let node = folder;
    story.does(Deed::Change(Change::Name {
        entry: entry("folder"),
        node,
    }));
    let file = story.tree.add(false);
    let born = Born {
        is_folder: false,
        name: "file".to_owned(),
    };
    story.timeline.born.insert(file, born);
    let place = Entry {
        folder,
        name: "file".to_owned(),
    };
    story.does(Deed::Change(Change::Name {
        entry: place,
        node: file,
    }));
    story.write(file, 0, &[1; 10]);
    story.sync(file);
    story.sync(folder);
    let found = outcomes(&story.cuts(), names);
    assert_eq!(
        found,
        [
            vec!["folder/file".to_owned(), "old".to_owned()],
            vec!["old".to_owned()]
        ]
    );
}

/// Random writes, sizes and syncs of one file: every sector of every disk is one that the cache once had, not older
/// than the last sync; with everything kept the disk is the cache, with everything lost what was synced.
#[test]
fn every_sector_of_a_disk_was_once_in_the_cache() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let (mut story, old) = Story::with_old(&[255; 1500]);
        // What each sector of the file was after each change since the last sync.
        let mut states = vec![story.tree.file(old).to_vec()];
        for value in 1..=20 {
            match dice.below(10) {
                0 => {
                    story.sync(old);
                    states.drain(..states.len() - 1);
                }
                1 => {
                    let size = usize::try_from(dice.below(5000)).unwrap();
                    story.does(Deed::Change(Change::Resize { file: old, size }));
                }
                _ => {
                    let at = usize::try_from(dice.below(5000)).unwrap();
                    let length = usize::try_from(dice.between(1, 1500)).unwrap();
                    story.write(old, at, &vec![value; length]);
                }
            }
            states.push(story.tree.file(old).to_vec());
        }
        let sector = |bytes: &[u8], number: usize| -> Vec<u8> {
            let mut whole = bytes
                .iter()
                .skip(number * SECTOR)
                .take(SECTOR)
                .copied()
                .collect::<Vec<u8>>();
            whole.resize(SECTOR, 0);
            whole
        };
        for tree in story.cuts_of(25, story.now, Names::Strict) {
            let disk = tree.file(old);
            for number in 0..disk.len().div_ceil(SECTOR) {
                let found = sector(disk, number);
                let is_zero = found.iter().all(|byte| *byte == 0);
                // A hole is what a lost write leaves in a file that grew.
                let is_known = is_zero
                    || states
                        .iter()
                        .any(|state| is_cut_of(&sector(state, number), &found));
                assert!(is_known, "seed {seed}, sector {number}");
            }
        }
        let cut = |variant| {
            story
                .timeline
                .cut(story.now, variant, Names::Strict, &mut Dice::new(seed))
                .tree
        };
        assert_eq!(
            cut(Variant::AllKept).file(old),
            story.tree.file(old),
            "seed {seed}"
        );
        assert_eq!(cut(Variant::AllLost).file(old), states[0], "seed {seed}");
    }
}

/// The sector as it was, or its beginning where the file was cut, and nothing behind that.
fn is_cut_of(state: &[u8], found: &[u8]) -> bool {
    let end = found
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    state[..end] == found[..end]
}
