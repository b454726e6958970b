//! Answers that are bound to a JSON Schema, on the built-in model: a thousand schemas from a fixed seed, and many draws of
//! some. What an answer is worth is told by the `jsonschema` crate, which shares no code with what binds it.

#![expect(
    clippy::disallowed_methods,
    reason = "`json!` is the way to write schemas in a test"
)]

use serde_json::{Map, Value, json};
use tollgate_engine::{
    Constraint, Engine, ErrorKind, Event, FinishReason, Prompt, Request, Sampling,
};

/// Printed by every test that fails.
const SEED: u64 = 20_260_801;
const AT_ONCE: usize = 16;

/// The numbers of xorshift64*.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("small numbers") % bound
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len());
        &from[at]
    }
}

/// Makes schemas of the usual keywords, and of some that cannot be kept.
struct Schemas {
    numbers: Numbers,
    /// Whether `$defs` are there to be pointed at.
    has_definitions: bool,
}

impl Schemas {
    fn new(seed: u64) -> Schemas {
        Schemas {
            numbers: Numbers(seed | 1),
            has_definitions: false,
        }
    }

    fn root(&mut self) -> Value {
        self.has_definitions = self.numbers.is(4);
        let mut schema = if self.numbers.is(8) {
            self.schema(2)
        } else {
            self.object(3)
        };
        if self.has_definitions {
            self.has_definitions = false;
            let leaf = self.schema(1);
            self.has_definitions = true;
            schema["$defs"] = json!({
                "leaf": leaf,
                "tree": {
                    "type": "object",
                    "properties": {
                        "value": { "$ref": "#/$defs/leaf" },
                        "children": {
                            "type": "array",
                            "maxItems": 2,
                            "items": { "$ref": "#/$defs/tree" }
                        }
                    },
                    "required": ["value"],
                    "additionalProperties": false
                }
            });
        }
        schema
    }

    fn schema(&mut self, depth: usize) -> Value {
        let n_kinds = if depth == 0 { 7 } else { 12 };
        let schema = match self.numbers.below(n_kinds) {
            0 => json!({ "type": "boolean" }),
            1 => json!({ "type": *self.numbers.one_of(&["null", "boolean"]) }),
            2 => self.number("integer"),
            3 => self.number("number"),
            4 => json!({ "enum": ["red", 1, -2.5, null, true, ["a"], { "k": "v" }] }),
            5 => {
                json!({ "const": self.numbers.one_of(&[json!("x\"y\\z"), json!(7), json!([1, {}])]).clone() })
            }
            6 => self.string(),
            7 => self.object(depth - 1),
            8 => self.array(depth - 1),
            9 => {
                let options = self.options(depth);
                json!({ "anyOf": options })
            }
            10 if self.has_definitions => {
                json!({ "$ref": *self.numbers.one_of(&["#/$defs/leaf", "#/$defs/tree"]) })
            }
            10 => json!({ "type": ["string", "null", "integer"], "maxLength": 6, "maximum": 99 }),
            _ => self.combined(depth),
        };
        self.with_what_cannot_be_kept(schema)
    }

    fn options(&mut self, depth: usize) -> Vec<Value> {
        let n = 2 + self.numbers.below(2);
        (0..n).map(|_| self.schema(depth - 1)).collect()
    }

    fn combined(&mut self, depth: usize) -> Value {
        if self.numbers.is(2) {
            let options = self.options(depth);
            return json!({ "oneOf": options });
        }
        let low = self.numbers.below(50);
        json!({
            "allOf": [
                { "type": "object", "properties": { "n": { "type": "integer", "minimum": low } } },
                {
                    "type": "object",
                    "properties": { "n": { "maximum": low + 20 }, "s": self.string() },
                    "required": ["n"],
                    "additionalProperties": false
                }
            ]
        })
    }

    fn number(&mut self, kind: &str) -> Value {
        let mut schema = json!({ "type": kind });
        let low = i64::try_from(self.numbers.below(2000)).expect("small numbers") - 1000;
        let width = i64::try_from(self.numbers.below(500)).expect("small numbers") + 20;
        if self.numbers.is(2) {
            let keyword = *self.numbers.one_of(&["minimum", "exclusiveMinimum"]);
            schema[keyword] = json!(low);
        }
        if self.numbers.is(2) {
            let keyword = *self.numbers.one_of(&["maximum", "exclusiveMaximum"]);
            schema[keyword] = json!(low + width);
        }
        if self.numbers.is(4) {
            schema["multipleOf"] = json!(*self.numbers.one_of(&[2, 5, 7]));
        }
        schema
    }

    fn string(&mut self) -> Value {
        let least = self.numbers.below(4);
        match self.numbers.below(6) {
            0 => {
                let formats = [
                    "date-time",
                    "time",
                    "date",
                    "duration",
                    "email",
                    "hostname",
                    "ipv4",
                    "ipv6",
                    "uuid",
                ];
                json!({ "type": "string", "format": *self.numbers.one_of(&formats), "maxLength": 60 })
            }
            1 => {
                let patterns = [
                    "^[a-z]{2,5}$",
                    "^\\d{3}-\\d{4}$",
                    "^(foo|bar)+$",
                    "^\\w+$",
                    "[0-9]",
                    "^a.b$",
                ];
                json!({ "type": "string", "pattern": *self.numbers.one_of(&patterns), "maxLength": 12 })
            }
            2 => json!({ "type": "string", "enum": ["north", "süd", "east \"e\"", ""] }),
            _ => {
                json!({ "type": "string", "minLength": least, "maxLength": least + self.numbers.below(10) })
            }
        }
    }

