use std::fmt::Write as _;

use super::super::strace::calls;
use super::*;
use crate::trial::power::disk::Names;

/// A folder of the recording's processes.
const ROOT_PATH: &str = "/d/data";

fn hex(text: &str) -> String {
    let mut hex = String::new();
    for byte in text.bytes() {
        write!(hex, "\\x{byte:02x}").unwrap();
    }
    hex
}

/// Lines as strace writes them: `'text'` stands for a string, `{path}` for the path of a descriptor.
fn read(lines: &[&str], first: usize) -> Vec<Call> {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut line = (*line).to_owned();
        for (open, close, left, right) in [('\'', '\'', "\"", "\""), ('{', '}', "<", ">")] {
            while let Some((before, rest)) = line.split_once(open) {
                let (inner, after) = rest.split_once(close).unwrap();
                line = format!("{before}{left}{}{right}{after}", hex(inner));
            }
        }
        let end = if line.ends_with('>') {
            ""
        } else {
            " <0.000001>"
        };
        writeln!(text, "7 1.{:06} {line}{end}", 10 * (first + number)).unwrap();
    }
    calls(text.as_bytes(), first).unwrap()
}

fn files(files: &[(&str, &str)]) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Tree::read(folder.path()).unwrap()
}

/// Reads what one process did to a folder that held `old`, and compares with what it is said to have left.
fn recorded(lines: &[&str], left: &[(&str, &str)]) -> Result<Recording, String> {
    let mut recording = Recording::new(Path::new(ROOT_PATH), files(&[("old", "old text")]));
    recording
        .add(read(lines, 0), &files(left))
        .map(|()| recording)
}

fn refused(lines: &[&str]) -> String {
    recorded(lines, &[("old", "old text")]).unwrap_err()
}

#[test]
fn writes_go_where_their_descriptors_are() {
    let lines = [
        "openat(AT_FDCWD{/home}, '/d/data/new', O_WRONLY|O_CREAT|O_CLOEXEC, 0600) = 3{/d/data/new}",
        "write(3{/d/data/new}, 'abcdef', 6) = 6",
        "dup(3{/d/data/new}) = 4{/d/data/new}",
        "write(4{/d/data/new}, 'ghi', 3) = 2",
        "lseek(3{/d/data/new}, 1, SEEK_SET) = 1",
        "write(3{/d/data/new}, 'B', 1) = 1",
        "pwrite64(3{/d/data/new}, 'XY', 2, 10) = 2",
        "close(3{/d/data/new}) = 0",
        "openat(AT_FDCWD{/home}, '/elsewhere', O_WRONLY|O_APPEND) = 3{/elsewhere}",
        "write(3{/elsewhere}, 'not ours', 8) = 8",
        "openat(AT_FDCWD{/d}, 'data/old', O_WRONLY|O_APPEND) = 5{/d/data/old}",
        "write(5{/d/data/old}, ' and more', 9) = 9",
        "write(5{/d/data/old}, 'never', 5) = -1 ENOSPC (No space left on device)",
    ];
    let left = [("new", "aBcdefgh\0\0XY"), ("old", "old text and more")];
    recorded(&lines, &left).unwrap();
}

#[test]
fn names_change_as_they_were_changed() {
    let lines = [
        "mkdir('/d/data/folder', 0700) = 0",
        "open('/d/data/folder/a', O_RDWR|O_CREAT, 0600) = 3{/d/data/folder/a}",
        "rename('/d/data/folder/a', '/d/data/b') = 0",
        "write(3{/d/data/b}, 'text', 4) = 4",
        "openat(AT_FDCWD{/}, '/d/data/old', O_WRONLY|O_CREAT|O_TRUNC, 0600) = 4{/d/data/old}",
        "ftruncate(3{/d/data/b}, 2) = 0",
        "openat(AT_FDCWD{/}, '/d/data/gone', O_WRONLY|O_CREAT|O_EXCL, 0600) = 5{/d/data/gone}",
        "unlink('/d/data/gone') = 0",
        "link('/d/data/b', '/d/data/folder/c') = 0",
    ];
    recorded(&lines, &[("b", "te"), ("folder/c", "te"), ("old", "")]).unwrap();
}

