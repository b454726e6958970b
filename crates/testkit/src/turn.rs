//! One answer about to be written: the script applied to one request, and the frames a dialect renders it to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::ask::Ask;
use crate::scenario::{BilledUsage, Block, FaultKind, Finish, Scenario};

/// A script applied to a request: every number and text decided.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Unique part of every id of this answer.
    pub(crate) serial: u64,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) finish: Finish,
    pub(crate) stop_sequence: Option<String>,
    pub(crate) usage: BilledUsage,
    pub(crate) report: Report,
    /// The finish comes alone, where the dialect would send it with the last content.
    pub(crate) late_finish: bool,
}

/// What the answer says about its usage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    AtEnd,
    EveryChunk,
    Never,
    Instead(serde_json::Value),
}

/// One event of a stream, or a whole body: bytes that belong together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) role: Role,
    /// Pieces of text, refusal and tool arguments in it.
    pub(crate) output: u64,
    /// Pieces of thinking in it.
    pub(crate) reasoning: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Role {
    Start,
    #[default]
    Content,
    Finish,
    Usage,
    End,
    /// Not an event of the answer: a comment, a ping, scripted noise.
    Noise,
}

impl Frame {
    pub(crate) fn new(role: Role, text: String) -> Self {
        Self {
            bytes: text.into_bytes(),
            role,
            output: 0,
            reasoning: 0,
        }
    }
}

pub(crate) fn resolve(scenario: &Scenario, faults: &[FaultKind], ask: &Ask, serial: u64) -> Turn {
    let mut blocks = match &scenario.after_tools {
        Some(after) if !ask.tool_results.is_empty() => after.clone(),
        _ => scenario.reply.clone(),
    };
    if ask.omit_thinking {
        for block in &mut blocks {
            if let Block::Thinking { thinking } = block {
                thinking.clear();
            }
        }
    }
    let mut finish = scenario.finish.unwrap_or_else(|| finish_of(&blocks));
    if let (true, Some(cap)) = (scenario.honour_cap, ask.cap)
        && cut_to(&mut blocks, cap)
    {
        finish = Finish::Length;
    }
    for fault in faults {
        if let FaultKind::HugeLine { bytes } = fault {
            blocks = vec![Block::text("x".repeat(*bytes))];
        }
    }
    let (output, reasoning) = blocks
        .iter()
        .map(block_pieces)
        .fold((0, 0), |sum, add| (sum.0 + add.0, sum.1 + add.1));
    let script = &scenario.usage;
    let reasoning = script.reasoning.unwrap_or(reasoning);
    let choices = u64::from(ask.n.max(1));
    let usage = BilledUsage {
        input: script.input.unwrap_or_else(|| ask.words.max(1)),
        cache_read: script.cache_read,
        cache_write_5m: script.cache_write_5m,
        cache_write_1h: script.cache_write_1h,
        output: script
            .output
            .map_or(output, |all| all.saturating_sub(reasoning))
            * choices,
        reasoning: reasoning * choices,
    };
    let usage = match scenario.bills {
        Some(factor) => BilledUsage {
            output: ask.cap.unwrap_or(usage.output).saturating_mul(factor),
            ..usage
        },
        None => usage,
    };
    let stop_sequence = (finish == Finish::StopSequence).then(|| {
        scenario
            .stop_sequence
            .clone()
            .or_else(|| ask.stop.first().cloned())
            .unwrap_or_else(|| "STOP".to_owned())
    });
    let report = faults
        .iter()
        .fold(Report::AtEnd, |report, fault| match fault {
            FaultKind::NoUsage => Report::Never,
            FaultKind::UsageEveryChunk => Report::EveryChunk,
            FaultKind::ReportUsage { usage } => Report::Instead(usage.clone()),
            _ => report,
        });
    let created = crate::clock::unix_seconds();
    Turn {
        serial,
        created,
        model: ask.model.clone(),
        blocks,
        finish,
        stop_sequence,
        usage,
        report,
        late_finish: faults.contains(&FaultKind::LateFinish),
    }
}

fn finish_of(blocks: &[Block]) -> Finish {
    if blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall { .. } | Block::CustomCall { .. }))
    {
        Finish::Tool
    } else if blocks
        .iter()
        .any(|block| matches!(block, Block::Refusal { .. }))
    {
        Finish::Refusal
    } else {
        Finish::End
    }
}

/// Text in the pieces that a stream sends: words with the space after them. One piece is one token.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

pub(crate) fn count(text: &str) -> u64 {
    pieces(text).count() as u64
}

/// What redacted thinking stands for.
pub(crate) const REDACTED_PIECES: u64 = 8;

fn block_pieces(block: &Block) -> (u64, u64) {
    match block {
        Block::Text { text }
        | Block::Refusal { refusal: text }
        | Block::Cited { text, .. }
        | Block::CustomCall { input: text, .. } => (count(text), 0),
        Block::Thinking { thinking } => (0, count(thinking)),
        Block::RedactedThinking { .. } => (0, REDACTED_PIECES),
        Block::ToolCall { fragments, .. } => (fragments.len() as u64 + 1, 0),
    }
}

/// Cuts text beyond `cap` pieces; says whether anything was cut.
fn cut_to(blocks: &mut Vec<Block>, cap: u64) -> bool {
    let mut left = cap;
    let mut cut = false;
    blocks.retain_mut(|block| {
        let (output, reasoning) = block_pieces(block);
        let size = output + reasoning;
        if size <= left {
            left -= size;
            return true;
        }
        cut = true;
        let keep = usize::try_from(std::mem::take(&mut left)).unwrap_or(usize::MAX);
        match block {
            Block::Text { text } if keep > 0 => {
                *text = pieces(text).take(keep).collect();
                true
            }
            _ => false,
        }
    });
    cut
}

const SIGNATURE_SCHEME: &str = "testkit-1:";

/// The signature of a thinking text. A replay with another text does not verify.
pub fn sign_thinking(thinking: &str) -> String {
    let digest = Sha256::digest(thinking.as_bytes());
    STANDARD.encode([SIGNATURE_SCHEME.as_bytes(), &digest[..24]].concat())
}

/// What a replayed thinking block shows about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Valid,
    /// Signed by the testkit over another text.
    Edited,
    Foreign,
}

pub(crate) fn check_signature(thinking: &str, signature: &str) -> Signature {
    if sign_thinking(thinking) == signature {
        return Signature::Valid;
    }
    match STANDARD.decode(signature) {
        Ok(bytes) if bytes.starts_with(SIGNATURE_SCHEME.as_bytes()) => Signature::Edited,
        _ => Signature::Foreign,
    }
}