    fn array(&mut self, depth: usize) -> Value {
        let least = self.numbers.below(3);
        let most = least + self.numbers.below(3);
        let mut schema = json!({ "type": "array", "minItems": least, "maxItems": most });
        if self.numbers.is(4) {
            let (first, second) = (self.schema(depth), self.schema(depth));
            schema["prefixItems"] = json!([first, second]);
        }
        schema["items"] = self.schema(depth);
        schema
    }

    fn object(&mut self, depth: usize) -> Value {
        let names = ["id", "name", "größe", "a/b", "tags", "x~y", "n", "\"q\""];
        let mut properties = Map::new();
        let mut required = Vec::new();
        for _ in 0..=self.numbers.below(4) {
            let name = *self.numbers.one_of(&names);
            properties.insert(name.to_owned(), self.schema(depth));
            if self.numbers.is(2) && !required.contains(&name) {
                required.push(name);
            }
        }
        let mut schema = json!({
            "type": "object",
            "title": "An object",
            "properties": properties,
            "required": required,
            "additionalProperties": false
        });
        match self.numbers.below(12) {
            0 => {
                schema["patternProperties"] =
                    json!({ "^p_[a-z]{1,3}$": { "type": "integer", "minimum": 0, "maximum": 9 } });
            }
            1 => schema["maxProperties"] = json!(3),
            2 => schema["minProperties"] = json!(required.len()),
            _ => {}
        }
        schema
    }

    fn with_what_cannot_be_kept(&mut self, mut schema: Value) -> Value {
        if !self.numbers.is(60) {
            return schema;
        }
        let (keyword, value) = self
            .numbers
            .one_of(&[
                ("not", json!({ "type": "null" })),
                ("if", json!({ "type": "string" })),
                ("uniqueItems", json!(true)),
                ("contains", json!({ "type": "integer" })),
                ("propertyNames", json!({ "maxLength": 3 })),
                ("dependentRequired", json!({ "id": ["name"] })),
                ("unevaluatedProperties", json!(false)),
                ("format", json!("iri")),
            ])
            .clone();
        schema[keyword] = value;
        schema
    }
}

fn request(schema: &Value, seed: u64, max_tokens: u32) -> Request {
    Request {
        sampling: Sampling {
            temperature: 1.0,
            seed: Some(seed),
            ..Sampling::default()
        },
        max_tokens: Some(max_tokens),
        constraint: Some(Constraint::JsonSchema(schema.to_string())),
        ..Request::new(Prompt::Raw("JSON: ".to_owned()))
    }
}

enum Outcome {
    Whole(String),
    Refused(String),
    Cut(String),
    Failed(String),
}

async fn outcome(engine: Engine, request: Request) -> Outcome {
    let mut generation = match engine.generate(request).await {
        Ok(generation) => generation,
        Err(error) => {
            assert!(
                matches!(error.kind, ErrorKind::Unsupported { .. }),
                "{error:?}"
            );
            return Outcome::Refused(error.message);
        }
    };
    let mut text = String::new();
    loop {
        match generation.next().await.expect("an end comes first") {
            Event::Text(piece) => text += &piece.text,
            Event::Done {
                reason: FinishReason::EndOfText,
                ..
            } => {
                return Outcome::Whole(text);
            }
            Event::Done { .. } => return Outcome::Cut(text),
            Event::Failed(error) => return Outcome::Failed(error.message),
            other => panic!("{other:?}"),
        }
    }
}

/// What is wrong with the answer.
fn fault(schema: &Value, answer: &str) -> Option<String> {
    let answer: Value = match serde_json::from_str(answer) {
        Ok(answer) => answer,
        Err(error) => return Some(format!("no JSON: {error}")),
    };
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("the generator makes schemas");
    validator
        .iter_errors(&answer)
        .next()
        .map(|error| error.to_string())
}

#[derive(Debug, Default)]
struct Tally {
    valid: usize,
    refused: usize,
    cut: usize,
    reasons: std::collections::BTreeMap<String, usize>,
}

