//! Any body has a head or an error; one with a head can be patched into a body again. The first byte picks
//! the dialect.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_dialect::{ModelTraits, Quirks, RawObject, Target, ToolChoiceSupport, patch_request, read_head};

fuzz_target!(|data: &[u8]| {
    let Some((dialect, body)) = tollgate_fuzz::pick(data) else { return };
    let Ok(raw) = RawObject::parse(Bytes::copy_from_slice(body)) else { return };
    if read_head(dialect, &raw).is_err() {
        return;
    }
    let strange = Quirks {
        developer_role: false,
        mid_conversation_system: false,
        vendor_fields: false,
        empty_tools: false,
        tool_choice: ToolChoiceSupport::Unsupported,
        tool_id_length: Some(9),
        ..Quirks::default()
    };
    let traits = ModelTraits { reasoning: Some(true), ..ModelTraits::default() };
    for quirks in [&Quirks::default(), &strange] {
        let target = Target { model: "m", traits: &traits, quirks, max_output: None };
        let patched = patch_request(dialect, &raw, target).expect("a checked request can be patched");
        let patched = RawObject::parse(patched.body).expect("a patched body is a body");
        assert!(read_head(dialect, &patched).is_ok());
    }
});
