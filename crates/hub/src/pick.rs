//! Which file of a repository is meant, and what is said when that is not clear.

use tollgate_base::{Error, Kind, Result, quote};

use crate::{
    Choice, Listing, RemoteFile,
    name::{Repository, checked_path},
    near,
    size::shown,
};

/// The most files that a message lists.
const MOST_SHOWN: usize = 24;

/// The one file of `listing` that `choice` means.
pub(crate) fn pick<'a>(
    repository: &Repository,
    listing: &'a Listing,
    choice: &Choice,
) -> Result<&'a RemoteFile> {
    // What a listing names becomes a file here, so a path with tricks is no file at all.
    let files: Vec<&RemoteFile> = listing
        .files
        .iter()
        .filter(|file| checked_path(&file.path).is_ok())
        .collect();
    if files.is_empty() {
        let message = format!(
            "{repository} has no GGUF file. Repositories that have them often end in -GGUF; search the hub for one."
        );
        return Err(Error::new(Kind::NotFound, "no_gguf", message));
    }
    let found = match choice {
        Choice::File(path) => files.iter().filter(|file| file.path == *path).collect(),
        Choice::Quantization(label) => files
            .iter()
            .filter(|file| quantization_of(&file.path).as_ref() == Some(label) && is_model(file))
            .collect(),
        Choice::Only => files
            .iter()
            .filter(|file| is_model(file))
            .collect::<Vec<_>>(),
    };
    match found.as_slice() {
        [file] => {
            refuse_part(repository, file)?;
            Ok(file)
        }
        [] => Err(none(repository, &files, choice)),
        [first, ..] if found.iter().all(|file| part_of(&file.path).is_some()) => {
            refuse_part(repository, first)?;
            Ok(first)
        }
        _ => Err(several(repository, &found)),
    }
}

/// The quantisation that a file's name says: `Q4_K_M`, `UD-Q4_K_XL`, `BF16`.
pub fn quantization_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?.to_ascii_uppercase();
    let stem = file.strip_suffix(".GGUF").unwrap_or(&file);
    let mut before = "";
    let mut found = None;
    for part in stem.split(['-', '.']) {
        // Some names join it with `_`: model_q4_0.
        let starts = std::iter::once(0).chain(part.match_indices('_').map(|(at, _)| at + 1));
        let label = starts
            .filter_map(|at| part.get(at..))
            .find(|label| is_label(label));
        if let Some(label) = label {
            found = Some(if before == "UD" {
                format!("UD-{label}")
            } else {
                label.to_owned()
            });
        }
        before = part;
    }
    found
}

