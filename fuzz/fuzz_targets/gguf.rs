//! Any bytes as a model file: refused, or described without reading past their end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::gguf::Gguf;

fuzz_target!(|data: &[u8]| {
    if let Ok(file) = Gguf::parse(data) {
        let _value = file.value("general.architecture");
        let _tensor = file.tensor("token_embd.weight");
    }
});
