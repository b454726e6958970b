//! What the journal holds and the store does not have yet, for those who only look: read without the lock, so
//! while a service writes or after it was killed. Nothing is changed.

use std::{fs, io, path::Path};

use tollgate_policy::ledger::Entry;

use crate::{journal::file_number, segment};

/// Entries in the order in which they were written, from the one after `shipped` on. Of a file that is being
/// written, or was when its process died, whole records are read. Read the store after this, not before: what is
/// shipped and deleted meanwhile is then in the store.
pub fn waiting(data: &Path, shipped: u64) -> io::Result<Vec<Entry>> {
    let mut records = Vec::new();
    for bytes in files(data)? {
        let scanned = segment::scan(&bytes).records;
        records.extend(scanned.into_iter().filter(|record| record.number > shipped));
    }
    records.sort_by_key(|record| record.number);
    Ok(records.into_iter().map(|record| record.entry).collect())
}

fn files(data: &Path) -> io::Result<Vec<Vec<u8>>> {
    let folder = match fs::read_dir(data.join("journal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        folder => folder?,
    };
    let mut found = Vec::new();
    for file in folder {
        let path = file?.path();
        if file_number(&path).is_none() {
            continue;
        }
        match fs::read(&path) {
            Ok(bytes) => found.push(bytes),
            // Its records are in the store by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