#[test]
fn a_folder_that_is_not_what_was_recorded_is_an_error() {
    let lines = ["openat(AT_FDCWD{/}, '/d/data/old', O_WRONLY) = 3{/d/data/old}"];
    let wrong = recorded(&lines, &[("old", "other")]).unwrap_err();
    assert!(
        wrong.contains("does not explain the data folder: old differs"),
        "{wrong}"
    );
}

#[test]
fn what_a_kill_interrupted_happened_if_the_folder_says_so() {
    let lines = [
        "openat(AT_FDCWD{/}, '/d/data/old', O_WRONLY|O_APPEND) = 3{/d/data/old}",
        "write(3{/d/data/old}, '!', 1) = 1",
        "write(3{/d/data/old}, '?', 1 <unfinished ...>",
    ];
    for text in ["old text!", "old text!?"] {
        let recording = recorded(&lines, &[("old", text)]).unwrap();
        assert_eq!(
            recording.timeline.events.len(),
            text.len() - "old text".len()
        );
    }
    assert!(recorded(&lines, &[("old", "old text?")]).is_err());
}

#[test]
fn a_second_process_goes_on_where_the_first_one_stopped() {
    let first = [
        "openat(AT_FDCWD{/}, '/d/data/new', O_WRONLY|O_CREAT, 0600) = 3{/d/data/new}",
        "write(3{/d/data/new}, 'one', 3) = 3",
    ];
    let mut recording = recorded(&first, &[("new", "one"), ("old", "old text")]).unwrap();
    let second = [
        "openat(AT_FDCWD{/}, '/d/data/new', O_WRONLY|O_APPEND) = 3{/d/data/new}",
        "write(3{/d/data/new}, 'two', 3) = 3",
        "fdatasync(3{/d/data/new}) = 0",
        "openat(AT_FDCWD{/}, '/d/data', O_RDONLY|O_DIRECTORY) = 4{/d/data}",
        "fsync(4{/d/data}) = 0",
    ];
    let lines = read(&second, recording.next_line());
    recording
        .add(lines, &files(&[("new", "onetwo"), ("old", "old text")]))
        .unwrap();
    let mut dice = crate::dice::Dice::new(1);
    let (lost, end) = (crate::trial::power::disk::Variant::AllLost, u64::MAX);
    let cut = recording.timeline.cut(end, lost, Names::Strict, &mut dice);
    let expected = files(&[("new", "onetwo"), ("old", "old text")]);
    assert_eq!(cut.tree.difference(&expected, |_| false), None);
}

#[test]
fn what_cannot_be_recorded_fails_loudly() {
    let opened = "openat(AT_FDCWD{/}, '/d/data/old', O_RDWR) = 3{/d/data/old}";
    let shared = "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3{/d/data/old}, 0) = 0x7f00";
    assert!(refused(&[opened, shared]).contains("/d/data/old is written through memory"));
    let private = "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3{/d/data/old}, 0) = 0x7f00";
    assert!(recorded(&[opened, private], &[("old", "old text")]).is_ok());
    assert!(refused(&["write(9{/d/data/old}, 'x', 1) = 1"]).contains("not known"));
    assert!(refused(&["unlink('/d/data/unheard-of') = 0"]).contains("unknown file"));
    assert!(refused(&["rename('/d/data/old', '/elsewhere') = 0"]).contains("not modelled"));
    assert!(
        refused(&[opened, "sendfile(3{/d/data/old}, 4, NULL, 9) = 9"]).contains("not recorded")
    );
    assert!(refused(&["io_uring_setup(8, NULL) = 3"]).contains("not modelled"));
    assert!(refused(&["vfork() = 12"]).contains("not modelled"));
    assert!(refused(&["clone(NULL, flags=SIGCHLD) = 12"]).contains("another process"));
    let synced = "openat(AT_FDCWD{/}, '/d/data/old', O_WRONLY|O_DSYNC) = 3{/d/data/old}";
    assert!(refused(&[synced]).contains("O_DSYNC"));
}

#[test]
fn shared_memory_of_a_database_may_hold_anything() {
    let lines = [
        "openat(AT_FDCWD{/}, '/d/data/db-shm', O_RDWR|O_CREAT, 0600) = 3{/d/data/db-shm}",
        "pwrite64(3{/d/data/db-shm}, 'x', 1, 4095) = 1",
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3{/d/data/db-shm}, 0) = 0x7f00",
    ];
    let recording = recorded(&lines, &[("db-shm", "anything"), ("old", "old text")]).unwrap();
    assert_eq!(recording.timeline.events.len(), 1);
}
