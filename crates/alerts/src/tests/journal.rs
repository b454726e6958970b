//! What the log remembers across restarts, crashes and a full disk.

use std::fs;

use super::{NOW, crossing};
use crate::{Alert, AlertLog, FileLog, Outcome};

#[test]
fn a_crossing_is_new_once_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let alert = crossing("b", 80);
    for start in 0..3 {
        let log = FileLog::open(folder.path()).unwrap();
        assert_eq!(log.record(&alert, &["a", "b"]), start == 0);
        assert!(!log.record(&alert, &["a", "b"]));
    }
}

#[test]
fn what_is_not_delivered_is_pending_after_a_restart_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let log = FileLog::open(folder.path()).unwrap();
    let (first, second) = (
        crossing("b", 80),
        Alert::unknown_price("lab/ä\n\"x", "v", NOW),
    );
    log.record(&first, &["a", "b"]);
    log.record(&second, &["a"]);
    log.record(&crossing("nobody", 80), &[]);
    log.settle(&first.id, "a", Outcome::Delivered);
    log.settle(&second.id, "a", Outcome::Dead);
    drop(log);
    for _ in 0..2 {
        let pending = FileLog::open(folder.path()).unwrap().pending();
        assert_eq!(pending.len(), 1);
        assert_eq!(
            (&pending[0].alert, pending[0].channel.as_str()),
            (&first, "b")
        );
    }
}

#[test]
fn a_line_that_was_cut_costs_that_line_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.jsonl");
    let log = FileLog::open(folder.path()).unwrap();
    log.record(&crossing("b", 80), &["a"]);
    let whole = fs::read(&path).unwrap();
    log.record(&crossing("b", 100), &["a"]);
    drop(log);
    let both = fs::read(&path).unwrap();
    for end in whole.len()..both.len() {
        fs::write(&path, &both[..end]).unwrap();
        let log = FileLog::open(folder.path()).unwrap();
        assert!(!log.record(&crossing("b", 80), &["a"]), "{end}");
        // The last byte is the line's end alone.
        assert_eq!(
            log.record(&crossing("b", 100), &["a"]),
            end != both.len() - 1,
            "{end}"
        );
        drop(log);
        assert_eq!(FileLog::open(folder.path()).unwrap().pending().len(), 2);
    }
}

#[test]
fn the_file_does_not_grow_with_what_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let log = FileLog::open(folder.path()).unwrap();
    let alert = crossing("b", 80);
    log.record(&alert, &["a"]);
    for _ in 0..5_000 {
        log.settle(&alert.id, "a", Outcome::Delivered);
    }
    let text = fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap();
    let lines = text.lines().count();
    assert!(lines < 1_100, "{lines}");
    drop(log);
    assert!(!FileLog::open(folder.path()).unwrap().record(&alert, &["a"]));
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone_and_a_write_that_failed_is_mended() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let log = FileLog::open(&data).unwrap();
    let mode = fs::metadata(data.join("alerts.jsonl"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // The folder disappears under it: rewriting fails, what is in memory is kept.
    fs::remove_dir_all(&data).unwrap();
    let many: Vec<Alert> = (0..3).map(|n| crossing(&format!("b{n}"), 80)).collect();
    for _ in 0..1_200 {
        log.settle("alert_x", "a", Outcome::Dead);
    }
    assert!(log.record(&many[0], &["a"]) && !log.record(&many[0], &["a"]));
    fs::create_dir(&data).unwrap();
    assert!(log.record(&many[1], &["a"]));
    drop(log);
    let again = FileLog::open(&data).unwrap();
    assert!(!again.record(&many[0], &["a"]) && !again.record(&many[1], &["a"]));
    assert!(again.record(&many[2], &["a"]));
}
