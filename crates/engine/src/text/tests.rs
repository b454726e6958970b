use proptest::prelude::*;

use super::*;

/// Both behind each other, as an answer has them.
#[derive(Default)]
struct AnswerText {
    characters: Characters,
    stops: Stops,
}

impl AnswerText {
    fn new(stops: Vec<String>) -> AnswerText {
        AnswerText {
            characters: Characters::default(),
            stops: Stops::new(stops),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Released {
        let text = self.characters.push(bytes);
        self.stops.push(&text)
    }

    fn finish(&mut self) -> Released {
        let text = self.characters.finish();
        match self.stops.push(&text) {
            Released::Text(text) => Released::Text(text + &self.stops.flush()),
            stopped @ Released::Stopped(..) => stopped,
        }
    }
}

/// The answer of a run: what was let out, and which stop sequence ended it.
fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>, stops: &[&str]) -> (String, Option<String>) {
    let mut text = AnswerText::new(stops.iter().map(|s| (*s).to_owned()).collect());
    let mut out = String::new();
    for piece in pieces {
        match text.push(piece) {
            Released::Text(more) => out += &more,
            Released::Stopped(more, stop) => return (out + &more, Some(stop)),
        }
    }
    match text.finish() {
        Released::Text(more) => (out + &more, None),
        Released::Stopped(more, stop) => (out + &more, Some(stop)),
    }
}

/// The definition: character after character, until the text ends with a stop sequence.
fn defined(bytes: &[u8], stops: &[&str]) -> (String, Option<String>) {
    let mut seen = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        seen.push(character);
        let hit = stops
            .iter()
            .filter(|stop| seen.ends_with(**stop))
            .max_by_key(|stop| stop.len());
        if let Some(stop) = hit {
            seen.truncate(seen.len() - stop.len());
            return (seen, Some((*stop).to_owned()));
        }
    }
    (seen, None)
}

/// All ways to cut a short text in three.
fn every_split(bytes: &[u8], check: impl Fn([&[u8]; 3])) {
    for i in 0..=bytes.len() {
        for j in i..=bytes.len() {
            check([&bytes[..i], &bytes[i..j], &bytes[j..]]);
        }
    }
}

#[test]
fn stop_sequences_are_found_at_every_split() {
    let cases: [(&str, &[&str]); 10] = [
        ("one two three", &["two"]),
        ("one two three", &["wo t", "o thr", "three"]),
        ("ababab", &["abab", "bab"]),
        ("aaaa", &["aaa"]),
        ("abcabd", &["abd"]),
        ("abc", &["c", "bc", "abc"]),
        ("abcd", &["abcd", "bc"]),
        ("grüße 🙂 ende", &["🙂", "ende"]),
        ("naïve\n\n### x", &["\n\n###"]),
        ("no stop at al", &["all", "xyz"]),
    ];
    for (text, stops) in cases {
        every_split(text.as_bytes(), |pieces| {
            assert_eq!(
                run(pieces.into_iter(), stops),
                defined(text.as_bytes(), stops),
                "{pieces:?} {stops:?}"
            );
        });
    }
    assert_eq!(
        defined(b"one two three", &["two"]),
        ("one ".to_owned(), Some("two".to_owned()))
    );
}

#[test]
fn text_is_held_back_only_while_it_may_be_a_stop() {
    let mut text = AnswerText::new(vec!["END".to_owned()]);
    assert_eq!(text.push(b"x E"), Released::Text("x ".to_owned()));
    assert_eq!(text.push(b"N"), Released::Text(String::new()));
    assert_eq!(text.push(b"d EN"), Released::Text("ENd ".to_owned()));
    assert_eq!(text.finish(), Released::Text("EN".to_owned()));
}

#[test]
fn unfinished_and_wrong_bytes_become_replacement_characters() {
    assert_eq!(
        run([&b"a\xe2\x82"[..], &b"b"[..]].into_iter(), &[]).0,
        "a\u{fffd}b"
    );
    assert_eq!(run([&b"a\xf0\x9f"[..]].into_iter(), &[]).0, "a\u{fffd}");
    assert_eq!(
        run([&b"\xff\xfe"[..], &b"\x80z"[..]].into_iter(), &[]).0,
        "\u{fffd}\u{fffd}\u{fffd}z"
    );
    // Of a surrogate's bytes the first cannot be continued this way: each stands alone.
    assert_eq!(
        run([&b"\xed"[..], &b"\xa0\x80"[..]].into_iter(), &[]).0,
        "\u{fffd}\u{fffd}\u{fffd}"
    );
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_are_the_lossy_text(pieces in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..4),
            "\\PC{0,3}".prop_map(String::into_bytes),
            proptest::sample::select(vec![&b"\xf0\x9f"[..], b"\x99\x82", b"\xe2", b"\x82\xac"]).prop_map(<[u8]>::to_vec),
        ], 0..24)) {
        let whole = pieces.concat();
        let (text, stop) = run(pieces.iter().map(Vec::as_slice), &[]);
        prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        prop_assert_eq!(stop, None);
    }

    #[test]
    fn stops_act_alike_in_any_pieces(pieces in proptest::collection::vec("[abcé]{0,3}", 0..16),
                                     stops in proptest::collection::vec("[abcé]{1,4}", 0..4)) {
        let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
        let whole = pieces.concat();
        prop_assert_eq!(run(pieces.iter().map(String::as_bytes), &stops), defined(whole.as_bytes(), &stops));
    }
}
