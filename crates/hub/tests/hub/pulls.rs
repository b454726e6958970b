//! Pulls that end well, whatever happened on the way.

use tollgate_hub::{Event, Origin};
use tollgate_testkit::{Asked, TestHub};

use crate::support::{FILE, Lab, MODEL, Pull, Random, gguf};

#[test]
fn a_pulled_file_lies_under_its_commit_with_a_manifest_beside_it() {
    let lab = Lab::new(100_000);
    let pulled = lab.pull("lab/tiny-GGUF").unwrap();
    assert!(!pulled.was_here);
    lab.is_whole();
    let place = format!("models/lab--tiny-GGUF/0123456789ab/{FILE}");
    assert_eq!(lab.files(), [place.clone(), format!("{place}.json")]);
    let manifest = &pulled.model.manifest;
    assert_eq!(manifest.name, format!("lab/tiny-GGUF/{FILE}"));
    assert!(manifest.is_published && manifest.size == 100_000 && manifest.pulled_at == 1_000);
    assert_eq!(manifest.licence.as_deref(), Some("apache-2.0"));
    let Origin::Hub {
        commit, revision, ..
    } = &manifest.origin
    else {
        panic!("{manifest:?}");
    };
    assert_eq!(
        commit.as_deref(),
        Some("0123456789abcdef0123456789abcdef01234567")
    );
    assert_eq!(revision, "main");
    // The commit is fetched, so that what comes is what was listed.
    let asked = lab.hub.asked();
    assert!(
        asked[1].target.contains("/resolve/0123456789abcdef"),
        "{asked:?}"
    );
}

#[test]
fn a_file_that_is_here_is_not_fetched_again_even_from_a_later_commit() {
    let lab = Lab::new(5_000);
    lab.pull(MODEL).unwrap();
    let n_asked = lab.hub.asked().len();
    lab.hub.change(|shelves| shelves.commit = "f".repeat(40));
    assert!(lab.pull(MODEL).unwrap().was_here);
    assert_eq!(
        lab.hub.asked().len(),
        n_asked + 1,
        "only the listing was asked for"
    );
    // Other bytes under the same name are another file; the newest is the one that the name means.
    let newer = gguf(6_000, 8);
    lab.put(FILE, newer.clone());
    assert!(!lab.pull(MODEL).unwrap().was_here);
    assert_eq!(lab.store().all_named(MODEL).unwrap().len(), 2);
}

#[test]
fn a_download_goes_on_after_a_cut_at_every_byte() {
    let lab = Lab::new(100);
    for cut in 0..100 {
        lab.hub.change(|shelves| shelves.cuts.push_back(cut));
        // The program is stopped at the cut, and started again.
        let first = Pull {
            failures: 1,
            ..Pull::default()
        };
        let (stopped, _) = first.run(&lab, MODEL);
        assert!(stopped.is_err(), "cut at {cut}");
        assert!(lab.store().list().unwrap().is_empty(), "cut at {cut}");
        lab.pull(MODEL).unwrap();
        lab.is_whole();
        let last = lab.hub.asked().pop().unwrap();
        let range = (cut > 0).then(|| format!("bytes={cut}-"));
        assert_eq!(last.headers.get("range"), range.as_ref(), "cut at {cut}");
        let model = lab.store().find(MODEL).unwrap();
        lab.store().remove(&model).unwrap();
    }
}

#[test]
fn many_cuts_in_one_pull_and_across_several_still_give_the_same_bytes() {
    for seed in 1..=6 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let lab = Lab::new(200_000 + random.below(100_000));
        let cuts: Vec<usize> = (0..8).map(|_| random.below(60_000)).collect();
        lab.hub.change(|shelves| shelves.cuts.extend(cuts));
        let mut n_runs = 0;
        // A run gives up at its second failure in a row; bytes that came begin the count anew.
        let run = Pull {
            failures: 2,
            ..Pull::default()
        };
        while run.run(&lab, MODEL).0.is_err() {
            n_runs += 1;
            assert!(n_runs < 10, "seed {seed}");
        }
        lab.is_whole();
        let sent_again = lab
            .hub
            .asked()
            .iter()
            .filter(|asked| asked.of_storage && !asked.headers.contains_key("range"))
            .count();
        assert!(
            sent_again <= 2,
            "seed {seed}: the beginning was fetched {sent_again} times"
        );
    }
}

