//! Every request, from every dialect into every other: refused, or a body that the other dialect accepts.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_dialect::{
    Dialect, ModelTraits, Quirks, RawObject, Target, ThinkingStyle, parse_request, read_head, render_request,
};

fuzz_target!(|data: &[u8]| {
    let Some((dialect, body)) = tollgate_fuzz::pick(data) else { return };
    let Ok(raw) = RawObject::parse(Bytes::copy_from_slice(body)) else { return };
    let Ok(request) = parse_request(dialect, &raw) else { return };
    let plain = ModelTraits::default();
    let thinking = ModelTraits {
        thinking: ThinkingStyle::Budget,
        max_output_tokens: Some(8192),
        mid_conversation_system: Some(true),
        ..ModelTraits::default()
    };
    let quirks = Quirks::default();
    for traits in [&plain, &thinking] {
        let target = Target { model: "m", traits, quirks: &quirks, max_output: None };
        for to in [Dialect::OpenAiCompletions].into_iter().chain(tollgate_fuzz::CONVERSATIONS) {
            if let Ok(rendered) = render_request(to, &request, target) {
                let body = RawObject::parse(rendered.body).expect("a rendered body is a body");
                read_head(to, &body).expect("a rendered request passes its own dialect's checks");
            }
        }
    }
});
