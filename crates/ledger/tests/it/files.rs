//! Journal files as a crash or a bad disk leaves them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tollgate_base::ManualClock;
use tollgate_ledger::{Config, Durability, Ledger, Recovery, dead_letters, verify};
use tollgate_store::MemoryLedger;

use crate::support::{Moody, all, config, open, settle, total};

/// The journal's one file of ten settled attempts that no store has yet.
fn unshipped() -> Vec<u8> {
    written(Durability::Power)
}

/// As `unshipped`, with or without a sync of each settlement.
fn written(durability: Durability) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Moody::default());
    let config = Config {
        durability,
        ..config(folder.path())
    };
    let ledger = Ledger::open(config, store.clone(), Arc::new(ManualClock::default())).unwrap();
    *store.error.lock() = Some(tollgate_base::Error::new(
        tollgate_base::Kind::Overloaded,
        "down",
        "Down.",
    ));
    settle(&ledger, 0..10);
    drop(ledger);
    fs::read(&segments(folder.path())[0]).unwrap()
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("journal")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    files.sort();
    files
}

/// Opens a journal that consists of these files.
fn recover(files: &[&[u8]]) -> (tempfile::TempDir, Arc<MemoryLedger>, Recovery) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("journal")).unwrap();
    for (at, bytes) in files.iter().enumerate() {
        let path = folder.path().join(format!("journal/{at:012}.seg"));
        fs::write(path, bytes).unwrap();
    }
    let store = Arc::new(MemoryLedger::default());
    let ledger = open(folder.path(), &store);
    let recovery = *ledger.recovery();
    ledger.close().unwrap();
    (folder, store, recovery)
}

/// Where each record begins, and the end.
fn records(file: &[u8]) -> Vec<usize> {
    let mut at = 64;
    let mut starts = vec![at];
    while at < file.len() {
        at += 24 + u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        starts.push(at);
    }
    starts
}

#[test]
fn a_cut_at_every_byte_of_the_last_record_loses_that_record_alone() {
    let file = unshipped();
    let starts = records(&file);
    assert_eq!(starts.len(), 31);
    let last = starts[29];
    for end in last..file.len() {
        let (_folder, store, found) = recover(&[&file[..end]]);
        assert_eq!((found.shipped, found.damaged_files), (29, 0), "{end}");
        // The header of a cut record may be all that is left, and a length can begin with zeros.
        assert!(
            found.torn_tails <= 1 && (end == last || found.torn_tails == 1),
            "{end}"
        );
        assert_eq!(found.lost, 1);
        assert_eq!(
            total(&*store).cost().nanos(),
            (0..9).map(|n| 1_000 + n).sum::<i128>()
        );
    }
}

#[test]
fn garbage_and_zeros_behind_the_last_record_lose_nothing() {
    let file = unshipped();
    for (tail, torn) in [
        (vec![0; 70_000], 0),
        (vec![0xff; 100], 1),
        (b"\x10\0\0\0garbage that is no record".to_vec(), 1),
        (file[..300].to_vec(), 1),
    ] {
        let (folder, store, found) = recover(&[&[file.clone(), tail].concat()]);
        assert_eq!((found.shipped, found.torn_tails), (30, torn));
        assert_eq!((found.lost, found.damaged_files), (0, 0));
        assert_eq!(total(&*store).attempts, 10);
        let mut verified = verify::verify(&*store).unwrap();
        verify::verify_journal(folder.path(), &mut verified).unwrap();
        assert_eq!(verified.findings, []);
    }
}

#[test]
fn an_empty_file_is_no_trouble() {
    let file = unshipped();
    let (_folder, store, found) = recover(&[b"", &file]);
    assert_eq!((found.shipped, found.damaged_files), (30, 0));
    assert_eq!(all(&*store).len(), 10);
}

#[test]
fn a_flipped_bit_costs_one_record_and_is_reported() {
    let file = unshipped();
    let starts = records(&file);
    // The settlement of the third attempt, and not the last record of the file.
    let (start, end) = (starts[8], starts[9]);
    for at in start..end {
        let mut bad = file.clone();
        bad[at] ^= 1 << (at % 8);
        let (folder, store, found) = recover(&[&bad]);
        assert_eq!((found.shipped, found.damaged_files), (29, 1), "byte {at}");
        assert_eq!((found.missing_records, found.lost), (1, 1));
        let sums = total(&*store);
        assert_eq!((sums.attempts, sums.unknown), (10, 1));
        let mut verified = verify::verify(&*store).unwrap();
        verify::verify_journal(folder.path(), &mut verified).unwrap();
        assert_eq!(verified.findings.len(), 1, "{:?}", verified.findings);
    }
}

