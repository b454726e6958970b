//! Any vocabulary and any text: byte-level tokens and pieces give the text back, ids are the vocabulary's, and plain text
//! has no control token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::gguf::{Gguf, Tokenizer};
use tollgate_fuzz::model_file::{Kind, case};

fuzz_target!(|data: &[u8]| {
    let Some(case) = case(data) else { return };
    let file = Gguf::parse(&case.file).expect("the file is sound");
    let Ok(tokenizer) = Tokenizer::from_gguf(&file) else { return };
    let tokens = tokenizer.encode(&case.text);
    let control = tokens.iter().find(|token| **token as usize >= case.first_control);
    assert_eq!((case.kind != Kind::Words).then_some(control).flatten(), None);
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| tokenizer.token_bytes(*token)).copied().collect();
    match case.kind {
        Kind::Bytes => assert_eq!(String::from_utf8_lossy(&bytes), case.text),
        Kind::Pieces => {
            // One space may be put before the text, and before what follows a user-defined token.
            let spaceless = |text: &str| text.replace(['▁', ' '], "");
            assert_eq!(spaceless(&String::from_utf8_lossy(&bytes)), spaceless(&case.text));
        }
        Kind::Words => assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary_size())),
    }
    for token in tokenizer.encode_raw(&case.text) {
        assert!((token as usize) < tokenizer.vocabulary_size());
    }
});
