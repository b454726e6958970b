//! From frames and faults to a plan: what is written to the socket, when, and what has been produced by then.
//!
//! A plan is data, so that a static answer is built once and sent a million times.

use std::fmt::Write as _;
use std::time::Duration;

use crate::route::Shape;
use crate::scenario::{BilledUsage, FaultKind};
use crate::turn::{Frame, Role};

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) status: u16,
    pub(crate) steps: Vec<Step>,
    /// The script ends the connection early: the end is a fault, not a completion.
    pub(crate) breaks: bool,
    /// Usage of the whole answer; `None` when nothing is billed.
    pub(crate) usage: Option<BilledUsage>,
    /// A body without a stream is billed whole as soon as it begins.
    pub(crate) billed_whole: bool,
}

#[derive(Debug)]
pub(crate) enum Step {
    Write(Burst),
    Pause(Duration),
    /// Wait for the peer to leave.
    Hang,
    Close,
    Reset,
}

/// Bytes of one write, and what stands produced once each mark's offset is out.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    pub(crate) bytes: Vec<u8>,
    pub(crate) marks: Vec<Mark>,
}

/// Totals since the start of the answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    pub(crate) end: usize,
    pub(crate) events: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

/// What an answer is made of before framing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) shape: Shape,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content_type: String,
    pub(crate) frames: Vec<Frame>,
    pub(crate) is_stream: bool,
    pub(crate) usage: Option<BilledUsage>,
    pub(crate) closes: bool,
}

impl Default for Answer {
    /// An empty JSON answer.
    fn default() -> Self {
        Self {
            shape: Shape::Chat,
            status: 200,
            headers: Vec::new(),
            content_type: "application/json".to_owned(),
            frames: Vec::new(),
            is_stream: false,
            usage: None,
            closes: false,
        }
    }
}

impl Answer {
    /// Applies the faults and frames the bytes.
    pub(crate) fn plan(mut self, faults: &[FaultKind]) -> Plan {
        for fault in faults {
            self.edit(fault);
        }
        if self.shape == Shape::Bedrock && self.is_stream {
            self.frame_events();
        }
        let timing = Timing::of(faults);
        let mut writer = Writer::new(&timing, &self);
        if let Some(ms) = timing.head_delay {
            writer.steps.push(Step::Pause(ms));
        }
        if timing.hang_before_head {
            writer.steps.push(Step::Hang);
            return writer.finish(&self, true);
        }
        let framing = match () {
            () if self.is_stream || timing.bad_framing => Framing::Chunked,
            () => Framing::Length(self.frames.iter().map(|frame| frame.bytes.len()).sum()),
        };
        writer.head(&self, &framing);
        if let Some(bytes) = timing.cut_in_head {
            writer.burst.bytes.truncate(bytes);
            return writer.break_off(&self, Step::Close);
        }
        writer.body(&self, &framing)
    }

