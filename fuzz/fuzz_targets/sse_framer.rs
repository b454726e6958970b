//! However a stream is cut, the frames are the same, and every byte is in one of them. The first byte says
//! how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    let (whole, rest) = tollgate_fuzz::frames([stream]);
    let (split, split_rest) = tollgate_fuzz::frames(stream.chunks(usize::from(*step).max(1)));
    assert_eq!(whole, split);
    assert_eq!(rest, split_rest);
    let mut joined: Vec<u8> = whole.iter().flat_map(|frame| frame.raw.to_vec()).collect();
    joined.extend_from_slice(&rest);
    assert_eq!(joined, stream);
});