/// So many schemas: every answer is whole and valid, or refused with a reason.
async fn run_schemas(n: usize) -> Tally {
    let engine = Engine::builtin();
    let mut schemas = Schemas::new(SEED);
    let all: Vec<Value> = (0..n).map(|_| schemas.root()).collect();
    let mut tally = Tally::default();
    let mut faults = Vec::new();
    for (at, some) in all.chunks(AT_ONCE).enumerate() {
        let running: Vec<_> = some
            .iter()
            .zip(0_u64..)
            .map(|(schema, i)| {
                let request = request(schema, i + at as u64 * 100, 900);
                tokio::spawn(outcome(engine.clone(), request))
            })
            .collect();
        for (schema, running) in some.iter().zip(running) {
            match running.await.expect("no panic") {
                Outcome::Whole(answer) => match fault(schema, &answer) {
                    None => tally.valid += 1,
                    Some(fault) => faults.push(format!("{fault}\n{answer}\n{schema}")),
                },
                Outcome::Cut(answer) => {
                    tally.cut += 1;
                    faults.push(format!("cut\n{answer}\n{schema}"));
                }
                Outcome::Failed(error) => faults.push(format!("failed: {error}\n{schema}")),
                Outcome::Refused(reason) => {
                    tally.refused += 1;
                    let words: Vec<&str> = reason.split_whitespace().take(6).collect();
                    *tally.reasons.entry(words.join(" ")).or_insert(0) += 1;
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "seed {SEED}: {} of {n} are wrong, {tally:?}; the first:\n{}",
        faults.len(),
        faults[..faults.len().min(12)].join("\n\n")
    );
    tally
}

/// Many draws of one: every one ends by itself, and is valid.
#[tokio::test]
async fn every_seed_gives_a_valid_answer() {
    let schema = json!({
        "type": "object",
        "properties": {
            "title": { "type": "string", "minLength": 1, "maxLength": 12 },
            "kind": { "enum": ["gateway", "model", null] },
            "scores": { "type": "array", "items": { "type": "number" }, "maxItems": 3 },
            "tree": { "$ref": "#/$defs/tree" }
        },
        "required": ["title", "kind", "scores"],
        "additionalProperties": false,
        "$defs": {
            "tree": {
                "type": "object",
                "properties": { "next": { "$ref": "#/$defs/tree" }, "n": { "type": "integer" } },
                "required": ["n"],
                "additionalProperties": false
            }
        }
    });
    let engine = Engine::builtin();
    let seeds: Vec<u64> = (0..200).collect();
    let mut answers = std::collections::BTreeSet::new();
    for some in seeds.chunks(AT_ONCE) {
        let running: Vec<_> = some
            .iter()
            .map(|seed| tokio::spawn(outcome(engine.clone(), request(&schema, *seed, 900))))
            .collect();
        for (seed, running) in some.iter().zip(running) {
            let Outcome::Whole(answer) = running.await.expect("no panic") else {
                panic!("seed {seed} gives no whole answer");
            };
            assert_eq!(fault(&schema, &answer), None, "seed {seed}: {answer}");
            answers.insert(answer);
        }
    }
    assert!(answers.len() > 150, "seeds make a difference");
}

/// Objects of any shape may be cut by `max_tokens`; what is whole is an object.
#[tokio::test]
async fn any_object_is_an_object() {
    let engine = Engine::builtin();
    let mut n_whole = 0;
    for seed in 0..12 {
        let request = Request {
            constraint: Some(Constraint::JsonObject),
            ..request(&json!({}), seed, 200)
        };
        match outcome(engine.clone(), request).await {
            Outcome::Whole(answer) => {
                let value: Value = serde_json::from_str(&answer).expect("JSON");
                assert!(value.is_object(), "seed {seed}: {answer}");
                n_whole += 1;
            }
            Outcome::Cut(answer) => assert!(answer.trim_start().starts_with('{')),
            Outcome::Refused(reason) | Outcome::Failed(reason) => panic!("{reason}"),
        }
    }
    assert!(n_whole > 0);
}

#[tokio::test]
async fn answers_to_a_thousand_random_schemas_are_valid_or_refused() {
    let tally = run_schemas(1000).await;
    println!("seed {SEED}: {tally:#?}");
    assert_eq!(tally.valid + tally.refused, 1000);
    assert!(tally.valid > 700, "{tally:?}");
}

#[tokio::test]
async fn a_long_chain_of_references_does_not_end_the_process() {
    let engine = Engine::builtin();
    let mut definitions = Map::new();
    for i in 0..6000 {
        let next = json!({ "$ref": format!("#/$defs/a{}", i + 1) });
        definitions.insert(format!("a{i}"), next);
    }
    definitions.insert("a6000".to_owned(), json!({ "type": "boolean" }));
    let schema = json!({ "$ref": "#/$defs/a0", "$defs": definitions });
    let ask = |schema: &Value| {
        let constraint = Constraint::JsonSchema(schema.to_string());
        engine.generate(Request {
            constraint: Some(constraint),
            max_tokens: Some(8),
            ..Request::new(Prompt::Raw("Is it so?".to_owned()))
        })
    };
    // Whether it is refused or kept: the next request finds the engine well.
    drop(ask(&schema).await);
    let mut kept = ask(&json!({ "type": "boolean" })).await.unwrap();
    let mut text = String::new();
    while let Some(event) = kept.next().await {
        if let Event::Text(piece) = event {
            text += &piece.text;
        }
    }
    assert!(["true", "false"].contains(&text.trim()), "{text}");

    let unchecked =
        json!({ "$ref": "#/components/a", "components": { "a": { "minProperties": 2 } } });
    let error = ask(&unchecked).await.unwrap_err();
    assert!(error.message.contains("$ref"), "{error}");
}
