//! Crossing the text of strings sixteen bytes at a time: a request to a language model is mostly text, with an escape
//! every dozen bytes.

use wide::u8x16;

const AT_ONCE: usize = 16;

/// What ended the plain text of a string, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Quote(usize),
    /// A control character, which no string may hold.
    Control(usize),
    /// The text ends before the string.
    Cut,
}

/// Crosses a string from `start`, behind its opening quote. `escape_len` is asked at each backslash how many bytes the
/// escape has, or why it is none.
#[inline]
pub(super) fn cross<E>(
    text: &[u8],
    start: usize,
    mut escape_len: impl FnMut(usize) -> Result<usize, E>,
) -> Result<End, E> {
    let mut at = start;
    while let Some(rest) = text.get(at..) {
        let (mut ends, mut crossed) = (ends_in(block(rest)), AT_ONCE);
        while ends != 0 {
            let n = ends.trailing_zeros() as usize;
            match rest.get(n) {
                Some(b'"') => return Ok(End::Quote(at + n)),
                Some(b'\\') => {
                    let behind = n + escape_len(at + n)?;
                    crossed = crossed.max(behind);
                    ends = if behind < AT_ONCE {
                        ends >> behind << behind
                    } else {
                        0
                    };
                }
                Some(_) => return Ok(End::Control(at + n)),
                None => return Ok(End::Cut),
            }
        }
        at += crossed;
    }
    Ok(End::Cut)
}

/// The bytes of the escape that `text` begins with; `None` where it is none. Halves of pairs are escapes.
#[inline]
pub(super) fn escape_len(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = text.get(2..6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

/// The first bytes of `rest`. Where there are too few, an end follows them.
#[inline]
fn block(rest: &[u8]) -> [u8; AT_ONCE] {
    rest.first_chunk().copied().unwrap_or_else(|| {
        let mut block = [b'"'; AT_ONCE];
        block[..rest.len()].copy_from_slice(rest);
        block
    })
}

/// A bit for each byte that ends plain text, the first one lowest.
#[inline]
fn ends_in(block: [u8; AT_ONCE]) -> u32 {
    let block = u8x16::new(block);
    let is = |byte| block.simd_eq(u8x16::splat(byte));
    let is_control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    (is_control | is(b'"') | is(b'\\')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn crossed(text: &[u8], start: usize) -> End {
        let Ok(end) = cross::<Infallible>(text, start, |at| {
            Ok(if text.get(at + 1) == Some(&b'u') {
                6
            } else {
                2
            })
        });
        end
    }

    #[test]
    fn the_end_is_found_wherever_it_stands() {
        for end in [b'"', b'\n', 0, 0x1f] {
            for length in 0..100 {
                // What comes before is plain, also where its bits look like an end's.
                let plain = [b'a', b' ', b'#', b'!', 0x7f, 0x80, 0xa2, 0xff];
                let mut text: Vec<u8> = plain.into_iter().cycle().take(length).collect();
                assert_eq!(crossed(&text, 0), End::Cut);
                text.push(end);
                text.extend([b'x'; 40]);
                let expected = if end == b'"' {
                    End::Quote(length)
                } else {
                    End::Control(length)
                };
                for start in [0, length / 2, length] {
                    assert_eq!(crossed(&text, start), expected, "{end} {length}");
                }
            }
        }
    }

    #[test]
    fn escapes_are_crossed_wherever_they_stand() {
        for escape in [r#"\""#, r"\\", r"\u0022", r"\u005c"] {
            for before in 0..40 {
                for between in 0..20 {
                    let text = [
                        &"é"[..before % 2 * 2],
                        &"x".repeat(before),
                        escape,
                        &"y".repeat(between),
                        escape,
                    ]
                    .concat();
                    assert_eq!(crossed(text.as_bytes(), 0), End::Cut, "{text}");
                    assert_eq!(
                        crossed(&text.as_bytes()[..text.len() - 1], 0),
                        End::Cut,
                        "{text}"
                    );
                    let whole = format!("{text}\"\"");
                    assert_eq!(
                        crossed(whole.as_bytes(), 0),
                        End::Quote(text.len()),
                        "{whole}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_escape_that_is_none_ends_it() {
        let text = br"plain text, \n and then \x";
        let refused = cross(
            text,
            0,
            |at| if text[at + 1] == b'n' { Ok(2) } else { Err(at) },
        );
        assert_eq!(refused, Err(24));
    }
}