/// A loss of power may keep a later sector and lose an earlier one.
#[test]
fn a_hole_in_what_was_never_synced_is_a_cut_end_and_no_damage() {
    let file = written(Durability::Process);
    let starts = records(&file);
    for hole in 0..29 {
        let mut torn = file.clone();
        torn[starts[hole]..starts[hole + 1]].fill(0);
        let (folder, store, found) = recover(&[&torn]);
        assert_eq!((found.damaged_files, found.torn_tails), (0, 1), "{hole}");
        assert_eq!((found.missing_records, found.shipped), (0, 29), "{hole}");
        // Without its beginning nothing can be said of an attempt; the others are whole.
        let is_beginning = hole % 3 == 0;
        let sums = total(&*store);
        assert_eq!(sums.attempts, if is_beginning { 9 } else { 10 }, "{hole}");
        assert_eq!(dead_letters(folder.path()).unwrap(), []);
        let mut verified = verify::verify(&*store).unwrap();
        verify::verify_journal(folder.path(), &mut verified).unwrap();
        assert_eq!(verified.findings, [], "{hole}");
    }
}

/// What was once on the disk and is not any more was not lost by a loss of power.
#[test]
fn a_hole_in_what_was_synced_is_damage() {
    let file = unshipped();
    let starts = records(&file);
    for hole in 0..27 {
        let mut bad = file.clone();
        bad[starts[hole]..starts[hole + 1]].fill(0);
        let (_folder, _store, found) = recover(&[&bad]);
        assert_eq!(
            (found.damaged_files, found.missing_records),
            (1, 1),
            "{hole}"
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_never_panics_and_never_invents() {
    let file = unshipped();
    for at in (0..file.len()).step_by(7) {
        let mut bad = file.clone();
        bad[at] ^= 1 << (at % 8);
        let (_folder, store, found) = recover(&[&bad]);
        assert!(found.shipped >= 29, "byte {at}");
        assert!(total(&*store).cost().nanos() <= (0..10).map(|n| 1_000 + n).sum::<i128>());
    }
}

#[test]
fn damage_in_one_file_keeps_no_other_from_being_read() {
    let file = unshipped();
    let mut headless = file.clone();
    headless[..64].fill(0xaa);
    let (_folder, store, found) = recover(&[&headless, &file]);
    assert_eq!((found.damaged_files, found.shipped), (1, 30));
    assert_eq!(total(&*store).attempts, 10);
}

/// The first sync of a file brings its beginning to the disk: without it nothing of the file was promised.
#[test]
fn a_file_whose_beginning_was_never_synced_is_a_cut_end_and_no_damage() {
    let file = written(Durability::Process);
    for first_kept in [64, 512, 1024] {
        let mut blank = file.clone();
        blank[..first_kept].fill(0);
        let (folder, store, found) = recover(&[&blank]);
        assert_eq!((found.damaged_files, found.torn_tails), (0, 1));
        assert_eq!((found.shipped, total(&*store).attempts), (0, 0));
        let mut verified = verify::verify(&*store).unwrap();
        verify::verify_journal(folder.path(), &mut verified).unwrap();
        assert_eq!(verified.findings, []);
    }
}

#[test]
fn a_file_without_its_beginning_is_damaged_where_a_later_one_knows_of_its_sync() {
    let file = unshipped();
    let mut blank = file.clone();
    blank[..64].fill(0);
    let (folder, _store, found) = recover(&[&blank, &file]);
    assert_eq!((found.damaged_files, found.shipped), (1, 30));
    let names = std::fs::read_dir(folder.path().join("journal")).unwrap();
    let aside = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".damaged");
    assert_eq!(
        names
            .filter(|file| aside(&file.as_ref().unwrap().file_name()))
            .count(),
        1
    );
}

#[test]
fn one_damaged_copy_of_the_header_is_enough() {
    let file = unshipped();
    for copy in [0..32, 32..64] {
        let mut bad = file.clone();
        bad[copy].fill(0);
        assert_eq!(recover(&[&bad]).2.shipped, 30);
    }
}
