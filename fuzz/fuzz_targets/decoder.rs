//! Any stream, read by each decoder (which the law of events watches) and written by each encoder: what is
//! written is a lawful stream of its own dialect. The first byte picks the dialect.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tollgate_dialect::{EncodeOptions, decoder, encoder, ir::Event, render_stream_error};

fuzz_target!(|data: &[u8]| {
    let Some((dialect, stream)) = tollgate_fuzz::pick(data) else { return };
    let (frames, _) = tollgate_fuzz::frames([stream]);
    let mut events = Vec::new();
    let mut reader = decoder(dialect);
    for frame in &frames {
        reader.push(frame, &mut events);
    }
    reader.finish(&mut events);
    let failed = matches!(events.last(), Some(Event::Error(_)));
    assert_ne!(reader.is_complete(), failed);
    for to in tollgate_fuzz::CONVERSATIONS {
        let options = EncodeOptions { include_usage: true, ..EncodeOptions::default() };
        let mut writer = encoder(to, options);
        let mut out = BytesMut::new();
        for event in &events {
            writer.push(event, &mut out);
        }
        writer.finish(&mut out);
        if let Some(Event::Error(error)) = events.last() {
            out.extend_from_slice(&render_stream_error(to, error, "req_1"));
        }
        let (frames, rest) = tollgate_fuzz::frames([&*out]);
        assert!(rest.is_empty());
        if tollgate_fuzz::is_malformed(&out) {
            continue;
        }
        let mut again = Vec::new();
        let mut back = decoder(to);
        for frame in &frames {
            back.push(frame, &mut again);
        }
        back.finish(&mut again);
        assert_eq!(back.is_complete(), reader.is_complete(), "{}", String::from_utf8_lossy(&out));
    }
});
