//! Any bytes as a whole reply: refused, or rendered into a reply of every dialect that reads back. The first
//! byte picks the dialect.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_dialect::{Dialect, EncodeOptions, parse_response, read_reply, render_response};

fuzz_target!(|data: &[u8]| {
    let Some((dialect, body)) = tollgate_fuzz::pick(data) else { return };
    let _read = read_reply(dialect, &Bytes::copy_from_slice(body)).is_ok();
    let Ok(response) = parse_response(dialect, body) else { return };
    for to in [Dialect::OpenAiCompletions].into_iter().chain(tollgate_fuzz::CONVERSATIONS) {
        let rendered = render_response(to, &response, &EncodeOptions::default());
        if to == Dialect::GeminiGenerate && tollgate_fuzz::is_malformed(&rendered) {
            continue;
        }
        read_reply(to, &rendered).expect("a rendered reply is a reply");
    }
});
