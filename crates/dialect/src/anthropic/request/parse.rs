//! A Messages request, from the wire to the IR.

use tollgate_base::{Error, Result};

use crate::{
    Dialect, Effort, RawObject,
    anthropic::read_head,
    checks,
    ir::{
        CacheMark, Document, DocumentSource, Image, ImageSource, Issuer, Message, OutputFormat,
        Part, Reasoning, Request, Role, Tool, ToolCall, ToolChoice, ToolResult, dropped, raw_json,
        sealed_reasoning,
    },
    json::{Json, Shape},
};

pub(crate) fn parse_request(raw: &RawObject) -> Result<Request> {
    let head = read_head(raw)?;
    let number = |name| raw.json(name).and_then(Json::as_f64);
    let mut request = Request {
        origin: Some(Dialect::AnthropicMessages),
        model: head.model,
        max_output_tokens: head.max_output_tokens,
        candidates: 1,
        service_tier: raw
            .json("service_tier")
            .and_then(|tier| Some(tier.as_str()?.into_owned())),
        stream: head.stream,
        ..Request::default()
    };
    request.sampling.temperature = number("temperature");
    request.sampling.top_p = number("top_p");
    request.sampling.top_k = raw.json("top_k").and_then(Json::as_u64);
    let stops = raw.json("stop_sequences").into_iter().flat_map(Json::items);
    request.stop = stops
        .filter_map(|text| Some(text.as_str()?.into_owned()))
        .collect();
    if let Some(system) = raw.json("system") {
        let parts = parse_content(system, "system", &mut request)?;
        request.messages.push(Message {
            role: Role::System,
            parts,
            name: None,
        });
        request.has_system_field = true;
    }
    for (i, message) in raw
        .json("messages")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        let role = match message.field("role").map(Json::text) {
            Some("\"assistant\"") => Role::Assistant,
            Some("\"system\"") => Role::System,
            _ => Role::User,
        };
        let content = message.field("content").unwrap_or(Json::new("\"\""));
        let parts = parse_content(content, &format!("messages[{i}].content"), &mut request)?;
        request.messages.push(Message {
            role,
            parts,
            name: None,
        });
    }
    parse_tools(raw, &mut request)?;
    parse_tool_choice(raw, &mut request)?;
    parse_thinking(raw, &mut request)?;
    parse_extras(raw, &mut request);
    Ok(request)
}

fn parse_content(content: Json<'_>, path: &str, request: &mut Request) -> Result<Vec<Part>> {
    if let Some(text) = content.as_str() {
        return Ok(vec![Part::Text {
            text: text.into_owned(),
            cache: None,
        }]);
    }
    let mut parts = Vec::new();
    for (j, block) in content.items().enumerate() {
        parts.push(parse_block(block, &format!("{path}[{j}]"), request)?);
    }
    Ok(parts)
}

fn parse_block(block: Json<'_>, path: &str, request: &mut Request) -> Result<Part> {
    let kind = block
        .field("type")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let cache = cache_mark(block);
    let part = match &*kind {
        "text" => {
            if block
                .field("citations")
                .is_some_and(|citations| citations.items().next().is_some())
            {
                request.losses.push(dropped(
                    format!("{path}.citations"),
                    "Citations stay with the provider that made them.",
                ));
            }
            Part::Text {
                text: text_of(block, "text", path)?,
                cache,
            }
        }
        "image" => Part::Image {
            image: parse_image(block, path)?,
            cache,
        },
        "document" => Part::Document {
            document: parse_document(block, path, request)?,
            cache,
        },
        "tool_use" => {
            let input = block
                .field("input")
                .filter(|input| input.shape() == Shape::Object);
            let input =
                input.ok_or_else(|| checks::wrong_type(&format!("{path}.input"), "an object"))?;
            let (id, name) = (text_of(block, "id", path)?, text_of(block, "name", path)?);
            Part::ToolCall {
                call: ToolCall {
                    id,
                    name,
                    arguments: input.text().to_owned(),
                },
                cache,
            }
        }
        "tool_result" => {
            let call_id = text_of(block, "tool_use_id", path)?;
            let content = match block.field("content").filter(|content| !content.is_null()) {
                Some(content) => parse_content(content, &format!("{path}.content"), request)?,
                None => Vec::new(),
            };
            let is_error = block
                .field("is_error")
                .and_then(Json::as_bool)
                .unwrap_or(false);
            Part::ToolResult {
                result: ToolResult {
                    call_id,
                    content,
                    is_error,
                },
                cache,
            }
        }
        "thinking" => {
            let signature = block
                .field("signature")
                .and_then(Json::as_str)
                .filter(|text| !text.is_empty());
            let text = text_of(block, "thinking", path)?;
            sealed_reasoning(Issuer::Anthropic, text, signature.as_deref())
        }
        "redacted_thinking" => Part::RedactedReasoning {
            data: text_of(block, "data", path)?,
        },
        _ => Part::Opaque {
            kind: kind.into_owned(),
            json: raw_json(block.text()),
        },
    };
    Ok(part)
}

