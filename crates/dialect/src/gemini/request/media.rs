//! Images, documents and audio as parts.

use base64::{Engine, engine::general_purpose::STANDARD};
use tollgate_base::{Error, Result};

use crate::{
    Dialect, Loss, Target,
    ir::{Document, DocumentSource, Image, ImageSource, Request, changed, dropped},
    json::Object,
};

/// The image formats of the vendor's models, with the beginning of their base64 text where it is always the
/// same.
const FORMATS: [(&str, &str); 5] = [
    ("image/jpeg", "/9j/"),
    ("image/png", "iVBORw0KGgo"),
    ("image/webp", "UklGR"),
    ("image/heic", ""),
    ("image/heif", ""),
];
const GIF: &str = "R0lGOD";

/// What media are rendered for, and where losses go.
#[derive(Debug)]
pub(super) struct Media<'a> {
    pub(super) request: &'a Request,
    pub(super) target: Target<'a>,
    pub(super) losses: Vec<Loss>,
}

/// Whether an address is one that the vendor's own services answer: files, buckets, videos.
pub(super) fn is_the_vendors(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    scheme == "gs"
        || matches!(
            host,
            "generativelanguage.googleapis.com"
                | "www.youtube.com"
                | "youtube.com"
                | "m.youtube.com"
                | "youtu.be"
        )
}

impl Media<'_> {
    pub(super) fn image(&mut self, part: &mut Object<'_>, image: &Image, path: &str) -> Result<()> {
        if self.target.traits.vision == Some(false) {
            let text = "The model does not read images. Use a model with vision.";
            return Err(Error::unsupported(path, text));
        }
        if image
            .detail
            .as_deref()
            .is_some_and(|detail| detail != "auto")
        {
            self.losses.push(dropped(
                format!("{path}.image_url.detail"),
                "The provider sets the level of detail for a whole request.",
            ));
        }
        match &image.source {
            ImageSource::Base64 { media_type, data } => {
                let format = self.image_format(media_type, data, path)?;
                put_inline(part, format, data);
                Ok(())
            }
            ImageSource::Url(url) => self.address(part, url, image_type(url), path),
            ImageSource::File(_) => Err(bound_file(path)),
        }
    }

    /// Callers label data wrongly, and the vendor looks at the data (traps T25).
    fn image_format<'f>(&mut self, label: &'f str, data: &str, path: &str) -> Result<&'f str> {
        let seen = FORMATS
            .iter()
            .find(|(_, start)| !start.is_empty() && data.starts_with(start))
            .map(|(format, _)| *format);
        let is_known = FORMATS.iter().any(|(format, _)| *format == label);
        if data.starts_with(GIF) || (seen.is_none() && !is_known) {
            let text =
                "The model reads images as JPEG, PNG, WebP, HEIC or HEIF. Convert the image.";
            return Err(Error::unsupported(path, text));
        }
        match seen.filter(|seen| *seen != label) {
            None => Ok(label),
            Some(seen) => {
                let reason = format!("The data is {seen}, so it was labelled as that.");
                self.losses.push(changed(path, reason));
                Ok(seen)
            }
        }
    }

    pub(super) fn document(
        &mut self,
        part: &mut Object<'_>,
        document: &Document,
        path: &str,
    ) -> Result<()> {
        if document.title.is_some() {
            let field = match self.request.origin {
                Some(Dialect::OpenAiChat) => "file.filename",
                _ => "title",
            };
            self.losses.push(dropped(
                format!("{path}.{field}"),
                "Files have no names in the provider's dialect.",
            ));
        }
        match &document.source {
            DocumentSource::Base64 { media_type, data } => {
                let is_pdf = media_type == "application/pdf";
                if is_pdf && self.target.traits.pdf == Some(false) {
                    let text = "The model does not read PDF files. Send the text.";
                    return Err(Error::unsupported(path, text));
                }
                if !is_pdf && !media_type.starts_with("text/") && media_type != "application/json" {
                    let text = "The model reads files as PDF or text. Convert the file.";
                    return Err(Error::unsupported(path, text));
                }
                put_inline(part, media_type, data);
                Ok(())
            }
            DocumentSource::Text(text) => {
                put_inline(part, "text/plain", &STANDARD.encode(text));
                Ok(())
            }
            DocumentSource::Url(url) => self.address(part, url, Some("application/pdf"), path),
            DocumentSource::File(_) => Err(bound_file(path)),
        }
    }

    pub(super) fn audio(
        &self,
        part: &mut Object<'_>,
        data: &str,
        format: &str,
        path: &str,
    ) -> Result<()> {
        if self.target.traits.audio_input == Some(false) {
            let text = "The model does not take audio. Send the text of it.";
            return Err(Error::unsupported(path, text));
        }
        put_inline(part, &format!("audio/{format}"), data);
        Ok(())
    }

    fn address(
        &self,
        part: &mut Object<'_>,
        url: &str,
        media_type: Option<&str>,
        path: &str,
    ) -> Result<()> {
        let is_own = is_the_vendors(url);
        if !is_own && !url.starts_with("https://") {
            let text =
                "The address must begin with `https://`. Send the data itself as base64 otherwise.";
            return Err(Error::invalid_value(path, text));
        }
        if !is_own && self.target.traits.media_urls == Some(false) {
            let text = "The model does not fetch addresses. Send the data itself as base64.";
            return Err(Error::unsupported(path, text));
        }
        let mut file = part.object("fileData");
        file.put_some("mimeType", media_type.filter(|_| !is_own));
        file.put("fileUri", url);
        Ok(())
    }
}

pub(super) fn put_inline(part: &mut Object<'_>, media_type: &str, data: &str) {
    let mut blob = part.object("inlineData");
    blob.put("mimeType", media_type);
    blob.put("data", data);
}

/// The type of an image that its address shows.
fn image_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        "heic" => Some("image/heic"),
        "heif" => Some("image/heif"),
        _ => None,
    }
}

fn bound_file(path: &str) -> Error {
    let text = "A file id belongs to the provider that gave it, and another one answers for this model. Send the file itself.";
    Error::unsupported(path, text)
}
