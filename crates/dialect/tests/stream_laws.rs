//! What holds of every stream, however its bytes are cut: the same frames, the same events, in a lawful
//! order, and no end that the provider did not send.

#[expect(dead_code, reason = "each test file uses some of it")]
mod support;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use support::{CONVERSATIONS, FOLDERS, encoded, events, fixtures, frames, options};
use tollgate_dialect::{
    Dialect, decoder, encoder,
    frame::SseFramer,
    ir::{Block, Event, Response},
    law::Law,
};

#[test]
fn every_split_point_gives_the_same_frames_and_events() {
    for fixture in fixtures("stream") {
        let bytes = &fixture.content;
        let (whole, rest) = frames(&[bytes]);
        let told = events(&mut *decoder(fixture.dialect), &whole);
        for at in 0..=bytes.len() {
            let (split, split_rest) = frames(&[&bytes[..at], &bytes[at..]]);
            assert_eq!(split, whole, "{} split at {at}", fixture.name);
            assert_eq!(split_rest, rest, "{} split at {at}", fixture.name);
        }
        let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
        let (split, _) = frames(&one_by_one);
        assert_eq!(split, whole, "{} byte by byte", fixture.name);
        assert_eq!(
            events(&mut *decoder(fixture.dialect), &split),
            told,
            "{}",
            fixture.name
        );
    }
}

#[test]
fn every_byte_of_a_stream_is_in_exactly_one_frame() {
    for fixture in fixtures("stream") {
        let (frames, rest) = frames(&[&fixture.content]);
        let mut joined: Vec<u8> = frames.iter().flat_map(|frame| frame.raw.to_vec()).collect();
        joined.extend_from_slice(&rest);
        assert_eq!(joined, fixture.content, "{}", fixture.name);
    }
}

#[test]
fn a_frame_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: one\n\nevent: x\ndata: two\n\n");
    let mut framer = SseFramer::default();
    framer.push(chunk.clone());
    let range = chunk.as_ptr_range();
    while let Some(frame) = framer.next_frame().unwrap() {
        assert!(
            range.contains(&frame.raw.as_ptr()) && range.contains(&frame.data.unwrap().as_ptr())
        );
    }
}

#[test]
fn a_stream_cut_anywhere_is_never_complete_and_never_ends_well() {
    for fixture in fixtures("stream") {
        let mut whole = decoder(fixture.dialect);
        let (all, _) = frames(&[&fixture.content]);
        let told = events(&mut *whole, &all);
        let finish = told
            .iter()
            .position(|event| matches!(event, Event::Finish(_)));
        for n in 0..all.len() {
            let mut cut = decoder(fixture.dialect);
            let told = events(&mut *cut, &all[..n]);
            let finishes = told.iter().any(|event| matches!(event, Event::Finish(_)));
            let failed = matches!(told.last(), Some(Event::Error(_)));
            assert!(
                finishes || failed,
                "{} cut at frame {n} says nothing of its end",
                fixture.name
            );
            assert!(
                finish.is_some() || failed,
                "{} cut at frame {n} invents an end",
                fixture.name
            );
            for target in support::others(fixture.dialect) {
                let out = encoded(target, options(), &told);
                let text = std::str::from_utf8(&out).unwrap();
                let ends_well = text.contains("[DONE]\n") && text.ends_with("data: [DONE]\n\n")
                    || text.contains("event: message_stop")
                    || text.contains("event: response.completed")
                    || text.contains("event: response.incomplete")
                    || text.contains("\"finishReason\"");
                assert!(
                    !(failed && ends_well),
                    "{} cut at frame {n}: {text}",
                    fixture.name
                );
            }
        }
    }
}