#[test]
fn what_is_here_of_a_file_is_told_and_only_the_rest_is_fetched() {
    let lab = Lab::new(50_000);
    lab.hub.change(|shelves| shelves.cuts.push_back(20_000));
    let once = Pull {
        failures: 1,
        ..Pull::default()
    };
    let (stopped, _) = once.run(&lab, MODEL);
    assert!(stopped.unwrap_err().message().contains("20.0 kB are kept"));
    let unfinished = lab.store().unfinished().unwrap();
    assert_eq!(
        (unfinished[0].have, unfinished[0].size),
        (20_000, Some(50_000))
    );
    let (pulled, events) = Pull::default().run(&lab, MODEL);
    pulled.unwrap();
    assert!(events.contains(&Event::Rereads(20_000)), "{events:?}");
    let begins = events.iter().find_map(|event| match event {
        Event::Begins { have, .. } => Some(*have),
        _ => None,
    });
    assert_eq!(begins, Some(20_000));
    assert_eq!(events.last(), Some(&Event::Has(50_000)));
    let last = lab.hub.asked().pop().unwrap();
    assert_eq!(last.headers["if-range"], "\"v1\"");
}

#[test]
fn a_server_without_ranges_sends_everything_again_and_that_is_used() {
    let lab = Lab::new(40_000);
    lab.hub.change(|shelves| {
        shelves.has_ranges = false;
        shelves.cuts.push_back(30_000);
    });
    let (pulled, events) = Pull::default().run(&lab, MODEL);
    pulled.unwrap();
    lab.is_whole();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Restarts(_))),
        "{events:?}"
    );
}

#[test]
fn a_file_that_changed_between_two_parts_is_fetched_from_its_beginning() {
    let lab = Lab::new(40_000);
    let url = lab.hub.storage_url(FILE);
    lab.hub.change(|shelves| shelves.cuts.push_back(30_000));
    let once = Pull {
        failures: 1,
        ..Pull::default()
    };
    assert!(once.run(&lab, &url).0.is_err());
    let newer = gguf(40_000, 9);
    lab.hub.change(|shelves| {
        shelves.files.insert(FILE.to_owned(), newer.clone());
        shelves.etag = Some("\"v2\"".to_owned());
    });
    let pulled = lab.pull(&url).unwrap();
    assert_eq!(std::fs::read(&pulled.model.path).unwrap(), newer);
    assert!(!pulled.model.manifest.is_published);
}

#[test]
fn the_beginning_of_a_file_with_another_checksum_is_not_taken_up() {
    let lab = Lab::new(40_000);
    lab.hub.change(|shelves| shelves.cuts.push_back(30_000));
    let once = Pull {
        failures: 1,
        ..Pull::default()
    };
    assert!(once.run(&lab, MODEL).0.is_err());
    lab.put(FILE, gguf(40_000, 11));
    lab.pull(MODEL).unwrap();
    let has_range = |asked: &Asked| asked.headers.contains_key("range");
    assert!(!lab.hub.asked().iter().any(has_range));
}

#[test]
fn a_file_that_changed_without_a_word_is_found_out_by_its_checksum_and_fetched_anew() {
    let lab = Lab::new(40_000);
    lab.hub.change(|shelves| {
        // Other bytes for the first part only, and no validator to see it by.
        shelves.etag = None;
        let sound = shelves.files.insert(FILE.to_owned(), gguf(40_000, 10));
        shelves.listed_sha256 = Some(TestHub::sha256(&sound.unwrap()));
        shelves.cuts.push_back(30_000);
    });
    let once = Pull {
        failures: 1,
        ..Pull::default()
    };
    assert!(once.run(&lab, MODEL).0.is_err());
    lab.put(FILE, lab.bytes.clone());
    let (pulled, events) = Pull::default().run(&lab, MODEL);
    pulled.unwrap();
    lab.is_whole();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Restarts(_))),
        "{events:?}"
    );
}

#[test]
fn a_hub_that_lists_no_sizes_still_names_them_in_its_redirect() {
    let lab = Lab::new(10_000);
    lab.hub.change(|shelves| shelves.lists_blobs = false);
    let pulled = lab.pull(MODEL).unwrap();
    assert!(pulled.model.manifest.is_published);
    lab.is_whole();
    assert!(lab.pull(MODEL).unwrap().was_here, "the commit is the same");
}

#[test]
fn a_body_without_a_length_ends_where_the_hub_said() {
    let lab = Lab::new(10_000);
    lab.hub.change(|shelves| shelves.hides_length = true);
    lab.hub.change(|shelves| shelves.cuts.push_back(4_000));
    lab.pull(MODEL).unwrap();
    lab.is_whole();
}

#[test]
fn the_address_of_a_hub_file_in_a_browser_is_the_file_with_its_checksum() {
    let lab = Lab::new(10_000);
    let url = format!("{}/lab/tiny-GGUF/blob/main/{FILE}", lab.hub.url());
    let pulled = lab.pull(&url).unwrap();
    assert!(pulled.model.manifest.is_published);
    lab.is_whole();
}
