//! A body is read or refused; one that is read is JSON to every other reader, and its fields can be replaced.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_dialect::RawObject;

fuzz_target!(|data: &[u8]| {
    let Ok(raw) = RawObject::parse(Bytes::copy_from_slice(data)) else { return };
    assert_eq!(raw.bytes(), data);
    let fields: Vec<(String, String)> = raw.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let changed = raw.with(&[("model", Some("\"m\"")), ("zz", None)]);
    let again = RawObject::parse(changed).expect("a patched body is a body");
    assert_eq!(again.get("model"), Some("\"m\""));
    assert_eq!(again.get("zz"), None);
    for (name, value) in &fields {
        if name != "model" && name != "zz" {
            assert_eq!(again.get(name), Some(value.as_str()));
        }
    }
});
