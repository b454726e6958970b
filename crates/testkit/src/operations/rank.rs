//! Moderations, rerank (Jina's and Cohere's shapes), Cohere's embeddings: verdicts that the words of the request
//! decide.

use serde_json::Value;

use super::{Said, check_fields, check_option, number};
use crate::ask::{text_of, words};
use crate::json::quote;
use crate::openai::check::{Checked, refuse};
use crate::openai::embeddings::vector;

pub(super) const MODERATION_FIELDS: &[&str] = &["input", "model"];
const CATEGORIES: &[&str] = &[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// One verdict per text; a text with the word `violence` is flagged for it.
pub(super) fn moderations(body: &Value, model: &str, serial: u64) -> Checked<Said> {
    check_fields(body, MODERATION_FIELDS, &["input"])?;
    let texts: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
            items.iter().map(text_of).collect()
        }
        // Parts of text and images are one input together.
        parts @ Value::Array(items) if !items.is_empty() => vec![text_of(parts)],
        _ => return refuse("input", "invalid_type", "Invalid type for 'input'."),
    };
    let verdicts: Vec<String> = texts.iter().map(|text| verdict(text)).collect();
    Ok(Said::json(
        format!(
            r#"{{"id":"modr-tk{serial}","model":{},"results":[{}]}}"#,
            quote(model),
            verdicts.join(",")
        ),
        texts.iter().map(|text| words(text)).sum(),
        0,
    ))
}

