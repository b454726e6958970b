//! The list of mistakes while it grows, and the places in the file that they point at.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::mistake::{Mistake, Place, Severity, Shown, SourceText};

#[derive(Debug)]
pub(crate) struct Findings<'a> {
    source: Option<SourceText<'a>>,
    /// Where each setting's value stands, by its path; also those that were refused.
    spans: BTreeMap<String, Range<usize>>,
    /// Parts of the file that may be secret: their lines are not shown.
    hidden: Vec<Range<usize>>,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    severity: Severity,
    spot: Spot,
    path: String,
    message: String,
    hint: String,
}

#[derive(Debug)]
enum Spot {
    /// A range of the file; `trusted` when nothing unknown stands on its line.
    Span {
        span: Range<usize>,
        trusted: bool,
    },
    /// Where the text is not TOML.
    Syntax(Range<usize>),
    WholeFile,
    Elsewhere(Place),
}

// === impl Findings ===

impl<'a> Findings<'a> {
    pub(crate) fn new(source: Option<SourceText<'a>>) -> Self {
        Self {
            source,
            spans: BTreeMap::new(),
            hidden: Vec::new(),
            found: Vec::new(),
        }
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        self.source.as_ref().map(|source| source.text)
    }

    /// Remembers where the value of a setting stands.
    pub(crate) fn locate(&mut self, path: &str, span: Range<usize>) {
        self.spans.insert(path.to_owned(), span);
    }

    /// Remembers where each element of a list stands.
    pub(crate) fn locate_elements(
        &mut self,
        path: &str,
        spans: impl Iterator<Item = Range<usize>>,
    ) {
        for (index, span) in spans.enumerate() {
            self.locate(&format!("{path}[{index}]"), span);
        }
    }

    /// Whether something was written there, be it right or wrong.
    pub(crate) fn was_written(&self, path: &str) -> bool {
        self.spans.contains_key(path)
    }

    /// Whether the value of a setting was found wrong in itself.
    pub(crate) fn is_refused(&self, path: &str) -> bool {
        self.found
            .iter()
            .any(|found| found.path == path && found.severity == Severity::Error)
    }

    /// Keeps the lines of a range from being shown.
    pub(crate) fn hide(&mut self, span: Range<usize>) {
        self.hidden.push(span);
    }

    /// Keeps the line of a setting from being shown.
    pub(crate) fn hide_setting(&mut self, path: &str) {
        if let Some(span) = self.spans.get(path) {
            self.hidden.push(span.clone());
        }
    }

    pub(crate) fn error(
        &mut self,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let spot = self.spot(path);
        self.push(Severity::Error, spot, path, message, hint);
    }

    /// A mistake of the setting `path`, in a part of its value.
    pub(crate) fn error_within(
        &mut self,
        span: Range<usize>,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let spot = Spot::Span {
            span,
            trusted: true,
        };
        self.push(Severity::Error, spot, path, message, hint);
    }

    /// A mistake of the element `index` of the list `path`.
    pub(crate) fn error_of_element(
        &mut self,
        path: &str,
        index: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let spot = self.spot(&format!("{path}[{index}]"));
        self.push(Severity::Error, spot, path, message, hint);
    }

    pub(crate) fn warning(
        &mut self,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let spot = self.spot(path);
        self.push(Severity::Warning, spot, path, message, hint);
    }

    /// A mistake at a range of the file that is no setting's value.
    pub(crate) fn error_at(
        &mut self,
        span: Range<usize>,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(
            Severity::Error,
            Spot::Span {
                span,
                trusted: false,
            },
            path,
            message,
            hint,
        );
    }

    /// A place where the text is not TOML, so that what was saved of it must not be judged as a whole.
    pub(crate) fn syntax(&mut self, span: Range<usize>, message: &str) {
        let message = format!("not valid TOML: {message}");
        self.push(Severity::Error, Spot::Syntax(span), "", message, "");
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.found
            .iter()
            .any(|found| matches!(found.spot, Spot::Syntax(_)))
    }

    /// A mistake outside the file.
    pub(crate) fn elsewhere(
        &mut self,
        severity: Severity,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(severity, Spot::Elsewhere(place), "", message, hint);
    }

    fn push(
        &mut self,
        severity: Severity,
        spot: Spot,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.found.push(Found {
            severity,
            spot,
            path: path.to_owned(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// The place of a setting, or of the nearest table around it that was written.
    fn spot(&self, path: &str) -> Spot {
        let mut at = path;
        loop {
            if let Some(span) = self.spans.get(at) {
                return Spot::Span {
                    span: span.clone(),
                    trusted: true,
                };
            }
            match at.rfind(['.', '[']) {
                Some(end) => at = at.get(..end).unwrap_or_default(),
                None if self.source.is_some() => return Spot::WholeFile,
                None => return Spot::Elsewhere(Place::Nowhere),
            }
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|found| found.severity == Severity::Error)
    }

    /// Everything found, in the order of the file, what stands elsewhere last.
    pub(crate) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.drop_echoes();
        self.found.sort_by_key(|found| match &found.spot {
            Spot::WholeFile => (0, 0),
            Spot::Span { span, .. } | Spot::Syntax(span) => (1, span.start),
            Spot::Elsewhere(_) => (2, 0),
        });
        let Self {
            source,
            hidden,
            found,
            ..
        } = self;
        found
            .into_iter()
            .map(|found| Mistake {
                severity: found.severity,
                place: place(found.spot, source.as_ref(), &hidden),
                path: found.path,
                message: found.message,
                hint: found.hint,
            })
            .collect()
    }

    /// Where the text is not TOML, drops what only follows from that: other mistakes of the same line, and
    /// all after a table header that could not be read, because their table is not known.
    fn drop_echoes(&mut self) {
        let Some(source) = &self.source else { return };
        let broken: Vec<Range<usize>> = self
            .found
            .iter()
            .filter_map(|found| match &found.spot {
                Spot::Syntax(span) => Some(line_around(source.text, span.start)),
                _ => None,
            })
            .collect();
        let lost = broken
            .iter()
            .filter(|line| {
                source
                    .text
                    .get((*line).clone())
                    .is_some_and(|text| text.trim_start().starts_with('['))
            })
            .map(|line| line.start)
            .min()
            .unwrap_or(usize::MAX);
        self.found.retain(|found| match &found.spot {
            Spot::Span { span, .. } => {
                span.start < lost && !broken.iter().any(|line| line.contains(&span.start))
            }
            _ => true,
        });
    }
}

fn place(spot: Spot, source: Option<&SourceText<'_>>, hidden: &[Range<usize>]) -> Place {
    match (spot, source) {
        (Spot::Elsewhere(place), _) => place,
        (_, None) => Place::Nowhere,
        (Spot::WholeFile, Some(source)) => source.whole(),
        (Spot::Syntax(span), Some(source)) => source.place(span.start, Shown::KeyOnly),
        (Spot::Span { span, trusted }, Some(source)) => {
            let line = line_around(source.text, span.start);
            let covered = hidden
                .iter()
                .any(|range| range.start < line.end && line.start < range.end);
            let shown = if trusted && !covered {
                Shown::Whole
            } else {
                Shown::KeyOnly
            };
            source.place(span.start, shown)
        }
    }
}

fn line_around(text: &str, offset: usize) -> Range<usize> {
    let offset = offset.min(text.len());
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let end = text
        .get(offset..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |at| offset + at);
    start..end.max(start + 1)
}
