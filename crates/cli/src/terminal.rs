//! What the program says: data to standard output, words to standard error. A reader that has gone away
//! (`tollgate … | head`) is no reason to fail loudly.

use std::io::{self, Write as _};

/// Writes data, with a line's end.
pub(crate) fn data(text: &str) {
    write_data(text);
    write_data("\n");
}

/// Writes a piece of data and shows it at once.
pub(crate) fn write_data(text: &str) {
    let mut out = io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        // Nobody reads any more.
    }
}

/// Says something to the user.
pub(crate) fn say(text: &str) {
    if writeln!(io::stderr().lock(), "{text}").is_err() {
        // Nobody listens any more.
    }
}