    fn edit(&mut self, fault: &FaultKind) {
        match fault {
            FaultKind::ErrorAfterEvents { events } => {
                self.fail_after(*events);
            }
            FaultKind::Html => {
                "text/html; charset=utf-8".clone_into(&mut self.content_type);
                let page = "<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>\n";
                self.frames = vec![Frame::new(Role::Noise, page.to_owned())];
                self.is_stream = false;
            }
            FaultKind::Malformed => self.spoil(|bytes| {
                let half = bytes.len() / 2;
                bytes.truncate(half);
            }),
            FaultKind::InvalidUtf8 => self.spoil(|bytes| {
                let place = bytes
                    .windows(3)
                    .rposition(|three| three == b"\":\"")
                    .map_or(bytes.len(), |at| at + 3);
                // The first two bytes of "€": the third never comes.
                bytes.splice(place..place, [0xE2, 0x82]);
            }),
            FaultKind::NoDone => self.frames.retain(|frame| frame.role != Role::End),
            FaultKind::NoFinish => self.frames.retain(|frame| frame.role != Role::Finish),
            FaultKind::EmptyBody => self.frames.clear(),
            FaultKind::ContentType { value } => self.content_type.clone_from(value),
            FaultKind::ExtraHeaders { headers } => self.headers.extend(headers.iter().cloned()),
            FaultKind::InsertRaw { after_events, raw } => {
                let at = self.event_position(*after_events);
                self.frames.insert(at, Frame::new(Role::Noise, raw.clone()));
            }
            // A JSON array has no comments, and Google's SDKs take none in its stream.
            FaultKind::Comments
                if self.is_stream && !matches!(self.shape, Shape::Gemini | Shape::GeminiArray) =>
            {
                let frames = std::mem::take(&mut self.frames);
                for frame in frames {
                    self.frames
                        .push(Frame::new(Role::Noise, ": keep-alive\n\n".to_owned()));
                    if self.shape == Shape::Messages && frame.role == Role::Content {
                        self.frames.push(crate::anthropic::render::ping());
                    }
                    self.frames.push(frame);
                }
            }
            FaultKind::Crlf if self.is_stream => {
                for frame in &mut self.frames {
                    // Newlines inside JSON strings are escaped, so every LF here ends a line.
                    let text = String::from_utf8_lossy(&frame.bytes)
                        .replace("\r\n", "\n")
                        .replace('\n', "\r\n");
                    frame.bytes = text.into_bytes();
                }
            }
            FaultKind::Redirect { status, location } => {
                self.status = *status;
                self.headers.push(("location".to_owned(), location.clone()));
                self.frames.clear();
                self.is_stream = false;
                self.usage = None;
            }
            FaultKind::EndAfterBytes { bytes } => {
                let mut left = *bytes;
                for frame in &mut self.frames {
                    frame.bytes.truncate(left);
                    left -= frame.bytes.len();
                }
                self.frames.retain(|frame| !frame.bytes.is_empty());
            }
            FaultKind::CloseIdle => self.closes = true,
            _ => {}
        }
    }

    /// Ends a stream with the vendor's error event; without a stream the error is the whole body.
    fn fail_after(&mut self, events: usize) {
        if self.is_stream {
            self.keep_events(events);
        }
        let sequence = self.frames.len();
        let error = match self.shape {
            Shape::Responses if self.is_stream => crate::responses::render::error_event(sequence),
            Shape::Chat | Shape::Responses => crate::openai::errors::event(),
            Shape::Messages | Shape::Bedrock => crate::anthropic::errors::event(),
            Shape::Gemini => format!("data: {}\r\n\r\n", crate::gemini::errors::mid_stream()),
            Shape::GeminiArray => {
                let opening = if sequence == 0 { "[" } else { ",\r\n" };
                format!("{opening}{}]\n", crate::gemini::errors::mid_stream())
            }
        };
        if self.is_stream {
            self.frames.push(Frame::new(Role::End, error));
            return;
        }
        let json = error
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .unwrap_or_default()
            .to_owned();
        self.frames = vec![Frame::new(Role::Content, json)];
    }

    /// Puts each event of a Messages stream into an AWS frame. Pings and comments have no place there.
    fn frame_events(&mut self) {
        self.frames.retain(|frame| frame.role != Role::Noise);
        for frame in &mut self.frames {
            let text = String::from_utf8_lossy(&frame.bytes).into_owned();
            let is_error = text.starts_with("event: error");
            let Some(json) = text.lines().find_map(|line| line.strip_prefix("data: ")) else {
                continue;
            };
            frame.bytes = if is_error {
                crate::eventstream::exception("modelStreamErrorException", "Overloaded")
            } else {
                crate::eventstream::chunk(json)
            };
        }
    }

    /// Index of the first frame after `events` events.
    fn event_position(&self, events: usize) -> usize {
        let ends = self
            .frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| frame.role != Role::Noise)
            .map(|(index, _)| index);
        match events {
            0 => 0,
            n => ends.take(n).last().map_or(0, |index| index + 1),
        }
    }

    fn keep_events(&mut self, events: usize) {
        let at = self.event_position(events);
        self.frames.truncate(at);
    }

    /// Damages the payload of the third event, or the only body, and keeps the blank line behind it.
    fn spoil(&mut self, damage: impl FnOnce(&mut Vec<u8>)) {
        let content: Vec<usize> = (0..self.frames.len())
            .filter(|index| self.frames[*index].role == Role::Content)
            .collect();
        let Some(index) = content.get(1).or(content.first()) else {
            return;
        };
        let frame = &mut self.frames[*index];
        let tail: Vec<u8> = frame
            .bytes
            .iter()
            .rev()
            .take_while(|byte| matches!(**byte, b'\n' | b'\r'))
            .copied()
            .collect();
        frame.bytes.truncate(frame.bytes.len() - tail.len());
        damage(&mut frame.bytes);
        frame.bytes.extend(tail.iter().rev());
    }
}