#[test]
fn events_keep_the_law_and_tell_one_whole_reply() {
    for fixture in fixtures("stream") {
        let (frames, _) = frames(&[&fixture.content]);
        let mut decoder = decoder(fixture.dialect);
        let events = events(&mut *decoder, &frames);
        let mut law = Law::default();
        for event in &events {
            assert_eq!(law.check(event), Ok(()), "{}: {event:?}", fixture.name);
        }
        assert_eq!(law.is_whole(), decoder.is_complete(), "{}", fixture.name);
        assert_eq!(
            Response::from_events(events).is_ok(),
            decoder.is_complete(),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn an_encoded_reply_reads_back_as_the_same_reply() {
    for fixture in fixtures("stream") {
        let (all, _) = frames(&[&fixture.content]);
        let told = events(&mut *decoder(fixture.dialect), &all);
        let Ok(reply) = Response::from_events(told.clone()) else {
            continue;
        };
        for dialect in CONVERSATIONS {
            let out = encoded(dialect, options(), &told);
            let (all, rest) = frames(&[&out]);
            assert!(rest.is_empty(), "{}", fixture.name);
            let back = Response::from_events(events(&mut *decoder(dialect), &all)).unwrap();
            assert_eq!(
                said(&back),
                said(&reply),
                "{} through {}",
                fixture.name,
                dialect.name()
            );
            let keeps_all = [Dialect::OpenAiChat, Dialect::GeminiGenerate].contains(&dialect);
            let others = |reply: &Response| -> Vec<_> {
                let others = reply.others.iter();
                let told = others.map(|answer| (answer.index, said_in(&answer.blocks)));
                told.filter(|_| keeps_all).collect()
            };
            assert_eq!(others(&back), others(&reply), "{}", fixture.name);
            assert_eq!(
                back.usage.input_total(),
                reply.usage.input_total(),
                "{}",
                fixture.name
            );
            assert_eq!(
                back.usage.output_total(),
                reply.usage.output_total(),
                "{}",
                fixture.name
            );
        }
    }
}

/// What a reply says, apart from the order of text and calls and the borders between texts, which one of the
/// dialects cannot say.
fn said(reply: &Response) -> (String, String, Vec<String>) {
    said_in(&reply.blocks)
}

fn said_in(blocks: &[Block]) -> (String, String, Vec<String>) {
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text { text: more, .. } | Block::Refusal(more) => text.push_str(more),
            Block::Reasoning { text: more, .. } => reasoning.push_str(more),
            Block::ToolCall(call) => {
                let arguments = if call.arguments.is_empty() {
                    "{}"
                } else {
                    &call.arguments
                };
                calls.push(format!("{}({arguments})", call.name));
            }
            Block::RedactedReasoning { .. } => {}
        }
    }
    (text, reasoning, calls)
}

#[test]
fn nothing_follows_an_error() {
    for (dialect, _) in FOLDERS {
        let mut encoder = encoder(dialect, options());
        let mut out = BytesMut::new();
        encoder.push(
            &Event::Start {
                id: "x".into(),
                model: "m".into(),
            },
            &mut out,
        );
        encoder.push(
            &Event::Error(tollgate_base::Error::upstream_invalid("cut")),
            &mut out,
        );
        let before = out.len();
        encoder.push(
            &Event::Finish(tollgate_dialect::ir::FinishReason::EndOfTurn),
            &mut out,
        );
        encoder.finish(&mut out);
        assert_eq!(out.len(), before, "{}", dialect.name());
    }
}

#[test]
fn e04_a_frame_beyond_four_mebibytes_is_an_error_however_it_comes() {
    let mut framer = SseFramer::default();
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    framer.push(Bytes::from_static(b"data: "));
    let mut failed = false;
    for _ in 0..65 {
        framer.push(piece.clone());
        failed |= framer.next_frame().is_err();
    }
    assert!(failed);
    assert_eq!(framer.next_frame().unwrap_err().code(), "upstream_invalid");
}

#[test]
fn e07_a_million_tool_calls_are_an_error_with_bounded_memory() {
    let mut decoder = decoder(Dialect::OpenAiChat);
    let mut told = Vec::new();
    for i in -1..2_000_i64 {
        let chunk = format!(
            "data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{i},\"id\":\"c{i}\",\"function\":{{\"name\":\"f\",\"arguments\":\"\"}}}}]}}}}]}}\n\n"
        );
        let (frames, _) = frames(&[chunk.as_bytes()]);
        decoder.push(&frames[0], &mut told);
    }
    assert!(matches!(told.last(), Some(Event::Error(_))));
    assert!(told.len() < 1_100);
}

#[test]
fn e07_a_million_calls_of_responses_are_an_error_with_bounded_memory() {
    let mut decoder = decoder(Dialect::OpenAiResponses);
    let mut told = Vec::new();
    for i in 0..2_000 {
        let event = format!(
            "data: {{\"type\":\"response.output_item.added\",\"output_index\":{i},\"item\":{{\"type\":\"function_call\",\"call_id\":\"c{i}\",\"name\":\"f\"}}}}\n\n"
        );
        let (frames, _) = frames(&[event.as_bytes()]);
        decoder.push(&frames[0], &mut told);
    }
    assert!(matches!(told.last(), Some(Event::Error(_))));
    assert!(told.len() < 1_100);
}

#[test]
fn a_usage_chunk_that_only_the_gateway_asked_for_is_told_apart() {
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let filter = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    let with_choice = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\n";
    let mut told = Vec::new();
    for (text, expect) in [
        (filter, false),
        (with_choice, false),
        (usage, true),
        ("data: [DONE]\n\n", false),
    ] {
        let mut decoder = decoder(Dialect::OpenAiChat);
        decoder.push(&frames(&[text.as_bytes()]).0[0], &mut told);
        assert_eq!(decoder.is_usage_only(), expect, "{text}");
    }
}

proptest! {
    #[test]
    fn random_splits_of_random_lines_give_the_same_frames(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("data: x"), Just("data:"), Just(""), Just(""), Just(": c"), Just("event: e"), Just("\u{feff}"), Just("é")
            ],
            0..12,
        ),
        ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r"), Just("\r\n")], 12),
        cuts in proptest::collection::vec(0..200_usize, 0..6),
    ) {
        let mut text = String::new();
        for (line, end) in lines.iter().zip(&ends) {
            text.push_str(line);
            text.push_str(end);
        }
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut start = 0;
        for cut in cuts {
            chunks.push(&bytes[start..cut]);
            start = cut;
        }
        chunks.push(&bytes[start..]);
        prop_assert_eq!(frames(&chunks), frames(&[bytes]));
    }

    #[test]
    fn no_stream_makes_a_decoder_panic_or_break_the_law(
        texts in proptest::collection::vec("\\PC{0,30}", 0..6),
        picks in proptest::collection::vec((0..40_usize, 0..400_usize), 0..8),
    ) {
        let all = fixtures("stream");
        let mut bytes = Vec::new();
        for (i, at) in picks {
            let content = &all[i * all.len() / 40].content;
            bytes.extend_from_slice(&content[at.min(content.len())..]);
            bytes.extend_from_slice(b"\n\n");
        }
        for text in texts {
            bytes.extend_from_slice(format!("data: {text}\n\n").as_bytes());
        }
        let (all, _) = frames(&[&bytes]);
        for (dialect, _) in FOLDERS {
            // The law is watched inside of the decoder in debug builds.
            let told = events(&mut *decoder(dialect), &all);
            for target in [
                Dialect::OpenAiChat,
                Dialect::OpenAiResponses,
                Dialect::AnthropicMessages,
                Dialect::OpenAiCompletions,
                Dialect::GeminiGenerate,
            ] {
                encoded(target, options(), &told);
            }
        }
    }
}