fn cache_mark(block: Json<'_>) -> Option<CacheMark> {
    let mark = block
        .field("cache_control")
        .filter(|mark| !mark.is_null())?;
    match mark.field("ttl").and_then(Json::as_str).as_deref() {
        Some("1h") => Some(CacheMark::Long),
        _ => Some(CacheMark::Short),
    }
}

fn parse_image(block: Json<'_>, path: &str) -> Result<Image> {
    let path = format!("{path}.source");
    let source = block
        .field("source")
        .ok_or_else(|| Error::missing_field(&*path))?;
    let source = match source.field("type").and_then(Json::as_str).as_deref() {
        Some("base64") => ImageSource::Base64 {
            media_type: text_of(source, "media_type", &path)?,
            data: text_of(source, "data", &path)?,
        },
        Some("url") => ImageSource::Url(text_of(source, "url", &path)?),
        Some("file") => ImageSource::File(text_of(source, "file_id", &path)?),
        _ => return Err(unknown_source(&path, "`base64`, `url` or `file`")),
    };
    Ok(Image {
        source,
        detail: None,
    })
}

fn parse_document(block: Json<'_>, path: &str, request: &mut Request) -> Result<Document> {
    let title = block
        .field("title")
        .and_then(Json::as_str)
        .filter(|text| !text.is_empty());
    if block
        .field("context")
        .is_some_and(|context| !context.is_null())
    {
        request.losses.push(dropped(
            format!("{path}.context"),
            "Only this dialect's models read a document's context.",
        ));
    }
    let citations = block
        .field("citations")
        .and_then(|citations| citations.field("enabled"));
    if citations.and_then(Json::as_bool) == Some(true) {
        request.losses.push(dropped(
            format!("{path}.citations"),
            "Only this dialect's models cite documents.",
        ));
    }
    let path = format!("{path}.source");
    let source = block
        .field("source")
        .ok_or_else(|| Error::missing_field(&*path))?;
    let source = match source.field("type").and_then(Json::as_str).as_deref() {
        Some("base64") => DocumentSource::Base64 {
            media_type: text_of(source, "media_type", &path)?,
            data: text_of(source, "data", &path)?,
        },
        Some("text") => DocumentSource::Text(text_of(source, "data", &path)?),
        Some("content") => DocumentSource::Text(content_text(source, &path)?),
        Some("url") => DocumentSource::Url(text_of(source, "url", &path)?),
        Some("file") => DocumentSource::File(text_of(source, "file_id", &path)?),
        _ => {
            return Err(unknown_source(
                &path,
                "`base64`, `text`, `content`, `url` or `file`",
            ));
        }
    };
    Ok(Document {
        source,
        title: title.map(std::borrow::Cow::into_owned),
    })
}

/// A document that is given as text blocks.
fn content_text(source: Json<'_>, path: &str) -> Result<String> {
    let path = format!("{path}.content");
    let content = source
        .field("content")
        .ok_or_else(|| Error::missing_field(&*path))?;
    if let Some(text) = content.as_str() {
        return Ok(text.into_owned());
    }
    let texts: Option<Vec<_>> = content
        .items()
        .map(|block| block.field("text")?.as_str())
        .collect();
    match texts {
        Some(texts) => Ok(texts.join("\n")),
        None => Err(Error::unsupported(
            path,
            "A document of anything but text cannot be translated for this model.",
        )),
    }
}

fn unknown_source(path: &str, known: &str) -> Error {
    Error::invalid_value(
        format!("{path}.type"),
        format!("`{path}.type` must be {known}."),
    )
}

fn parse_tools(raw: &RawObject, request: &mut Request) -> Result<()> {
    for (i, tool) in raw
        .json("tools")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        let path = format!("tools[{i}]");
        let kind = tool.field("type").and_then(Json::as_str);
        if kind.is_some_and(|kind| kind != "custom") {
            let text = "Tools that the provider itself runs cannot be translated for this model. Remove the tool.";
            return Err(Error::unsupported(format!("{path}.type"), text));
        }
        let schema = tool
            .field("input_schema")
            .filter(|schema| !schema.is_null());
        if schema.is_some_and(|schema| schema.shape() != Shape::Object) {
            return Err(checks::wrong_type(
                &format!("{path}.input_schema"),
                "an object",
            ));
        }
        request.tools.push(Tool {
            name: text_of(tool, "name", &path)?,
            description: tool
                .field("description")
                .and_then(|text| Some(text.as_str()?.into_owned())),
            parameters: schema.map(|schema| raw_json(schema.text())),
            strict: tool.field("strict").and_then(Json::as_bool),
            cache: cache_mark(tool),
            freeform: None,
        });
    }
    Ok(())
}

