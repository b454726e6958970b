//! Any bytes as a model file that is loaded whole and run: an error that a caller can be told, or an answer. Never is it
//! the engine's own fault, and never costs it more than the file is large (the limit of memory says so).
//!
//! Files are continued by the bytes of a pattern, for then the fuzzer need only make the head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::{ErrorKind, fuzzing::run_model};

/// Room for the tensors of a small network.
const ROOM: usize = 48 << 10;

fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    // Halves and floats of these bytes are small numbers.
    file.extend([0x11, 0x2c, 0x3b, 0x3c].iter().cycle().take(ROOM));
    if let Err(error) = run_model(file, "Hello, wörld! 12 <|im_end|>") {
        assert_ne!(error.kind, ErrorKind::Internal, "{error}");
        assert!(!error.message.is_empty());
    }
});
