//! Pulls that must not end well, and what they leave.

use std::{sync::Arc, time::Duration};

use tollgate_hub::Event;

use crate::support::{FILE, FullDisk, Lab, MODEL, Pull};

#[test]
fn bytes_with_another_checksum_never_get_the_name_and_are_deleted() {
    let lab = Lab::new(50_000);
    lab.hub
        .change(|shelves| shelves.listed_sha256 = Some("ab".repeat(32)));
    let error = lab.refused(MODEL, "was promised");
    assert!(error.message().contains("deleted") && error.message().contains(&"ab".repeat(32)));
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[test]
fn the_token_goes_to_the_hub_and_never_to_its_storage() {
    let lab = Lab::new(50_000);
    lab.hub.change(|shelves| {
        shelves.token = Some("hf_canary".to_owned());
        shelves.cuts.extend([10_000, 10_000]);
    });
    let with_token = Pull {
        token: Some("hf_canary"),
        ..Pull::default()
    };
    with_token.run(&lab, MODEL).0.unwrap();
    lab.is_whole();
    let asked = lab.hub.asked();
    assert!(asked.iter().filter(|one| one.of_storage).count() >= 3);
    for one in &asked {
        let has_token = one
            .headers
            .values()
            .any(|value| value.contains("hf_canary"));
        assert_eq!(has_token, !one.of_storage, "{one:?}");
    }
    for path in lab.files() {
        let bytes = std::fs::read(lab.data().join(path)).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(b"hf_canary") && !holds(b"lets-anybody-in"));
    }
}

#[test]
fn a_token_is_not_sent_in_plain_text_to_another_machine() {
    use tollgate_hub::{Address, Hub, HubOptions, Patience};
    let options = |base: &str| HubOptions {
        base: Address::parse(base).unwrap(),
        token: Some(tollgate_base::Secret::new("hf_canary")),
        patience: Patience::default(),
    };
    let error = Hub::new(options("http://hub.example")).unwrap_err();
    assert!(error.message().contains("plain text"), "{error}");
    Hub::new(options("https://hub.example")).unwrap();
    Hub::new(options("http://127.0.0.1:1")).unwrap();
}

#[test]
fn redirects_in_a_circle_are_given_up() {
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| shelves.loops = true);
    lab.refused(MODEL, "circle");
    assert!(lab.hub.asked().len() < 12);
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[test]
fn a_length_that_lies_is_refused_before_a_byte_is_written() {
    for announced in [999, 2_000] {
        let lab = Lab::new(1_000);
        lab.hub
            .change(|shelves| shelves.announced = Some(announced));
        let error = lab.refused(MODEL, "lists with 1000");
        assert!(error.message().contains(&announced.to_string()), "{error}");
        assert!(lab.files().is_empty(), "{:?}", lab.files());
    }
}

