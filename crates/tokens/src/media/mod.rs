//! What images, documents and audio count at one model.
//!
//! Owns which model follows which formula. A size that is known gives the published count; one that is not gives the formula's
//! maximum. What is an assumption for lack of a publication is named so in `docs/tokens.md`.

mod formula;
mod size;

pub use size::Size;

use crate::family::{bare_name, claude_version};

/// How closely an image is looked at, as the caller asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    #[default]
    Auto,
    Low,
    High,
    Original,
}

/// An image of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Unknown for an image that is only named by URL or file id.
    pub size: Option<Size>,
    pub detail: Detail,
}

/// A PDF of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub pages: Option<u32>,
}

/// The formulas of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    images: Images,
    audio_per_second: u64,
    /// Text tokens of a page of a PDF: the middle and the end of the published range.
    page_text: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Images {
    Tiles {
        base: u64,
        tile: u64,
    },
    /// Multiplier in hundredths, budgets for `high` and `original`, and which of them `auto` means.
    Patches {
        percent: u64,
        high: Budget,
        original: Budget,
        auto: Detail,
    },
    Cells {
        longest: u32,
        most: u64,
    },
    GeminiTiles,
    Flat(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Budget {
    patches: u64,
    longest: u32,
}

const STANDARD: Budget = Budget {
    patches: 1536,
    longest: 2048,
};
const HIGH: Budget = Budget {
    patches: 2500,
    longest: 2048,
};
const ORIGINAL: Budget = Budget {
    patches: 10_000,
    longest: 6000,
};
/// GPT-5.6 resizes nothing by default.
const UNLIMITED: Budget = Budget {
    patches: u64::MAX,
    longest: u32::MAX,
};

/// What an image of unknown size is taken for where nothing is published as its maximum.
const UNKNOWN_PATCHES: u64 = ORIGINAL.patches;
/// Gemini takes images up to 3072 × 3072 pixels before it scales them down.
const UNKNOWN_GEMINI_TILES: u64 = 16;
const GEMINI_TILE: u64 = 258;
/// The pages of a document that does not say: for the estimate and for the bound.
const UNKNOWN_PAGES: (u64, u64) = (10, 100);

const fn patch(percent: u64) -> Images {
    Images::Patches {
        percent,
        high: STANDARD,
        original: STANDARD,
        auto: Detail::High,
    }
}

const fn tile(base: u64, tile: u64) -> Images {
    Images::Tiles { base, tile }
}

/// OpenAI's models by the beginning of their name, the first that fits.
const OPENAI: &[(&str, Images)] = &[
    ("gpt-4o-mini", tile(2833, 5667)),
    ("gpt-4.1-mini", patch(162)),
    ("gpt-4.1-nano", patch(246)),
    ("gpt-5-mini", patch(162)),
    ("gpt-5-nano", patch(246)),
    ("gpt-5.4-mini", patch(162)),
    ("gpt-5.4-nano", patch(246)),
    ("gpt-5-codex", patch(100)),
    ("gpt-5.1-codex", patch(100)),
    ("gpt-5.2", patch(100)),
    ("gpt-5.3", patch(100)),
    (
        "gpt-5.4",
        Images::Patches {
            percent: 100,
            high: HIGH,
            original: ORIGINAL,
            auto: Detail::High,
        },
    ),
    (
        "gpt-5.5",
        Images::Patches {
            percent: 100,
            high: HIGH,
            original: ORIGINAL,
            auto: Detail::Original,
        },
    ),
    ("gpt-5.", UNRESIZED),
    ("gpt-5", tile(70, 140)),
    ("gpt-6", UNRESIZED),
    ("gpt-", tile(85, 170)),
    ("chatgpt-", tile(85, 170)),
    ("o1", tile(75, 150)),
    ("o3", tile(75, 150)),
    ("o4-mini", patch(172)),
    ("codex", patch(172)),
    ("computer-use", tile(65, 129)),
];

const UNRESIZED: Images = Images::Patches {
    percent: 100,
    high: HIGH,
    original: UNLIMITED,
    auto: Detail::Original,
};

impl Media {
    pub fn for_model(model: &str) -> Self {
        let lower = model.to_ascii_lowercase();
        let bare = bare_name(&lower);
        if bare.contains("claude") {
            return Self::claude(bare);
        }
        if bare.contains("gemini") || bare.contains("gemma") {
            let images = if bare.contains("gemini-3") {
                Images::Flat(1120)
            } else {
                Images::GeminiTiles
            };
            return Self {
                images,
                audio_per_second: 32,
                page_text: (0, 0),
            };
        }
        // GPT-5.1 is listed nowhere; it is the last of its line before the patches.
        let listed = if bare.starts_with("gpt-5.1") && !bare.contains("codex") {
            "gpt-5"
        } else {
            bare
        };
        let images = OPENAI
            .iter()
            .find(|(prefix, _)| listed.starts_with(prefix))
            .map_or(
                Images::Cells {
                    longest: 2576,
                    most: 4784,
                },
                |(_, images)| *images,
            );
        Self {
            images,
            audio_per_second: 10,
            page_text: (1500, 3000),
        }
    }

    fn claude(bare: &str) -> Self {
        let standard = match claude_version(bare) {
            Some((0..=3, _)) => true,
            Some((4, minor)) => minor < 7,
            _ => false,
        };
        let (longest, most) = if standard { (1568, 1568) } else { (2576, 4784) };
        Self {
            images: Images::Cells { longest, most },
            audio_per_second: 32,
            page_text: (2250, 3000),
        }
    }

    /// The tokens of `image`; for an unknown size the most that the formula gives.
    pub fn image(&self, image: Image) -> u64 {
        self.image_scaled(image, false)
    }

    /// What `image` counts at most, where the publication can be read in two ways.
    pub fn image_upper(&self, image: Image) -> u64 {
        self.image_scaled(image, true)
    }

    fn image_scaled(&self, image: Image, upscale: bool) -> u64 {
        match self.images {
            Images::Tiles { base, .. } if image.detail == Detail::Low => base,
            Images::Tiles { base, tile } => {
                let tiles = image
                    .size
                    .map_or(formula::MAX_TILES, |size| formula::tiles(size, upscale));
                base + tile * tiles
            }
            Images::Patches {
                percent,
                high,
                original,
                auto,
            } => {
                let asked = if image.detail == Detail::Auto {
                    auto
                } else {
                    image.detail
                };
                let budget = match asked {
                    Detail::Low => Budget {
                        patches: 256,
                        longest: 512,
                    },
                    Detail::Original => original,
                    Detail::High | Detail::Auto => high,
                };
                let patches = image
                    .size
                    .map_or(budget.patches.min(UNKNOWN_PATCHES), |size| {
                        formula::patches(size, budget.longest, budget.patches)
                    });
                patches.saturating_mul(percent).div_ceil(100)
            }
            Images::Cells { longest, most } => image
                .size
                .map_or(most, |size| formula::cells(size, longest, most)),
            Images::GeminiTiles => {
                let tiles = image
                    .size
                    .map_or(UNKNOWN_GEMINI_TILES, formula::gemini_tiles);
                tiles.saturating_mul(GEMINI_TILE)
            }
            Images::Flat(tokens) => tokens,
        }
    }

    /// The tokens of a document, estimated from its pages.
    pub fn document(&self, document: Document) -> u64 {
        let pages = document.pages.map_or(UNKNOWN_PAGES.0, u64::from);
        pages.saturating_mul(self.page_text.0.saturating_add(self.page_image()))
    }

    /// What a document counts at most, if its pages hold no more text than the published range.
    pub fn document_upper(&self, document: Document) -> u64 {
        let pages = document.pages.map_or(UNKNOWN_PAGES.1, u64::from);
        pages.saturating_mul(self.page_text.1.saturating_add(self.page_image()))
    }

    /// A page counts as one image of a printed sheet's shape; Gemini counts one tile for it.
    fn page_image(&self) -> u64 {
        match self.images {
            Images::GeminiTiles | Images::Flat(_) => GEMINI_TILE,
            _ => self.image(Image {
                size: Some(Size {
                    width: 1240,
                    height: 1754,
                }),
                detail: Detail::High,
            }),
        }
    }

    /// The tokens of so much audio.
    pub fn audio(&self, milliseconds: u64) -> u64 {
        milliseconds
            .saturating_mul(self.audio_per_second)
            .div_ceil(1000)
    }
}

#[cfg(test)]
mod tests;
