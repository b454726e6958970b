//! The published formulas from pixels to tokens, in whole numbers.
//!
//! OpenAI: <https://platform.openai.com/docs/guides/images-vision>. Anthropic:
//! <https://docs.claude.com/en/docs/build-with-claude/vision>. Gemini: <https://ai.google.dev/gemini-api/docs/tokens>.

use super::Size;

/// Side of an OpenAI patch, in pixels.
const PATCH: u64 = 32;
/// Side of an Anthropic cell, in pixels.
const CELL: u64 = 28;

fn sides(size: Size) -> (u64, u64) {
    (u64::from(size.width), u64::from(size.height))
}

/// Scaled down so that the longer side is at most `limit`.
fn fit(size: Size, limit: u32) -> Size {
    let longer = size.width.max(size.height);
    if longer <= limit {
        return size;
    }
    let scale = |side: u32| {
        let scaled = u64::from(side) * u64::from(limit) / u64::from(longer);
        u32::try_from(scaled).unwrap_or(limit).max(1)
    };
    Size {
        width: scale(size.width),
        height: scale(size.height),
    }
}

/// OpenAI's tiles: at most 2048 pixels long, then 768 on the shorter side, then cut into squares of 512.
pub(super) fn tiles(size: Size, upscale: bool) -> u64 {
    let (width, height) = sides(fit(size, 2048));
    let shorter = width.min(height);
    let scale = |side: u64| {
        if shorter > 768 || upscale {
            side * 768 / shorter
        } else {
            side
        }
    };
    let count = scale(width).div_ceil(512) * scale(height).div_ceil(512);
    count.min(MAX_TILES)
}

/// The tiles of 768 × 2048 pixels.
pub(super) const MAX_TILES: u64 = 8;

/// OpenAI's patches of 32 × 32 pixels, after scaling down to `longest` pixels and to `budget` patches.
pub(super) fn patches(size: Size, longest: u32, budget: u64) -> u64 {
    let (width, height) = sides(fit(size, longest));
    let whole = width.div_ceil(PATCH) * height.div_ceil(PATCH);
    if whole <= budget {
        return whole;
    }
    // f = sqrt(32² · budget / (width · height)), with 32 bits behind the point.
    let area = u128::from(width) * u128::from(height);
    let f = ((u128::from(PATCH * PATCH * budget) << 64) / area.max(1)).isqrt();
    // Of both sides the one that loses more when it is cut to whole patches decides: f' = f · floor(side)/side.
    let side = |pixels: u64| (u128::from(pixels) * f / u128::from(PATCH)).max(1);
    let (a, b) = (side(width), side(height));
    let floor = |patches: u128| (patches >> 32).max(1);
    // The other side keeps the proportion, in whole pixels.
    let other = |whole: u128, of: u128, side: u128| {
        let pixels = (whole * u128::from(PATCH) * side) / of;
        pixels.div_ceil(u128::from(PATCH)).max(1)
    };
    let (wide, high) = if floor(a) * b <= floor(b) * a {
        (floor(a), other(floor(a), a, b))
    } else {
        (other(floor(b), b, a), floor(b))
    };
    u64::try_from((wide * high).max(1))
        .unwrap_or(budget)
        .min(budget)
}

/// Anthropic's cells of 28 × 28 pixels, after scaling down to `longest` pixels and to `most` tokens.
pub(super) fn cells(size: Size, longest: u32, most: u64) -> u64 {
    let (width, height) = sides(fit(size, longest));
    (width.div_ceil(CELL) * height.div_ceil(CELL)).min(most)
}

/// Gemini's tiles of 768 × 768 pixels; a small image is one.
pub(super) fn gemini_tiles(size: Size) -> u64 {
    let (width, height) = sides(size);
    if width <= 384 && height <= 384 {
        return 1;
    }
    width.div_ceil(768) * height.div_ceil(768)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn the_published_examples_come_out() {
        assert_eq!(tiles(size(1024, 1024), false), 4);
        assert_eq!(tiles(size(2048, 4096), false), 6);
        assert_eq!(tiles(size(512, 512), false), 1);
        assert_eq!(tiles(size(512, 512), true), 4);
        assert_eq!(patches(size(1024, 1024), 2048, 1536), 1024);
        assert_eq!(patches(size(1800, 2400), 2048, 1536), 1452);
        assert_eq!(patches(size(1800, 2400), u32::MAX, 1536), 1452);
        assert_eq!(cells(size(1000, 1000), 1568, 1568), 36 * 36);
        assert_eq!(gemini_tiles(size(384, 384)), 1);
        assert_eq!(gemini_tiles(size(960, 540)), 2);
    }

    #[test]
    fn no_size_leaves_its_bounds() {
        let lengths = [1, 27, 33, 511, 769, 2049, 65_535, u32::MAX];
        for width in lengths {
            for height in lengths {
                let size = size(width, height);
                assert!((1..=MAX_TILES).contains(&tiles(size, true)));
                assert!((1..=1536).contains(&patches(size, 2048, 1536)));
                assert!((1..=10_000).contains(&patches(size, u32::MAX, 10_000)));
                assert!((1..=4784).contains(&cells(size, 2576, 4784)));
                assert!(gemini_tiles(size) >= 1);
            }
        }
    }
}
