//! The price book in force: the file in the data folder, or what ships with the binary.
//!
//! Owns where that file is, how it is read and how it takes the place of the one before. What is in it is the
//! catalogue's matter.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use tollgate_base::{Error, Result};
use tollgate_catalog::price::{LARGEST_FILE, Price, PriceBook};
use tollgate_config::Config;

use crate::terminal::say;

/// The file's name in the data folder.
const FILE: &str = "prices.json";

/// The prices to serve with: `prices.json` of the data folder if there is one, as a whole, else the built-in
/// book. A file that is older than the built-in book is passed over, and that is said, because a new binary knows better; one
/// that is wrong is an error, because running on other prices than those that were asked for would be silent.
pub(crate) fn load(data_folder: &Path) -> Result<PriceBook> {
    let builtin = PriceBook::builtin();
    let path = path(data_folder);
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(builtin.clone());
    }
    let book = PriceBook::parse(&read(&path)?)?;
    if book.as_of() >= builtin.as_of() {
        return Ok(book);
    }
    say(&format!(
        "{} of {} is not used: the prices of this program are of {}. Update it, or remove it.",
        path.display(),
        book.as_of(),
        builtin.as_of()
    ));
    Ok(builtin.clone())
}

/// The prices that calls are booked at: those of [`load`], and before them those that the configuration writes.
pub(crate) fn in_force(config: &Config) -> Result<PriceBook> {
    tollgate_gateway::price_book(config, &load(&config.data_dir)?)
}

/// What a model costs at a provider of the configuration, or at the provider of that row.
pub(crate) fn of<'a>(
    config: &Config,
    book: &'a PriceBook,
    provider: &str,
    model: &str,
) -> Option<&'a Price> {
    let row = config
        .providers
        .get(provider)
        .map_or(provider, |known| &known.row.id);
    book.find_named(provider, row, model)
}

fn path(data_folder: &Path) -> PathBuf {
    data_folder.join(FILE)
}

/// A file of at most the size that is believed, and a byte more, so that the parser refuses a larger one.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(LARGEST_FILE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| fault(path, "read", &error))?;
    Ok(bytes)
}

/// Puts a file in the place of the one before: after a crash there is either the old one or the new one.
pub(crate) fn write(data_folder: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let path = path(data_folder);
    let fresh = data_folder.join(format!(".{FILE}.{}", std::process::id()));
    let written = fs::create_dir_all(data_folder).and_then(|()| {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(data_folder)?.sync_all()
    });
    written.map_err(|error| {
        if fs::remove_file(&fresh).is_err() {
            // It was never made, or is in its place already.
        }
        fault(&path, "written", &error)
    })?;
    Ok(path)
}

fn fault(path: &Path, what: &str, error: &io::Error) -> Error {
    let message = format!("{} cannot be {what}: {error}.", path.display());
    Error::invalid_value("prices", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tollgate-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn file(as_of: &str) -> String {
        format!(
            r#"{{"as_of":"{as_of}","version":"mine","prices":{{"p":{{"m":{{"input":"1"}}}}}}}}"#
        )
    }

    #[test]
    fn the_file_takes_the_place_of_the_built_in_book_unless_it_is_older() {
        let folder = folder("prices-load");
        assert_eq!(
            load(&folder).unwrap().version(),
            PriceBook::builtin().version()
        );
        write(&folder, file("9999-01-01").as_bytes()).unwrap();
        assert_eq!(load(&folder).unwrap().version(), "mine");
        write(&folder, file("2020-01-01").as_bytes()).unwrap();
        assert_eq!(
            load(&folder).unwrap().version(),
            PriceBook::builtin().version()
        );
        write(&folder, b"{").unwrap();
        assert!(load(&folder).is_err());
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "nothing is left beside the file"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