#[test]
fn more_bytes_than_the_file_has_are_not_taken() {
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| {
        shelves.hides_length = true;
        shelves.surplus = 500;
    });
    lab.refused(MODEL, "more than the 1000 bytes");
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[test]
fn a_full_disk_is_seen_before_anything_is_fetched() {
    let lab = Lab::new(50_000);
    let disk = FullDisk::with_free(60_000);
    let full = Pull {
        disk: &disk,
        ..Pull::default()
    };
    let error = full.run(&lab, MODEL).0.unwrap_err();
    assert!(error.message().contains("60.0 kB are free"), "{error}");
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[test]
fn a_disk_that_fills_up_keeps_what_came_and_the_rest_follows_later() {
    let lab = Lab::new(80_000);
    let disk = FullDisk::after(33_333);
    let full = Pull {
        disk: &disk,
        ..Pull::default()
    };
    let error = full.run(&lab, MODEL).0.unwrap_err();
    assert!(error.message().contains("disk is full"), "{error}");
    let have = lab.store().unfinished().unwrap()[0].have;
    assert_eq!(have, 33_333);
    lab.pull(MODEL).unwrap();
    lab.is_whole();
}

#[test]
fn two_pulls_of_one_file_at_once_are_one_pull_and_a_refusal() {
    let lab = Arc::new(Lab::new(200_000));
    lab.hub.change(|shelves| shelves.holds = true);
    let first = {
        let lab = Arc::clone(&lab);
        std::thread::spawn(move || lab.pull(MODEL).map(|pulled| pulled.was_here))
    };
    lab.hub.wait_until_held();
    let error = lab.refused(MODEL, "Another program is pulling");
    assert_eq!(error.code(), "pull_in_progress");
    // The bytes are on their way; that they are is written down a moment later.
    let unfinished = loop {
        let unfinished = lab.store().unfinished().unwrap();
        if !unfinished.is_empty() {
            break unfinished;
        }
        std::thread::yield_now();
    };
    let refused = lab.store().remove_unfinished(&unfinished[0]).unwrap_err();
    assert_eq!(refused.code(), "pull_in_progress");
    lab.hub.release();
    assert!(!first.join().unwrap().unwrap());
    lab.is_whole();
}

#[test]
fn a_page_in_the_place_of_a_model_is_refused() {
    let lab = Lab::new(1_000);
    let page = b"<html>Log in, please</html>".to_vec();
    lab.put("page.gguf", page);
    lab.refused(&lab.hub.storage_url("page.gguf"), "is no GGUF file");
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[test]
fn errors_that_pass_are_waited_for_and_others_are_not() {
    let wait = |seconds: &str| vec![("retry-after".to_owned(), seconds.to_owned())];
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| {
        shelves
            .refusals
            .extend([(503, vec![]), (429, wait("0")), (500, vec![])]);
    });
    let (pulled, _) = Pull::default().run(&lab, MODEL);
    pulled.unwrap();
    lab.is_whole();

    let lab = Lab::new(1_000);
    lab.hub
        .change(|shelves| shelves.refusals.extend(vec![(502, vec![]); 4]));
    lab.refused(MODEL, "answered 502");
    assert_eq!(lab.hub.asked().len(), 4, "as often as patience allows");

    let lab = Lab::new(1_000);
    lab.hub
        .change(|shelves| shelves.refusals.push_back((429, wait("3600"))));
    lab.refused(MODEL, "429");
    assert_eq!(lab.hub.asked().len(), 1, "an hour is not waited for");
}

#[test]
fn the_pause_doubles_while_no_byte_comes() {
    let lab = Lab::new(1_000);
    lab.hub.change(|shelves| {
        shelves.cuts.push_back(500);
        shelves.cuts.push_back(0);
    });
    let patient = Pull {
        longest_pause: Duration::from_millis(50),
        ..Pull::default()
    };
    let (pulled, events) = patient.run(&lab, MODEL);
    pulled.unwrap();
    let pauses: Vec<Duration> = events
        .iter()
        .filter_map(|event| match event {
            Event::Retries { pause, .. } => Some(*pause),
            _ => None,
        })
        .collect();
    assert_eq!(pauses, [Duration::from_millis(1), Duration::from_millis(2)]);
}

#[test]
fn a_manifest_with_tricks_in_it_touches_nothing_outside() {
    let lab = Lab::new(1_000);
    lab.pull(MODEL).unwrap();
    let outside = lab.data().join("precious.gguf");
    std::fs::write(&outside, b"mine").unwrap();
    let manifest = lab
        .data()
        .join(format!("models/lab--tiny-GGUF/0123456789ab/{FILE}.json"));
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace(FILE, "../../../precious.gguf")).unwrap();
    let models = lab.store().list().unwrap();
    assert_eq!(models.len(), 1);
    lab.store().remove(&models[0]).unwrap();
    assert!(outside.exists());
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}

#[cfg(unix)]
#[test]
fn links_in_the_models_folder_are_not_followed() {
    let lab = Lab::new(1_000);
    let other = Lab::new(1_000);
    other.pull(MODEL).unwrap();
    std::fs::create_dir_all(lab.data().join("models")).unwrap();
    std::os::unix::fs::symlink(
        other.data().join("models/lab--tiny-GGUF"),
        lab.data().join("models/lab--tiny-GGUF"),
    )
    .unwrap();
    assert!(lab.store().list().unwrap().is_empty());
    other.is_whole();
}
