//! Reads a GGUF file: its metadata and where its tensors lie. Everything borrows from the bytes given.
//!
//! Owns the file format, version 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Every length
//! and offset is checked against the bytes there are, and nothing is allocated that the file's own size does not
//! justify, so any bytes at all give a file or an error. It does not know what the keys and tensors mean.

mod reader;

use std::collections::BTreeMap;
use std::ops::Range;

/// How numbers are stored.
pub use tollgate_kernels::Format as Encoding;

use self::reader::Reader;
pub use self::reader::{Array, Value};
use crate::error::EngineError;
pub use crate::tokenizer::Tokenizer;

const MAGIC: u32 = u32::from_le_bytes(*b"GGUF");
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 16;

/// A model file, taken apart.
#[derive(Debug)]
pub struct Gguf<'a> {
    metadata: BTreeMap<&'a str, Value<'a>>,
    tensors: BTreeMap<&'a str, Tensor<'a>>,
}

/// One tensor, still in the file's encoding.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    pub name: &'a str,
    /// Innermost first: a matrix of `rows` x `columns` has `[columns, rows]`.
    pub dimensions: Vec<usize>,
    pub encoding: Encoding,
    /// Where it lies in the file.
    pub range: Range<usize>,
    /// Empty where only the head of the file was read.
    pub data: &'a [u8],
}

struct Placed<'a> {
    tensor: Tensor<'a>,
    offset: u64,
}

// === impl Gguf ===

impl<'a> Gguf<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Gguf<'a>, EngineError> {
        Gguf::parse_head(bytes, bytes.len() as u64)
    }

    /// Reads a file of `file_size` bytes of which at least the part before the tensors' data is given.
    pub fn parse_head(bytes: &'a [u8], file_size: u64) -> Result<Gguf<'a>, EngineError> {
        let mut reader = Reader::new(bytes);
        if reader.u32("the magic number")? != MAGIC {
            return Err(EngineError::corrupt("it does not begin with GGUF"));
        }
        let version = reader.u32("the version")?;
        if !matches!(version, 2 | 3) {
            return Err(EngineError::unsupported_model(format!(
                "GGUF version {version}; versions 2 and 3 are read"
            )));
        }
        let n_tensors = reader.u64("the number of tensors")?;
        let n_keys = reader.u64("the number of keys")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..n_keys {
            let key = reader.string("a key")?;
            let value = reader.value(key)?;
            if metadata.insert(key, value).is_some() {
                return Err(EngineError::corrupt(format!(
                    "the key {key} is there twice"
                )));
            }
        }
        let mut placed = Vec::new();
        for _ in 0..n_tensors {
            placed.push(read_tensor(&mut reader)?);
        }
        let start = reader.position().next_multiple_of(alignment(&metadata)?);
        let tensors = place(placed, bytes, file_size, start)?;
        Ok(Gguf { metadata, tensors })
    }

    pub fn value(&self, key: &str) -> Option<&Value<'a>> {
        self.metadata.get(key)
    }

    /// Bytes of all tensors together.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors
            .values()
            .map(|tensor| tensor.range.len() as u64)
            .sum()
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        self.tensors.get(name)
    }

    /// A key that must be there and be text.
    pub(crate) fn text(&self, key: &str) -> Result<&'a str, EngineError> {
        self.optional_text(key)?
            .ok_or_else(|| EngineError::corrupt(format!("the key {key} is missing")))
    }

    pub(crate) fn optional_text(&self, key: &str) -> Result<Option<&'a str>, EngineError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(EngineError::corrupt(format!("the key {key} is not text"))),
        }
    }

    /// A key that must be there and be a count.
    pub(crate) fn count(&self, key: &str) -> Result<u32, EngineError> {
        self.optional_count(key)?
            .ok_or_else(|| EngineError::corrupt(format!("the key {key} is missing")))
    }

    pub(crate) fn optional_count(&self, key: &str) -> Result<Option<u32>, EngineError> {
        let wrong = || {
            EngineError::corrupt(format!(
                "the key {key} is not a number from 0 to 4294967295"
            ))
        };
        match self.value(key) {
            None => Ok(None),
            Some(Value::Unsigned(n)) => u32::try_from(*n).map(Some).map_err(|_| wrong()),
            Some(Value::Signed(n)) => u32::try_from(*n).map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    pub(crate) fn optional_float(&self, key: &str) -> Result<Option<f64>, EngineError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Float(x)) if x.is_finite() => Ok(Some(*x)),
            Some(_) => Err(EngineError::corrupt(format!(
                "the key {key} is not a finite number"
            ))),
        }
    }

    pub(crate) fn optional_bool(&self, key: &str) -> Result<Option<bool>, EngineError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(_) => Err(EngineError::corrupt(format!(
                "the key {key} is not true or false"
            ))),
        }
    }

    /// A key that must be there and be a list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<&[&'a str], EngineError> {
        match self.value(key) {
            Some(Value::Array(Array::Texts(texts))) => Ok(texts),
            Some(_) => Err(EngineError::corrupt(format!(
                "the key {key} is not a list of texts"
            ))),
            None => Err(EngineError::corrupt(format!("the key {key} is missing"))),
        }
    }

    pub(crate) fn optional_integers(&self, key: &str) -> Result<Option<Vec<i64>>, EngineError> {
        let wrong = || EngineError::corrupt(format!("the key {key} is not a list of numbers"));
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(array)) => array.integers().map(Some).ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }

    /// A key that must be there and be a list of numbers, whole or not.
    pub(crate) fn floats(&self, key: &str) -> Result<Vec<f64>, EngineError> {
        let floats = match self.value(key) {
            None => return Err(EngineError::corrupt(format!("the key {key} is missing"))),
            Some(Value::Array(array)) => array.floats(),
            Some(_) => None,
        };
        floats
            .ok_or_else(|| EngineError::corrupt(format!("the key {key} is not a list of numbers")))
    }

    /// Numbers of a list, or a single one.
    pub(crate) fn optional_counts(&self, key: &str) -> Result<Option<Vec<i64>>, EngineError> {
        match self.value(key) {
            Some(Value::Array(_)) => self.optional_integers(key),
            _ => Ok(self.optional_count(key)?.map(|n| vec![i64::from(n)])),
        }
    }

    /// A tensor that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&Tensor<'a>, EngineError> {
        self.tensor(name)
            .ok_or_else(|| EngineError::corrupt(format!("the tensor {name} is missing")))
    }
}