/// The faults that act on bytes and time, gathered.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fault that is on or off"
)]
struct Timing {
    head_delay: Option<Duration>,
    event_delay: Option<Duration>,
    hang_before_head: bool,
    hang_after_events: Option<usize>,
    cut_in_head: Option<usize>,
    cut_after_bytes: Option<(usize, bool)>,
    cut_after_events: Option<usize>,
    bytewise: bool,
    separate: bool,
    bad_framing: bool,
}

impl Timing {
    fn of(faults: &[FaultKind]) -> Self {
        let mut timing = Self::default();
        for fault in faults {
            match fault {
                FaultKind::DelayHead { ms } => timing.head_delay = Some(Duration::from_millis(*ms)),
                FaultKind::DelayEvents { ms } => {
                    timing.event_delay = Some(Duration::from_millis(*ms));
                }
                FaultKind::HangBeforeHead => timing.hang_before_head = true,
                FaultKind::HangAfterEvents { events } => timing.hang_after_events = Some(*events),
                FaultKind::CutInHead { bytes } => timing.cut_in_head = Some(*bytes),
                FaultKind::CutAfterBytes { bytes, reset } => {
                    timing.cut_after_bytes = Some((*bytes, *reset));
                }
                FaultKind::CutAfterEvents { events } => timing.cut_after_events = Some(*events),
                FaultKind::ByteWise => timing.bytewise = true,
                FaultKind::SeparateWrites => timing.separate = true,
                FaultKind::BadFraming => timing.bad_framing = true,
                _ => {}
            }
        }
        timing
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

/// Collects bytes into bursts and bursts into steps.
struct Writer<'a> {
    timing: &'a Timing,
    steps: Vec<Step>,
    burst: Burst,
    totals: Mark,
    /// Scale from scripted pieces to billed tokens.
    pieces: (u64, u64),
    usage: BilledUsage,
    produced: (u64, u64),
}

impl<'a> Writer<'a> {
    fn new(timing: &'a Timing, answer: &Answer) -> Self {
        let pieces = answer.frames.iter().fold((0, 0), |sum, frame| {
            (sum.0 + frame.output, sum.1 + frame.reasoning)
        });
        Self {
            timing,
            steps: Vec::new(),
            burst: Burst::default(),
            totals: Mark::default(),
            pieces,
            usage: answer.usage.unwrap_or_default(),
            produced: (0, 0),
        }
    }

    fn head(&mut self, answer: &Answer, framing: &Framing) {
        let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
        let mut line = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
        line("content-type", &answer.content_type);
        for (name, value) in &answer.headers {
            line(name, value);
        }
        match framing {
            Framing::Length(len) => line("content-length", &len.to_string()),
            Framing::Chunked => line("transfer-encoding", "chunked"),
        }
        head.push_str("\r\n");
        self.burst.bytes.extend_from_slice(head.as_bytes());
    }

