//! Any bytes as a model file: refused, or described without reading past their end. The head alone tells the same as the
//! whole, and a tokenizer in it reads any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::gguf::{Gguf, Tokenizer};
use tollgate_engine::{Description, Memory};

fuzz_target!(|data: &[u8]| {
    let Ok(file) = Gguf::parse(data) else { return };
    let _value = file.value("general.architecture");
    let _tensor = file.tensor("token_embd.weight");
    assert!(file.tensor_bytes() <= data.len() as u64);
    let described = Description::of(&file);
    assert_eq!(described.is_ok(), Memory::of(&file, data.len() as u64).is_ok());
    if let Ok(tokenizer) = Tokenizer::from_gguf(&file) {
        let text = String::from_utf8_lossy(data.last_chunk::<64>().map_or(data, |end| end));
        for token in tokenizer.encode_raw(&text) {
            assert!((token as usize) < tokenizer.vocabulary_size());
        }
    }
});
