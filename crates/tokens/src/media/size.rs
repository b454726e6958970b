//! Reads the width and height of an image from its first bytes.
//!
//! PNG, JPEG, GIF and WebP, the formats that every provider takes. It looks only at the fields that say the size, decodes
//! nothing, and answers nothing for what it cannot read. A few kilobytes are enough but for a JPEG with much metadata.

/// Width and height in pixels, both above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    /// The size of the image that begins with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (width, height) = png(bytes)
            .or_else(|| gif(bytes))
            .or_else(|| webp(bytes))
            .or_else(|| jpeg(bytes))?;
        (width > 0 && height > 0).then_some(Self { width, height })
    }
}

/// The chunk IHDR comes first: <https://www.w3.org/TR/png-3/#11IHDR>.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    if rest.get(4..8)? != b"IHDR" {
        return None;
    }
    let number = |at: usize| Some(u32::from_be_bytes(*rest.get(at..)?.first_chunk()?));
    Some((number(8)?, number(12)?))
}

/// The logical screen: <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>, section 18.
fn gif(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes
        .strip_prefix(b"GIF89a")
        .or_else(|| bytes.strip_prefix(b"GIF87a"))?;
    Some((le16(rest, 0)?, le16(rest, 2)?))
}

/// The three forms of the first chunk: <https://www.rfc-editor.org/rfc/rfc9649>, section 2.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    if bytes.get(8..12)? != b"WEBP" {
        return None;
    }
    let rest = bytes.strip_prefix(b"RIFF")?;
    let data = rest.get(16..)?;
    match rest.get(8..12)? {
        b"VP8X" => Some((le24(data, 4)? + 1, le24(data, 7)? + 1)),
        b"VP8L" => {
            let bits = u32::from_le_bytes(*data.get(1..)?.first_chunk()?);
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        }
        b"VP8 " => Some((le16(data, 6)? & 0x3FFF, le16(data, 8)? & 0x3FFF)),
        _ => None,
    }
}

/// The first start-of-frame segment: ITU T.81, B.2.2.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(b"\xFF\xD8")?;
    loop {
        let marker = *rest.strip_prefix(b"\xFF")?.first()?;
        match marker {
            // A marker may be preceded by fill bytes.
            0xFF => rest = rest.get(1..)?,
            0x01 | 0xD0..=0xD7 => rest = rest.get(2..)?,
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Some((be16(rest, 7)?, be16(rest, 5)?));
            }
            // The picture's data begins without a frame, or it ends.
            0xD9 | 0xDA => return None,
            _ => {
                let length = usize::try_from(be16(rest, 2)?).ok()?;
                rest = rest.get(length.max(2) + 2..)?;
            }
        }
    }
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    let [low, middle, high] = *bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes([low, middle, high, 0]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let mut vp8x = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
        vp8x.extend([0x7f, 0x02, 0, 0xdf, 0x01, 0]);
        let bits: u32 = 0x27F | 0x1DF << 14;
        let mut vp8l = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f".to_vec();
        vp8l.extend(bits.to_le_bytes());
        let mut vp8 = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a".to_vec();
        vp8.extend([0x80, 0x02, 0xe0, 0x01]);
        vec![
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0".to_vec(),
            b"GIF89a\x80\x02\xe0\x01\xf7\0\0".to_vec(),
            b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x11\x08\x01\xe0\x02\x80\x03".to_vec(),
            vp8x,
            vp8l,
            vp8,
        ]
    }

    #[test]
    fn every_format_says_its_size() {
        for sample in samples() {
            let size = Size {
                width: 640,
                height: 480,
            };
            assert_eq!(Size::of(&sample), Some(size), "{sample:x?}");
        }
    }

    #[test]
    fn an_image_cut_short_or_of_no_size_has_none() {
        for sample in samples() {
            for end in 0..12 {
                assert_eq!(Size::of(&sample[..end.min(sample.len() / 2)]), None);
            }
        }
        assert_eq!(Size::of(b"GIF89a\0\0\0\0"), None);
        assert_eq!(Size::of(b"\xff\xd8\xff\xda\0\0"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(which in 0usize..6, at in 0usize..40, junk in any::<Vec<u8>>()) {
            let mut bytes = samples().remove(which);
            bytes.truncate(at);
            bytes.extend(junk);
            if let Some(size) = Size::of(&bytes) {
                prop_assert!(size.width > 0 && size.height > 0);
            }
        }
    }
}
