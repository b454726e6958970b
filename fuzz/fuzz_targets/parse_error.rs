//! Any bytes as an error reply: an error with a bounded message that holds no address and no key, in JSON of
//! every family. The first byte picks the dialect, the next two the status.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_dialect::{RawObject, parse_error, render_error};

fuzz_target!(|data: &[u8]| {
    let Some((dialect, rest)) = tollgate_fuzz::pick(data) else { return };
    let [high, low, body @ ..] = rest else { return };
    let status = 200 + u16::from_be_bytes([*high, *low]) % 400;
    let retry_after = std::str::from_utf8(&body[..body.len().min(8)]).ok();
    let error = parse_error(dialect, status, retry_after, body);
    assert!(error.message().len() <= 2_200);
    assert!(!error.message().contains("://"));
    assert!(!error.message().contains(char::is_control));
    for to in tollgate_fuzz::CONVERSATIONS {
        let wire = render_error(to, &error, "req_1");
        assert!((400..600).contains(&wire.status));
        RawObject::parse(wire.body).expect("an error is JSON");
    }
});
