//! The parts of a user message and of a tool's result.

use base64::{Engine, engine::general_purpose::STANDARD};
use tollgate_base::{Error, Result};

use super::Items;
use crate::{
    ir::{Document, DocumentSource, Image, ImageSource, Part, turns::Placed},
    json::{List, Object},
};

impl Items<'_> {
    /// A part of a user message or of a tool's result.
    pub(super) fn part(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        placed: Placed<'_>,
    ) -> Result<()> {
        let path = self.request.part_path(placed.message, placed.index);
        let traits = self.target.traits;
        match part {
            Part::Text { text, cache } => {
                let mut out = list.object();
                out.put("type", "input_text");
                out.put("text", text);
                self.put_cache(&mut out, *cache, placed);
            }
            Part::Image { .. } if traits.vision == Some(false) => {
                let text = "The model does not read images. Use a model with vision.";
                return Err(Error::unsupported(path, text));
            }
            Part::Image { image, cache } => {
                let mut out = list.object();
                out.put("type", "input_image");
                self.image(&mut out, image, &path)?;
                self.put_cache(&mut out, *cache, placed);
            }
            Part::Document { document, cache } => {
                let mut out = list.object();
                out.put("type", "input_file");
                self.document(&mut out, document, &path)?;
                self.put_cache(&mut out, *cache, placed);
            }
            Part::Audio { .. } if traits.audio_input == Some(false) => {
                let text = "The model does not take audio. Send the text of it.";
                return Err(Error::unsupported(path, text));
            }
            Part::Audio { data, format } => {
                let mut out = list.object();
                out.put("type", "input_audio");
                let mut audio = out.object("input_audio");
                audio.put("data", data);
                audio.put("format", format);
            }
            Part::Opaque { json, .. } if self.is_own() => list.raw(json.get()),
            Part::Opaque { kind, .. } => return Err(self.unknown(kind, placed)),
            _ => {
                let text =
                    "A user message can only hold text, images, files, audio and tool results.";
                return Err(Error::unsupported(path, text));
            }
        }
        Ok(())
    }

    fn image(&self, out: &mut Object<'_>, image: &Image, path: &str) -> Result<()> {
        match &image.source {
            ImageSource::Base64 { media_type, data } => {
                out.put("image_url", &format!("data:{media_type};base64,{data}"));
            }
            ImageSource::Url(url) => out.put("image_url", url),
            ImageSource::File(id) if self.is_of_vendor() => out.put("file_id", id),
            ImageSource::File(_) => return Err(bound_file(path)),
        }
        out.put("detail", image.detail.as_deref().unwrap_or("auto"));
        Ok(())
    }

    fn document(&self, out: &mut Object<'_>, document: &Document, path: &str) -> Result<()> {
        let title = document.title.as_deref();
        match &document.source {
            DocumentSource::Text(text) => {
                out.put("filename", title.unwrap_or("document.txt"));
                let data = STANDARD.encode(text);
                out.put("file_data", &format!("data:text/plain;base64,{data}"));
            }
            DocumentSource::Base64 { .. } if self.target.traits.pdf == Some(false) => {
                let text = "The model does not read PDF files. Send the text.";
                return Err(Error::unsupported(path, text));
            }
            DocumentSource::Base64 { media_type, data } => {
                out.put("filename", title.unwrap_or("document.pdf"));
                out.put("file_data", &format!("data:{media_type};base64,{data}"));
            }
            DocumentSource::Url(url) => {
                out.put_some("filename", title);
                out.put("file_url", url);
            }
            DocumentSource::File(id) if self.is_of_vendor() => out.put("file_id", id),
            DocumentSource::File(_) => return Err(bound_file(path)),
        }
        Ok(())
    }
}

fn bound_file(path: &str) -> Error {
    let text = "A file id belongs to the provider that gave it, and another one answers for this model. Send the file itself.";
    Error::unsupported(path, text)
}
