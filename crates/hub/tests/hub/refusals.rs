//! What a hub refuses, in words that say what to do.

use crate::support::{FILE, Lab, MODEL, Pull};

#[test]
fn a_repository_that_is_not_there_is_told_with_what_is_near() {
    let lab = Lab::new(1_000);
    let error = lab.refused("lab/tiny-GGFU", "has no repository lab/tiny-GGFU");
    assert!(
        error.message().contains("There is `lab/tiny-GGUF`"),
        "{error}"
    );
    assert!(error.message().contains("HF_TOKEN"), "{error}");
}

#[test]
fn a_revision_that_is_not_there_is_told_with_those_that_are() {
    let lab = Lab::new(1_000);
    let of_branch = Pull {
        revision: Some("mian"),
        ..Pull::default()
    };
    let error = of_branch.run(&lab, MODEL).0.unwrap_err();
    assert!(
        error.message().contains("no revision `mian`")
            && error.message().contains("There is `main`"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_told_with_those_that_are() {
    let lab = Lab::new(1_000);
    lab.refused(
        "lab/tiny-GGUF/tiny-Q8_O.gguf",
        &format!("Did you mean {FILE}?"),
    );
    lab.refused("lab/tiny-GGUF:Q2_K", "lab/tiny-GGUF:Q8_0");
    assert!(lab.hub.asked().iter().all(|asked| !asked.of_storage));
}

#[test]
fn several_files_are_listed_with_their_sizes() {
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| {
        shelves
            .files
            .insert("tiny-F16.gguf".to_owned(), vec![0; 2_000]);
        shelves.files.insert("README.md".to_owned(), vec![0; 10]);
    });
    let error = lab.refused("lab/tiny-GGUF", "several files");
    for part in [
        "lab/tiny-GGUF:F16",
        "2.00 kB",
        "lab/tiny-GGUF:Q8_0",
        "1.00 kB",
    ] {
        assert!(error.message().contains(part), "{error}");
    }
    assert!(!error.message().contains("README"), "{error}");
    lab.pull("lab/tiny-GGUF:q8_0").unwrap();
}

#[test]
fn a_gated_model_says_where_its_terms_are() {
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| shelves.is_gated = true);
    let error = lab.refused(MODEL, "is gated");
    assert!(
        error.message().contains("/lab/tiny-GGUF in a browser"),
        "{error}"
    );
    assert!(error.message().contains("set HF_TOKEN"), "{error}");
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[test]
fn a_missing_token_and_a_wrong_one_are_told_apart() {
    let lab = Lab::new(1_000);
    lab.hub
        .change(|shelves| shelves.token = Some("hf_right".to_owned()));
    lab.refused(MODEL, "asks for a token");
    let wrong = Pull {
        token: Some("hf_wrong"),
        ..Pull::default()
    };
    let error = wrong.run(&lab, MODEL).0.unwrap_err();
    assert!(
        error.message().contains("does not accept the token"),
        "{error}"
    );
    assert!(!error.message().contains("hf_wrong"), "{error}");
}

#[test]
fn a_server_that_is_no_hub_is_told_from_one() {
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| {
        shelves.repository = "lab/other".to_owned();
        shelves.refusals.push_back((200, vec![]));
    });
    lab.refused(MODEL, "does not answer as a hub does");
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let lab = Lab::new(1_000);
    // A port that nobody listens on: it was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = lab.refused(&format!("http://{free}/x.gguf"), "cannot be reached");
    assert!(error.message().contains("127.0.0.1"), "{error}");
}
