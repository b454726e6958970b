//! Multipart forms: the fields as JSON, the files as they came.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::http::Request;
use crate::record::UploadedFile;
use crate::sigv4::hex;

/// A parsed form. Names lose their brackets: `image[]` is `image`, `expires_after[anchor]` is `expires_after`.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    /// Text by field, a file by its name; what repeats is a list.
    pub(crate) fields: Value,
    pub(crate) files: Vec<Part<'a>>,
}

#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) field: String,
    pub(crate) filename: String,
    pub(crate) content_type: String,
    pub(crate) data: &'a [u8],
}

impl Form<'_> {
    /// Its files as the record names them.
    pub(crate) fn uploaded(&self) -> impl Iterator<Item = UploadedFile> {
        self.files.iter().map(|part| UploadedFile {
            field: part.field.clone(),
            filename: part.filename.clone(),
            content_type: part.content_type.clone(),
            bytes: part.data.len() as u64,
            sha256: hex(&Sha256::digest(part.data)),
        })
    }
}

/// The form of a multipart request; `None` when it is none or is cut.
pub(crate) fn parse(request: &Request) -> Option<Form<'_>> {
    let kind = request.header("content-type")?;
    if !kind.starts_with("multipart/form-data") {
        return None;
    }
    let boundary = parameter(kind, "boundary")?;
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = request
        .body
        .strip_prefix(format!("--{boundary}").as_bytes())?;
    let mut fields = Map::new();
    let mut files = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            let fields = Value::Object(fields);
            return Some(Form { fields, files });
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let body = &rest[head_end + 4..];
        let end = find(body, delimiter.as_bytes())?;
        let data = &body[..end];
        rest = &body[end + delimiter.len()..];
        let header = |name: &str| {
            head.lines().find_map(|line| {
                line.split_once(':')
                    .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.trim().to_owned())
            })
        };
        let disposition = header("content-disposition")?;
        let name = parameter(&disposition, "name")?;
        let field = name.split('[').next().unwrap_or_default().to_owned();
        let shown = match parameter(&disposition, "filename") {
            Some(filename) => {
                files.push(Part {
                    field: field.clone(),
                    filename: filename.clone(),
                    content_type: header("content-type").unwrap_or_default(),
                    data,
                });
                filename
            }
            None => String::from_utf8_lossy(data).into_owned(),
        };
        match fields.get_mut(&field) {
            Some(Value::Array(values)) => values.push(shown.into()),
            Some(value) => *value = Value::Array(vec![value.take(), shown.into()]),
            None => {
                fields.insert(field, shown.into());
            }
        }
    }
}

/// A parameter of a header, quoted or not.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"').to_owned())
    })
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}