fn parse_tool_choice(raw: &RawObject, request: &mut Request) -> Result<()> {
    let Some(choice) = raw.json("tool_choice") else {
        return Ok(());
    };
    request.tool_choice = Some(
        match choice.field("type").and_then(Json::as_str).as_deref() {
            Some("auto") => ToolChoice::Auto,
            Some("any") => ToolChoice::Required,
            Some("none") => ToolChoice::None,
            Some("tool") => ToolChoice::Named(text_of(choice, "name", "tool_choice")?),
            _ => {
                let text = "`tool_choice.type` must be `auto`, `any`, `tool` or `none`.";
                return Err(Error::invalid_value("tool_choice.type", text));
            }
        },
    );
    let is_single = choice
        .field("disable_parallel_tool_use")
        .and_then(Json::as_bool);
    request.parallel_tool_calls = is_single.map(|is_single| !is_single);
    Ok(())
}

fn parse_thinking(raw: &RawObject, request: &mut Request) -> Result<()> {
    let config = raw.json("output_config");
    let effort = config
        .and_then(|config| config.field("effort"))
        .and_then(Json::as_str);
    let unknown = || {
        let text = "`output_config.effort` must be one of: low, medium, high, xhigh, max.";
        Error::invalid_value("output_config.effort", text)
    };
    let effort = effort
        .map(|name| Effort::from_name(&name).ok_or_else(unknown))
        .transpose()?;
    if let Some(format) = config
        .and_then(|config| config.field("format"))
        .filter(|format| !format.is_null())
    {
        let path = "output_config.format.schema";
        let schema = format
            .field("schema")
            .filter(|schema| schema.shape() == Shape::Object);
        let schema = schema.ok_or_else(|| checks::wrong_type(path, "an object"))?;
        let schema = raw_json(schema.text());
        request.output = OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema,
            strict: Some(true),
        };
    }
    let Some(thinking) = raw.json("thinking") else {
        request.reasoning = effort.map(|effort| Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        });
        return Ok(());
    };
    let visible = thinking
        .field("display")
        .and_then(Json::as_str)
        .map(|display| display != "omitted");
    request.reasoning = Some(
        match thinking.field("type").and_then(Json::as_str).as_deref() {
            Some("enabled") => {
                let Some(budget) = thinking.field("budget_tokens").and_then(Json::as_u64) else {
                    return Err(Error::missing_field("thinking.budget_tokens"));
                };
                if budget < 1024 {
                    let text = "`thinking.budget_tokens` must be at least 1024.";
                    return Err(Error::invalid_value("thinking.budget_tokens", text));
                }
                Reasoning {
                    effort,
                    budget_tokens: Some(budget),
                    visible,
                }
            }
            // This dialect's effort is high unless named.
            Some("adaptive") => Reasoning {
                effort: effort.or(Some(Effort::High)),
                budget_tokens: None,
                visible,
            },
            Some("disabled" | "between_tools") => Reasoning {
                effort: Some(Effort::None),
                ..Reasoning::default()
            },
            _ => {
                let text =
                    "`thinking.type` must be `enabled`, `adaptive`, `between_tools` or `disabled`.";
                return Err(Error::invalid_value("thinking.type", text));
            }
        },
    );
    Ok(())
}

fn parse_extras(raw: &RawObject, request: &mut Request) {
    const SAID: [&str; 14] = [
        "model",
        "messages",
        "system",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "stream",
        "service_tier",
        "thinking",
        "tools",
        "tool_choice",
        "output_config",
    ];
    for (name, value) in raw
        .fields()
        .filter(|(name, value)| *value != "null" && !SAID.contains(name))
    {
        if name == "metadata" {
            for (key, value) in Json::new(value).fields() {
                match value.as_str() {
                    Some(user) if key == "user_id" => request.user = Some(user.into_owned()),
                    _ => request
                        .extras
                        .push((format!("metadata.{key}"), raw_json(value.text()))),
                }
            }
        } else {
            request.extras.push((name.to_owned(), raw_json(value)));
        }
    }
    for (key, value) in raw.json("output_config").into_iter().flat_map(Json::fields) {
        if key != "effort" && key != "format" {
            request
                .extras
                .push((format!("output_config.{key}"), raw_json(value.text())));
        }
    }
}

fn text_of(value: Json<'_>, name: &str, path: &str) -> Result<String> {
    let path = || format!("{path}.{name}");
    let Some(field) = value.field(name) else {
        return Err(Error::missing_field(path()));
    };
    match field.as_str() {
        Some(text) => Ok(text.into_owned()),
        None => Err(checks::wrong_type(&path(), "a string")),
    }
}