fn verdict(text: &str) -> String {
    let flagged = text.to_lowercase().contains("violence");
    let each = |value: &dyn Fn(bool) -> &'static str| {
        let fields: Vec<String> = CATEGORIES
            .iter()
            .map(|name| format!(r#""{name}":{}"#, value(flagged && *name == "violence")))
            .collect();
        fields.join(",")
    };
    format!(
        r#"{{"flagged":{flagged},"categories":{{{}}},"category_scores":{{{}}},"category_applied_input_types":{{{}}}}}"#,
        each(&|hit| if hit { "true" } else { "false" }),
        each(&|hit| if hit { "0.97" } else { "0.0001" }),
        each(&|_| r#"["text"]"#)
    )
}

/// Documents by the share of the query's words in them, best first.
fn ranked(query: &str, documents: &[String], top: usize) -> Vec<(usize, u32)> {
    let wanted: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let mut scores: Vec<(usize, u32)> = documents
        .iter()
        .enumerate()
        .map(|(index, document)| {
            let document = document.to_lowercase();
            let hits = wanted
                .iter()
                .filter(|word| document.contains(*word))
                .count();
            let share = hits * 1000 / wanted.len().max(1);
            (index, u32::try_from(share).unwrap_or(0))
        })
        .collect();
    scores.sort_by_key(|(index, score)| (std::cmp::Reverse(*score), *index));
    scores.truncate(top);
    scores
}

fn documents(body: &Value) -> Checked<Vec<String>> {
    let documents: Option<Vec<String>> = body["documents"].as_array().and_then(|items| {
        items
            .iter()
            .map(|item| item.as_str().or_else(|| item["text"].as_str()))
            .map(|text| text.map(ToOwned::to_owned))
            .collect()
    });
    match documents {
        Some(documents) if !documents.is_empty() => Ok(documents),
        _ => refuse(
            "documents",
            "invalid_type",
            "invalid request: list of documents must not be empty",
        ),
    }
}

fn score(score: u32) -> String {
    format!("{}.{:03}", score / 1000, score % 1000)
}

pub(super) fn jina(body: &Value, model: &str) -> Checked<Said> {
    let known = ["model", "query", "documents", "top_n", "return_documents"];
    check_fields(body, &known, &["model", "query", "documents"])?;
    let documents = documents(body)?;
    let top = number(body, "top_n", documents.len() as u64, 10_000)?;
    let query = body["query"].as_str().unwrap_or_default();
    let tokens = documents.iter().map(|text| words(text)).sum::<u64>() + words(query);
    let shows = body["return_documents"] != false;
    let rows: Vec<String> = ranked(
        query,
        &documents,
        usize::try_from(top).unwrap_or(usize::MAX),
    )
    .iter()
    .map(|(index, points)| {
        let document = if shows {
            format!(r#","document":{{"text":{}}}"#, quote(&documents[*index]))
        } else {
            String::new()
        };
        format!(
            r#"{{"index":{index},"relevance_score":{}{document}}}"#,
            score(*points)
        )
    })
    .collect();
    let text = format!(
        r#"{{"model":{},"object":"list","usage":{{"total_tokens":{tokens}}},"results":[{}]}}"#,
        quote(model),
        rows.join(",")
    );
    Ok(Said::json(text, tokens, 0))
}

pub(super) fn cohere(body: &Value, serial: u64) -> Checked<Said> {
    let known = [
        "model",
        "query",
        "documents",
        "top_n",
        "max_tokens_per_doc",
        "priority",
    ];
    check_fields(body, &known, &["model", "query", "documents"])?;
    let documents = documents(body)?;
    let top = number(body, "top_n", documents.len() as u64, 10_000)?;
    let query = body["query"].as_str().unwrap_or_default();
    let rows: Vec<String> = ranked(
        query,
        &documents,
        usize::try_from(top).unwrap_or(usize::MAX),
    )
    .iter()
    .map(|(index, points)| {
        format!(
            r#"{{"index":{index},"relevance_score":{}}}"#,
            score(*points)
        )
    })
    .collect();
    let units = documents.len().div_ceil(100);
    let text = format!(
        r#"{{"id":"tk{serial}","results":[{}],"meta":{{"api_version":{{"version":"2"}},"billed_units":{{"search_units":{units}}}}}}}"#,
        rows.join(",")
    );
    Ok(Said::json(text, 0, 0))
}

pub(super) fn cohere_embed(body: &Value, serial: u64) -> Checked<Said> {
    let known = [
        "model",
        "texts",
        "images",
        "inputs",
        "input_type",
        "embedding_types",
        "output_dimension",
        "max_tokens",
        "truncate",
        "priority",
    ];
    check_fields(body, &known, &["model", "texts", "input_type"])?;
    check_option(
        body,
        "input_type",
        &[
            "search_document",
            "search_query",
            "classification",
            "clustering",
            "image",
        ],
    )?;
    check_option(body, "truncate", &["NONE", "START", "END"])?;
    let texts: Option<Vec<&str>> = body["texts"]
        .as_array()
        .and_then(|items| items.iter().map(Value::as_str).collect());
    let Some(texts) = texts.filter(|texts| (1..=96).contains(&texts.len())) else {
        return refuse(
            "texts",
            "",
            "invalid request: valid texts must be provided, at most 96",
        );
    };
    let kinds = body["embedding_types"].as_array();
    if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind != "float")) {
        return refuse(
            "embedding_types",
            "",
            "invalid request: the testkit has only embeddings of type float",
        );
    }
    let dimensions = number(body, "output_dimension", 16, 1536)?;
    let tokens = texts.iter().map(|text| words(text).max(1)).sum();
    let rows: Vec<String> = texts
        .iter()
        .map(|text| {
            let numbers: Vec<String> = vector(text, dimensions)
                .iter()
                .map(ToString::to_string)
                .collect();
            format!("[{}]", numbers.join(","))
        })
        .collect();
    let text = format!(
        r#"{{"id":"tk{serial}","embeddings":{{"float":[{}]}},"texts":{},"meta":{{"api_version":{{"version":"2"}},"billed_units":{{"input_tokens":{tokens}}}}},"response_type":"embeddings_by_type"}}"#,
        rows.join(","),
        body["texts"]
    );
    Ok(Said::json(text, tokens, 0))
}
