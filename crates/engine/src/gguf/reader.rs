//! A cursor over the file's bytes that cannot run past their end, and the values of the metadata.

use crate::error::EngineError;

/// One value of the metadata. Integers of every width are widened.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    Array(Array<'a>),
}

/// A list in the metadata. Lists of lists do not occur in model files and are refused.
#[derive(Debug, Clone)]
pub enum Array<'a> {
    Texts(Vec<&'a str>),
    /// Numbers, left in the file's encoding: `kind` is GGUF's value type.
    Scalars {
        kind: u32,
        bytes: &'a [u8],
    },
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

const TEXT: u32 = 8;
const ARRAY: u32 = 9;

// === impl Array ===

impl Array<'_> {
    /// The numbers, where they are whole ones.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        let Array::Scalars { kind, bytes } = self else {
            return None;
        };
        let width = scalar_width(*kind)?;
        bytes
            .chunks_exact(width)
            .map(|chunk| match scalar(*kind, chunk)? {
                Value::Unsigned(n) => i64::try_from(n).ok(),
                Value::Signed(n) => Some(n),
                Value::Float(_) | Value::Bool(_) | Value::Text(_) | Value::Array(_) => None,
            })
            .collect()
    }

    /// The numbers, whole or not, where they are numbers.
    pub(crate) fn floats(&self) -> Option<Vec<f64>> {
        let Array::Scalars { kind, bytes } = self else {
            return None;
        };
        let width = scalar_width(*kind)?;
        bytes
            .chunks_exact(width)
            .map(|chunk| match scalar(*kind, chunk)? {
                Value::Float(x) => Some(x),
                Value::Unsigned(n) => u32::try_from(n).ok().map(f64::from),
                Value::Signed(n) => i32::try_from(n).ok().map(f64::from),
                Value::Bool(_) | Value::Text(_) | Value::Array(_) => None,
            })
            .collect()
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, EngineError> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_le_bytes(fixed(bytes)))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, EngineError> {
        let bytes = self.take(8, what)?;
        Ok(u64::from_le_bytes(fixed(bytes)))
    }

    pub(super) fn string(&mut self, what: &str) -> Result<&'a str, EngineError> {
        let length = self.u64(what)?;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes)
            .map_err(|_| EngineError::corrupt(format!("{what} is not UTF-8 text")))
    }

    pub(super) fn value(&mut self, key: &str) -> Result<Value<'a>, EngineError> {
        match self.u32(key)? {
            TEXT => Ok(Value::Text(self.string(key)?)),
            ARRAY => Ok(Value::Array(self.array(key)?)),
            kind => {
                let width = scalar_width(kind).ok_or_else(|| unknown(key, kind))?;
                let bytes = self.take(width as u64, key)?;
                scalar(kind, bytes)
                    .ok_or_else(|| EngineError::corrupt(format!("the value of {key} is unusable")))
            }
        }
    }

    fn array(&mut self, key: &str) -> Result<Array<'a>, EngineError> {
        let kind = self.u32(key)?;
        let length = self.u64(key)?;
        if kind == TEXT {
            // No capacity is set aside: every text read costs at least eight bytes of the file.
            let mut texts = Vec::new();
            for _ in 0..length {
                texts.push(self.string(key)?);
            }
            return Ok(Array::Texts(texts));
        }
        let width = scalar_width(kind).ok_or_else(|| unknown(key, kind))?;
        let bytes = self.take(length.saturating_mul(width as u64), key)?;
        Ok(Array::Scalars { kind, bytes })
    }

    fn take(&mut self, length: u64, what: &str) -> Result<&'a [u8], EngineError> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| EngineError::corrupt(format!("it ends within {what}")))?;
        self.at += taken.len();
        Ok(taken)
    }
}

fn unknown(key: &str, kind: u32) -> EngineError {
    EngineError::corrupt(format!("the key {key} has the unknown value type {kind}"))
}

fn scalar_width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// `bytes` has the width of `kind`.
fn scalar<'a>(kind: u32, bytes: &[u8]) -> Option<Value<'a>> {
    Some(match kind {
        0 => Value::Unsigned(u8::from_le_bytes(fixed(bytes)).into()),
        1 => Value::Signed(i8::from_le_bytes(fixed(bytes)).into()),
        2 => Value::Unsigned(u16::from_le_bytes(fixed(bytes)).into()),
        3 => Value::Signed(i16::from_le_bytes(fixed(bytes)).into()),
        4 => Value::Unsigned(u32::from_le_bytes(fixed(bytes)).into()),
        5 => Value::Signed(i32::from_le_bytes(fixed(bytes)).into()),
        6 => Value::Float(f32::from_le_bytes(fixed(bytes)).into()),
        7 => Value::Bool(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        10 => Value::Unsigned(u64::from_le_bytes(fixed(bytes))),
        11 => Value::Signed(i64::from_le_bytes(fixed(bytes))),
        12 => Value::Float(f64::from_le_bytes(fixed(bytes))),
        _ => return None,
    })
}

/// The first `N` bytes; zeros stand for what a shorter slice lacks, which the callers' checked widths rule out.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0))
}