/// The encoding with ggml's number for it.
fn encoding(id: u32, name: &str) -> Result<Encoding, EngineError> {
    Ok(match id {
        0 => Encoding::F32,
        1 => Encoding::F16,
        2 => Encoding::Q4_0,
        3 => Encoding::Q4_1,
        6 => Encoding::Q5_0,
        7 => Encoding::Q5_1,
        8 => Encoding::Q8_0,
        12 => Encoding::Q4K,
        13 => Encoding::Q5K,
        14 => Encoding::Q6K,
        30 => Encoding::Bf16,
        other => {
            return Err(EngineError::unsupported_model(format!(
                "the tensor {name} has ggml type {other}; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K \
                 and Q6_K are read"
            )));
        }
    })
}

fn read_tensor<'a>(reader: &mut Reader<'a>) -> Result<Placed<'a>, EngineError> {
    let name = reader.string("a tensor's name")?;
    let n_dimensions = reader.u32(name)?;
    if n_dimensions == 0 || n_dimensions > MAX_DIMENSIONS {
        return Err(EngineError::corrupt(format!(
            "the tensor {name} has {n_dimensions} dimensions"
        )));
    }
    let mut dimensions = Vec::new();
    for _ in 0..n_dimensions {
        let size = usize::try_from(reader.u64(name)?).unwrap_or(0);
        if size == 0 {
            return Err(EngineError::corrupt(format!(
                "a dimension of the tensor {name} is unusable"
            )));
        }
        dimensions.push(size);
    }
    let encoding = encoding(reader.u32(name)?, name)?;
    let offset = reader.u64(name)?;
    Ok(Placed {
        tensor: Tensor {
            name,
            dimensions,
            encoding,
            range: 0..0,
            data: &[],
        },
        offset,
    })
}

fn alignment(metadata: &BTreeMap<&str, Value<'_>>) -> Result<u64, EngineError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::Unsigned(n)) if n.is_power_of_two() && *n <= MAX_ALIGNMENT => Ok(*n),
        Some(_) => Err(EngineError::corrupt(
            "general.alignment is not a small power of two",
        )),
    }
}

/// Gives every tensor its bytes.
fn place<'a>(
    placed: Vec<Placed<'a>>,
    bytes: &'a [u8],
    file_size: u64,
    start: u64,
) -> Result<BTreeMap<&'a str, Tensor<'a>>, EngineError> {
    let mut tensors = BTreeMap::new();
    for Placed { mut tensor, offset } in placed {
        let name = tensor.name;
        let beyond =
            || EngineError::corrupt(format!("the tensor {name} lies beyond the end of the file"));
        let (per_block, block_bytes) = tensor.encoding.block();
        if !tensor.dimensions[0].is_multiple_of(per_block) {
            return Err(EngineError::corrupt(format!(
                "the rows of the tensor {name} are not whole blocks of {per_block}"
            )));
        }
        let size = tensor
            .dimensions
            .iter()
            .try_fold(1_usize, |product, n| product.checked_mul(*n))
            .and_then(|n| (n / per_block).checked_mul(block_bytes))
            .ok_or_else(beyond)?;
        let from = start
            .checked_add(offset)
            .and_then(|from| usize::try_from(from).ok())
            .ok_or_else(beyond)?;
        let to = from.checked_add(size).ok_or_else(beyond)?;
        if to as u64 > file_size {
            return Err(beyond());
        }
        tensor.data = bytes.get(from..to).unwrap_or_default();
        tensor.range = from..to;
        if tensors.insert(name, tensor).is_some() {
            return Err(EngineError::corrupt(format!(
                "the tensor {name} is there twice"
            )));
        }
    }
    refuse_overlaps(&tensors)?;
    Ok(tensors)
}

/// Every byte is of one tensor at most: a small file of many tensors could ask for any amount of memory else.
fn refuse_overlaps(tensors: &BTreeMap<&str, Tensor<'_>>) -> Result<(), EngineError> {
    let mut placed: Vec<&Tensor<'_>> = tensors.values().collect();
    placed.sort_by_key(|tensor| tensor.range.start);
    let overlap = placed
        .array_windows()
        .find(|[before, after]| before.range.end > after.range.start);
    match overlap {
        None => Ok(()),
        Some([before, after]) => Err(EngineError::corrupt(format!(
            "the tensors {} and {} lie on the same bytes",
            before.name, after.name
        ))),
    }
}