    fn body(mut self, answer: &Answer, framing: &Framing) -> Plan {
        let mut n_events = 0;
        let mut n_bytes = 0;
        for (index, frame) in answer.frames.iter().enumerate() {
            if self.timing.hang_after_events == Some(n_events) && answer.is_stream {
                return self.break_off(answer, Step::Hang);
            }
            if self.timing.cut_after_events == Some(n_events) && answer.is_stream {
                return self.break_off(answer, Step::Close);
            }
            if let Some((limit, reset)) = self.timing.cut_after_bytes
                && n_bytes + frame.bytes.len() > limit
            {
                self.partial(frame, limit - n_bytes, framing);
                return self.break_off(answer, if reset { Step::Reset } else { Step::Close });
            }
            if !answer.is_stream
                && (self.timing.cut_after_events.is_some()
                    || self.timing.hang_after_events.is_some())
            {
                let wanted = if self.timing.hang_after_events == Some(0) {
                    0
                } else {
                    frame.bytes.len() / 2
                };
                self.partial(frame, wanted, framing);
                let step = if self.timing.hang_after_events.is_some() {
                    Step::Hang
                } else {
                    Step::Close
                };
                return self.break_off(answer, step);
            }
            if frame.role != Role::Noise {
                n_events += 1;
                if let (Some(delay), true) = (self.timing.event_delay, index > 0) {
                    self.flush();
                    self.steps.push(Step::Pause(delay));
                }
            }
            n_bytes += frame.bytes.len();
            self.frame(frame, framing);
            if self.timing.bad_framing {
                self.burst.bytes.extend_from_slice(b"zz\r\n");
                return self.break_off(answer, Step::Close);
            }
        }
        if let Framing::Chunked = framing {
            self.burst.bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush();
        if answer.closes {
            self.steps.push(Step::Close);
        }
        self.finish(answer, false)
    }

    fn frame(&mut self, frame: &Frame, framing: &Framing) {
        if let Framing::Chunked = framing {
            let mut size = String::new();
            write!(size, "{:x}\r\n", frame.bytes.len()).unwrap_or_default();
            self.burst.bytes.extend_from_slice(size.as_bytes());
        }
        self.burst.bytes.extend_from_slice(&frame.bytes);
        if let Framing::Chunked = framing {
            self.burst.bytes.extend_from_slice(b"\r\n");
        }
        self.produced = (
            self.produced.0 + frame.output,
            self.produced.1 + frame.reasoning,
        );
        self.totals.events += u64::from(frame.role != Role::Noise);
        self.totals.output = scaled(self.produced.0, self.pieces.0, self.usage.output);
        self.totals.reasoning = scaled(self.produced.1, self.pieces.1, self.usage.reasoning);
        self.burst.marks.push(Mark {
            end: self.burst.bytes.len(),
            ..self.totals
        });
        if self.timing.separate {
            self.flush();
        }
    }

    /// The first `len` bytes of a frame, framed as if the rest were to follow.
    fn partial(&mut self, frame: &Frame, len: usize, framing: &Framing) {
        if len == 0 {
            return;
        }
        if let Framing::Chunked = framing {
            self.burst
                .bytes
                .extend_from_slice(format!("{:x}\r\n", frame.bytes.len()).as_bytes());
        }
        self.burst
            .bytes
            .extend_from_slice(&frame.bytes[..len.min(frame.bytes.len())]);
    }

    fn flush(&mut self) {
        let burst = std::mem::take(&mut self.burst);
        if burst.bytes.is_empty() {
            return;
        }
        if !self.timing.bytewise {
            self.steps.push(Step::Write(burst));
            return;
        }
        let mut marks = burst.marks.into_iter().peekable();
        for (index, byte) in burst.bytes.into_iter().enumerate() {
            let mark = marks
                .next_if(|mark| mark.end == index + 1)
                .map(|mark| Mark { end: 1, ..mark });
            self.steps.push(Step::Write(Burst {
                bytes: vec![byte],
                marks: mark.into_iter().collect(),
            }));
        }
    }

    fn break_off(mut self, answer: &Answer, step: Step) -> Plan {
        self.flush();
        self.steps.push(step);
        self.finish(answer, true)
    }

    fn finish(self, answer: &Answer, breaks: bool) -> Plan {
        let billed_whole = !answer.is_stream;
        Plan {
            status: answer.status,
            steps: self.steps,
            breaks,
            usage: answer.usage,
            billed_whole,
        }
    }
}

/// Billed tokens after `done` of `all` pieces, rounded up: a token begun is a token billed.
fn scaled(done: u64, all: u64, tokens: u64) -> u64 {
    if all == 0 {
        0
    } else {
        (tokens * done).div_ceil(all)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        300..=399 => "Redirect",
        _ => "Error",
    }
}