fn is_label(text: &str) -> bool {
    if ["F16", "F32", "BF16", "FP16", "FP32", "MXFP4"].contains(&text) {
        return true;
    }
    let rest = ["IQ", "TQ", "Q"]
        .iter()
        .find_map(|start| text.strip_prefix(start));
    let Some((bits, rest)) = rest.and_then(|rest| rest.split_at_checked(1)) else {
        return false;
    };
    bits.bytes().all(|byte| byte.is_ascii_digit())
        && rest.starts_with('_')
        && rest.split('_').skip(1).all(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// Number and count of a split file: `-00001-of-00003`.
fn part_of(path: &str) -> Option<(u32, u32)> {
    let stem = path.get(..path.len().checked_sub(5)?)?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    let five = |text: &str| (text.len() == 5).then(|| text.parse().ok()).flatten();
    Some((five(number)?, five(count)?))
}

/// Not the projector of an image model, which is no model by itself.
fn is_model(file: &RemoteFile) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    !name.to_ascii_lowercase().contains("mmproj") && part_of(&file.path).is_none_or(|(n, _)| n == 1)
}

fn refuse_part(repository: &Repository, file: &RemoteFile) -> Result<()> {
    let Some((_, count)) = part_of(&file.path) else {
        return Ok(());
    };
    let message = format!(
        "{repository}/{} is one of {count} parts, and a model is read from one file. Take a smaller quantisation, or \
         join the parts with `llama-gguf-split --merge` and pull the result by its path.",
        file.path
    );
    Err(Error::new(Kind::NotSupported, "split_file", message))
}

fn none(repository: &Repository, files: &[&RemoteFile], choice: &Choice) -> Error {
    let message = match choice {
        Choice::File(path) => {
            let close = near::near(path, files.iter().map(|file| file.path.as_str()));
            let hint = if close.is_empty() {
                format!("It has:\n{}", table(repository, files))
            } else {
                format!("Did you mean {}?", near::or(&close))
            };
            format!("{repository} has no file {}. {hint}", quote(path))
        }
        Choice::Quantization(label) => {
            let models: Vec<_> = files
                .iter()
                .copied()
                .filter(|file| is_model(file))
                .collect();
            format!(
                "{repository} has no file of quantisation {label}. It has:\n{}",
                table(repository, &models)
            )
        }
        Choice::Only => format!(
            "{repository} has no model file. It has:\n{}",
            table(repository, files)
        ),
    };
    Error::new(Kind::NotFound, "file_not_found", message)
}

fn several(repository: &Repository, found: &[&&RemoteFile]) -> Error {
    let files: Vec<_> = found.iter().map(|file| **file).collect();
    let message = format!(
        "{repository} has several files. Name one:\n{}",
        table(repository, &files)
    );
    Error::new(Kind::Conflict, "ambiguous_model", message)
}

/// A line for each file: how it is named, and its size. A label that several share does not name one.
fn table(repository: &Repository, files: &[&RemoteFile]) -> String {
    let label_of = |file: &RemoteFile| quantization_of(&file.path);
    let name_of = |file: &RemoteFile| {
        let label = label_of(file).filter(|label| {
            files
                .iter()
                .filter(|other| label_of(other).as_ref() == Some(label))
                .count()
                == 1
        });
        match label {
            Some(label) => format!("{repository}:{label}"),
            None => format!("{repository}/{}", file.path),
        }
    };
    let names: Vec<String> = files
        .iter()
        .take(MOST_SHOWN)
        .map(|file| name_of(file))
        .collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut lines: Vec<String> = names
        .iter()
        .zip(files)
        .map(|(name, file)| {
            let size = file.size.map_or_else(|| "?".to_owned(), shown);
            format!("  {name:width$}  {size:>8}")
        })
        .collect();
    if files.len() > MOST_SHOWN {
        lines.push(format!("  and {} more", files.len() - MOST_SHOWN));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantisation_is_read_from_the_ways_in_which_files_are_named() {
        for (path, label) in [
            ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
            ("all-MiniLM-L6-v2.Q8_0.gguf", "Q8_0"),
            ("Model_Q5_K_M.gguf", "Q5_K_M"),
            ("sub/model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
            ("model-IQ2_XXS.gguf", "IQ2_XXS"),
            ("model-Q4_0_4_8.gguf", "Q4_0_4_8"),
            ("model.BF16.gguf", "BF16"),
            ("m-Q6_K-00001-of-00002.gguf", "Q6_K"),
        ] {
            assert_eq!(quantization_of(path).as_deref(), Some(label), "{path}");
        }
        for path in [
            "model.gguf",
            "qwen2.5.gguf",
            "q.gguf",
            "Q4.gguf",
            ".gguf",
            "",
        ] {
            assert_eq!(quantization_of(path), None, "{path}");
        }
    }

    fn listing(paths: &[&str]) -> Listing {
        Listing {
            files: paths
                .iter()
                .map(|path| RemoteFile {
                    path: (*path).to_owned(),
                    size: Some(2_000_000),
                    sha256: None,
                })
                .collect(),
            ..Listing::default()
        }
    }

    fn picked(paths: &[&str], choice: &Choice) -> Result<String> {
        let repository = Repository::new("o", "n").unwrap();
        pick(&repository, &listing(paths), choice).map(|file| file.path.clone())
    }

    #[test]
    fn a_choice_that_is_not_clear_lists_what_there_is_with_sizes() {
        let error = picked(&["a-Q4_0.gguf", "a-Q8_0.gguf"], &Choice::Only).unwrap_err();
        assert!(
            error.message().contains("o/n:Q4_0") && error.message().contains("2.00 MB"),
            "{error}"
        );
        let label = Choice::Quantization("Q4_0".to_owned());
        let error = picked(&["a-Q4_0.gguf", "b-Q4_0.gguf"], &label).unwrap_err();
        assert!(error.message().contains("o/n/b-Q4_0.gguf"), "{error}");
        let error = picked(&["a-Q4_0.gguf"], &Choice::Quantization("Q9".to_owned())).unwrap_err();
        assert!(
            error.message().contains("no file of quantisation Q9"),
            "{error}"
        );
        let error = picked(&["a-Q4_0.gguf"], &Choice::File("a-Q4_O.gguf".to_owned())).unwrap_err();
        assert!(
            error.message().contains("Did you mean a-Q4_0.gguf?"),
            "{error}"
        );
    }

    #[test]
    fn one_model_beside_its_projector_and_other_files_is_clear() {
        let paths = [
            "README.md",
            "mmproj-a-f16.gguf",
            "a-Q8_0.gguf",
            "../evil.gguf",
        ];
        assert_eq!(picked(&paths, &Choice::Only).unwrap(), "a-Q8_0.gguf");
        assert!(
            picked(&["README.md"], &Choice::Only)
                .unwrap_err()
                .message()
                .contains("-GGUF")
        );
    }

    #[test]
    fn a_split_model_is_refused_with_the_way_out() {
        let paths = ["a-Q4_0-00001-of-00002.gguf", "a-Q4_0-00002-of-00002.gguf"];
        for choice in [
            Choice::Only,
            Choice::Quantization("Q4_0".to_owned()),
            Choice::File(paths[1].to_owned()),
        ] {
            let error = picked(&paths, &choice).unwrap_err();
            assert!(
                error.message().contains("one of 2 parts") && error.message().contains("--merge"),
                "{error}"
            );
        }
    }
}
