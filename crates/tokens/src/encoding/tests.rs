use proptest::prelude::*;

use super::*;

const ENCODINGS: [Encoding; 2] = [Encoding::O200k, Encoding::Cl100k];

fn ranks(encoding: Encoding, text: &str) -> Vec<u32> {
    encoding
        .pieces(text)
        .flat_map(|piece| encoding.vocabulary().ranks(piece))
        .collect()
}

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../tests/data/tokenizer_test_vectors.json")).unwrap()
}

#[test]
fn every_published_vector_gives_the_ids_that_tiktoken_gives() {
    let vectors = vectors();
    let strings = vectors["strings"].as_array().unwrap();
    assert_eq!(strings.len(), 16);
    for vector in strings {
        let text = vector["text"].as_str().unwrap();
        for encoding in ENCODINGS {
            let expected: Vec<u32> =
                serde_json::from_value(vector[encoding.name()].clone()).unwrap();
            assert_eq!(
                ranks(encoding, text),
                expected,
                "{} {text:?}",
                encoding.name()
            );
            assert_eq!(encoding.count(text), expected.len() as u64, "{text:?}");
        }
    }
}

#[test]
fn a_special_token_in_a_text_is_ordinary_text() {
    assert!(Encoding::O200k.count("<|endoftext|>") > 1);
    assert!(Encoding::Cl100k.count("<|im_start|>") > 1);
}

/// Each join of a merge puts at most two pairs into the heap, so its steps grow with n·log n; these would take minutes if
/// they grew with n².
#[test]
fn long_runs_count_as_tiktoken_counts_them() {
    for (unit, o200k, cl100k) in [("a", 12_800, 12_800), (" ", 800, 800), ("\n", 6_400, 3_200)] {
        let text = unit.repeat(102_400);
        assert_eq!(Encoding::O200k.count(&text), o200k, "{unit:?}");
        assert_eq!(Encoding::Cl100k.count(&text), cl100k, "{unit:?}");
    }
}

#[test]
fn the_vocabularies_are_whole() {
    assert_eq!(ranks(Encoding::O200k, "\u{0}").len(), 1);
    for byte in 0..=255u8 {
        for encoding in ENCODINGS {
            assert_eq!(encoding.vocabulary().ranks(&[byte]).len(), 1);
        }
    }
}

/// Texts in which every kind of character that the patterns tell apart stands often beside every other.
fn texts() -> impl Strategy<Value = String> {
    let alphabet = "aZé Aǅʰの的\u{301}1²Ⅷ \u{3000}\t\r\n'sſlL!/—🙂。\u{200d}";
    let letters: Vec<char> = alphabet.chars().collect();
    let mixed = prop::collection::vec(prop::sample::select(letters), 0..300)
        .prop_map(|letters| letters.into_iter().collect());
    prop_oneof![3 => mixed, 1 => any::<String>()]
}

proptest! {
    #[test]
    fn pieces_make_up_the_text_and_none_is_empty(text in texts()) {
        for encoding in ENCODINGS {
            let pieces: Vec<&[u8]> = encoding.pieces(&text).collect();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(pieces.concat(), text.as_bytes());
        }
    }

    #[test]
    fn a_text_has_at_most_as_many_tokens_as_bytes(text in texts()) {
        for encoding in ENCODINGS {
            prop_assert!(encoding.count(&text) <= text.len() as u64);
        }
    }

    #[test]
    fn short_and_long_merging_agree(text in "[a-zA-Z的é ]{0,90}") {
        for encoding in ENCODINGS {
            for piece in encoding.pieces(&text) {
                prop_assert_eq!(encoding.vocabulary().count(piece), encoding.vocabulary().ranks(piece).len());
            }
        }
    }

    #[test]
    fn the_parts_of_a_safe_cut_count_like_the_whole(left in texts(), right in texts()) {
        for encoding in ENCODINGS {
            let Some(cut) = Encoding::last_safe_cut(&left) else { continue };
            let whole = format!("{left}{right}");
            let (before, after) = whole.split_at(cut);
            prop_assert_eq!(encoding.count(before) + encoding.count(after), encoding.count(&whole));
        }
    }
}
