//! What is here: found by its names, checked, taken away.

use std::path::Path;

use tollgate_hub::Checked;

use crate::support::{FILE, Lab, MODEL, gguf};

#[test]
fn a_model_is_found_by_each_of_its_names() {
    let lab = Lab::new(1_000);
    lab.put("tiny-F16.gguf", gguf(900, 3));
    lab.pull(MODEL).unwrap();
    let store = lab.store();
    for name in [
        MODEL,
        "lab/tiny-GGUF",
        "lab/tiny-GGUF:q8_0",
        "lab/tiny-GGUF/tiny-Q8_0.gguf",
        "tiny-Q8_0",
    ] {
        assert!(store.find(name).unwrap().path.ends_with(FILE), "{name}");
    }
    lab.pull("lab/tiny-GGUF:F16").unwrap();
    let error = store.find("lab/tiny-GGUF").unwrap_err();
    assert!(
        error.message().contains("several") && error.message().contains("tiny-F16.gguf"),
        "{error}"
    );
    let error = store.find("tiny-Q8_O").unwrap_err();
    assert!(
        error.message().contains("did you mean tiny-Q8_0"),
        "{error}"
    );
    for trick in ["../tiny-Q8_0", "/etc/passwd", "", "..", "lab/tiny-GGUF/.."] {
        assert!(store.find(trick).is_err(), "{trick}");
    }
}

#[test]
fn a_changed_byte_and_a_missing_file_are_found_by_hashing_again() {
    let lab = Lab::new(10_000);
    let model = lab.pull(MODEL).unwrap().model;
    let store = lab.store();
    let mut read = 0;
    assert_eq!(store.verify(&model, |n| read = n).unwrap(), Checked::Sound);
    assert_eq!(read, 10_000);
    let mut bytes = lab.bytes.clone();
    bytes[9_999] ^= 1;
    std::fs::write(&model.path, bytes).unwrap();
    assert!(matches!(
        store.verify(&model, |_| ()).unwrap(),
        Checked::Changed { .. }
    ));
    std::fs::remove_file(&model.path).unwrap();
    assert_eq!(store.verify(&model, |_| ()).unwrap(), Checked::Missing);
    // A file that is gone is fetched again.
    assert!(!lab.pull(MODEL).unwrap().was_here);
    lab.is_whole();
}

#[test]
fn a_file_of_this_machine_is_registered_and_stays_where_it_is() {
    let lab = Lab::new(1_000);
    let demo =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/models/tollgate-demo-q8_0.gguf");
    let model = lab.pull(demo.to_str().unwrap()).unwrap().model;
    assert_eq!(model.name(), "tollgate-demo-q8_0");
    assert_eq!(model.manifest.facts.architecture.as_deref(), Some("llama"));
    assert_eq!(model.manifest.licence.as_deref(), Some("Apache-2.0"));
    assert_eq!(lab.files().len(), 1, "a manifest alone: {:?}", lab.files());
    let store = lab.store();
    assert_eq!(
        store.find(demo.to_str().unwrap()).unwrap().name(),
        model.name()
    );
    store
        .remove(&store.find("tollgate-demo-q8_0").unwrap())
        .unwrap();
    assert!(demo.exists() && lab.files().is_empty());
    let page = lab.data().join("page.gguf");
    std::fs::write(&page, "no model").unwrap();
    lab.refused(page.to_str().unwrap(), "is no GGUF file");
}

#[test]
fn a_manifest_that_cannot_be_read_is_told_and_hides_no_other() {
    let lab = Lab::new(1_000);
    let model = lab.pull(MODEL).unwrap().model;
    let damaged = model.path.with_file_name("other.gguf.json");
    std::fs::write(&damaged, "{").unwrap();
    assert_eq!(lab.store().list().unwrap().len(), 1);
    assert_eq!(lab.store().damaged().unwrap(), [damaged]);
}

#[test]
fn an_unfinished_download_can_be_taken_away() {
    let lab = Lab::new(10_000);
    lab.hub.change(|shelves| {
        shelves.cuts.push_back(5_000);
        shelves.cuts.extend([0; 8]);
    });
    assert!(lab.pull(MODEL).is_err());
    let unfinished = lab.store().unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    lab.store().remove_unfinished(&unfinished[0]).unwrap();
    assert!(lab.files().is_empty(), "{:?}", lab.files());
}
