//! Images and documents as blocks.

use tollgate_base::{Error, Result};

use crate::{
    Dialect, Target,
    ir::{Document, DocumentSource, Image, ImageSource, Request, changed, dropped},
    json::Object,
};

/// The image formats of the vendor's models, with the beginning of their base64 text.
const FORMATS: [(&str, &str); 4] = [
    ("image/jpeg", "/9j/"),
    ("image/png", "iVBORw0KGgo"),
    ("image/gif", "R0lGOD"),
    ("image/webp", "UklGR"),
];

/// What media are rendered for, and where losses go.
#[derive(Debug)]
pub(super) struct Media<'a> {
    pub(super) request: &'a Request,
    pub(super) target: Target<'a>,
    pub(super) losses: Vec<crate::Loss>,
}

impl Media<'_> {
    /// Writes `source` of an image block.
    pub(super) fn image(
        &mut self,
        block: &mut Object<'_>,
        image: &Image,
        path: &str,
    ) -> Result<()> {
        if self.target.traits.vision == Some(false) {
            return Err(Error::unsupported(
                path,
                "The model does not read images. Use a model with vision.",
            ));
        }
        if image
            .detail
            .as_deref()
            .is_some_and(|detail| detail != "auto")
        {
            self.losses.push(dropped(
                format!("{path}.image_url.detail"),
                "The model's images have one level of detail.",
            ));
        }
        let mut source = block.object("source");
        match &image.source {
            ImageSource::Base64 { media_type, data } => {
                // Callers label data wrongly, and the vendor looks at the data (traps T25).
                let seen = FORMATS
                    .iter()
                    .find(|(_, start)| data.starts_with(start))
                    .map(|(format, _)| *format);
                let labelled = FORMATS
                    .iter()
                    .find(|(format, _)| format == media_type)
                    .map(|(format, _)| *format);
                let Some(format) = seen.or(labelled) else {
                    return Err(Error::unsupported(
                        path,
                        "The model reads images as JPEG, PNG, GIF or WebP. Convert the image.",
                    ));
                };
                if format != media_type {
                    self.losses.push(changed(
                        path,
                        format!("The data is {format}, so it was labelled as that."),
                    ));
                }
                source.put("type", "base64");
                source.put("media_type", format);
                source.put("data", data);
            }
            ImageSource::Url(url) => {
                check_url(url, path)?;
                source.put("type", "url");
                source.put("url", url);
            }
            ImageSource::File(id) => {
                self.check_file(path)?;
                source.put("type", "file");
                source.put("file_id", id);
            }
        }
        Ok(())
    }

    /// Writes `source` and `title` of a document block.
    pub(super) fn document(
        &mut self,
        block: &mut Object<'_>,
        document: &Document,
        path: &str,
    ) -> Result<()> {
        let mut source = block.object("source");
        match &document.source {
            DocumentSource::Base64 { media_type, data } => {
                if media_type != "application/pdf" {
                    return Err(Error::unsupported(
                        path,
                        "The model reads files as PDF or plain text. Convert the file.",
                    ));
                }
                if self.target.traits.pdf == Some(false) {
                    return Err(Error::unsupported(
                        path,
                        "The model does not read PDF files. Send the text.",
                    ));
                }
                source.put("type", "base64");
                source.put("media_type", media_type);
                source.put("data", data);
            }
            DocumentSource::Text(text) => {
                source.put("type", "text");
                source.put("media_type", "text/plain");
                source.put("data", text);
            }
            DocumentSource::Url(url) => {
                check_url(url, path)?;
                source.put("type", "url");
                source.put("url", url);
            }
            DocumentSource::File(id) => {
                self.check_file(path)?;
                source.put("type", "file");
                source.put("file_id", id);
            }
        }
        drop(source);
        block.put_some("title", document.title.as_ref());
        Ok(())
    }

    /// A file id means something only to the provider that gave it.
    fn check_file(&self, path: &str) -> Result<()> {
        if self.request.origin == Some(Dialect::AnthropicMessages) {
            return Ok(());
        }
        let text = "A file id belongs to the provider that gave it, and another one answers for this model. Send the file itself.";
        Err(Error::unsupported(path, text))
    }
}

pub(super) fn check_url(url: &str, path: &str) -> Result<()> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    Err(Error::invalid_value(
        path,
        "The address must begin with `https://`. Send the data itself as base64 otherwise.",
    ))
}
