//! The reference page of the admin API, made of the table of routes.

use std::fmt::Write as _;

use tollgate_policy::key::AdminRole;

use crate::{
    routes::{Answer, ROUTES, Route},
    schema::{Field, Kind, Need},
};

const HEAD: &str = "# The admin API

<!-- Generated: TOLLGATE_BLESS=1 cargo test -p tollgate-api -->

Everything that administrators do, over HTTP. The same as an OpenAPI 3.1 document: `openapi-admin.json`, or
`GET /admin/v1/openapi.json` of a running gateway.

- **Who.** Every request carries an admin key: `Authorization: Bearer sk-tga-…`. Keys that call models are refused
  here with `route_not_allowed`, and admin keys are refused on the routes of models. A viewer reads, a manager also
  changes model keys, teams, projects, budgets and limits, an owner does everything. Only owners make or change admin
  keys. A key that is bound to source networks is bound to them here, too.
- **Amounts** are JSON numbers of dollars with at most nine decimals, exact: read them as decimals. A limit of 0 blocks;
  for no bound, have no budget. **Times** are RFC 3339.
- **Fields** that are not known, or cannot be written, are refused with `unknown_field`, and so are parameters.
- **Versions.** An object comes with an `ETag`. `PATCH`, `PUT` and `DELETE` need it in `If-Match` (428
  `if_match_required` without) and are refused with 409 `conflict` when the object has changed since. `If-Match: *`
  takes any version. Other methods take `If-Match`, too, and do not need it.
- **Trying again.** A `POST` with an `Idempotency-Key` is made once: the same request within 24 hours gets the same
  answer, another one under the same key gets 422 `idempotency_mismatch`. Answers are remembered in memory, the newest
  10,000, and not across a restart; what failed is not remembered.
- **Errors** look like OpenAI's: `{\"error\":{\"message\",\"type\",\"param\",\"code\"}}`. What is not there, or not yours to
  see, is 404 `not_found`.
- **Records stay.** Nothing of the ledger and of the audit log can be changed or deleted; every change of anything else
  is an entry of the audit log.

A change is in force for calls of this process before its answer is sent, and for other processes of the same data
folder within a second.

| Method | Path | Who | What |
|---|---|---|---|
";

/// The page, in Markdown.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    for route in ROUTES {
        let line = format!(
            "| {} | `{}` | {} | {} |\n",
            route.method,
            route.path,
            who(route),
            route.summary
        );
        out.push_str(&line);
    }
    for route in ROUTES {
        details(route, &mut out);
    }
    out
}

/// The least role that may use it.
fn who(route: &Route) -> &'static str {
    AdminRole::ALL
        .into_iter()
        .rev()
        .find(|role| role.may(route.permission))
        .map_or("", AdminRole::as_str)
}

fn details(route: &Route, out: &mut String) {
    let mut add = |text: std::fmt::Arguments<'_>| {
        if out.write_fmt(text).is_err() {
            // A string does not fail to grow.
        }
    };
    if route.request.is_none() && route.query.is_empty() {
        return;
    }
    add(format_args!(
        "\n## {} {}\n\n{}\n\n",
        route.method, route.path, route.summary
    ));
    for field in route.query {
        add(format_args!("{}\n", line(field)));
    }
    if let Some(shape) = route.request {
        for field in shape.fields {
            add(format_args!("{}\n", line(field)));
        }
    }
    let answer = match route.answer {
        Answer::Object(shape) | Answer::Table(shape) | Answer::Created(shape) => shape.name,
        Answer::Nothing | Answer::Document => return,
    };
    add(format_args!("\nAnswers `{answer}`.\n"));
}

fn line(field: &Field) -> String {
    let need = if field.need == Need::Required {
        ", needed"
    } else {
        ""
    };
    format!(
        "- `{}` ({}{need}): {}",
        field.name,
        word(field.kind),
        field.doc
    )
}

fn word(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Word(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Whole(from, u64::MAX) => format!("whole number from {from}"),
        Kind::Whole(from, to) => format!("whole number, {from} to {to}"),
        Kind::Bool => "true or false".to_owned(),
        Kind::Amount | Kind::SignedAmount => "dollars".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Texts => "texts".to_owned(),
        Kind::Wholes(from, to) => format!("whole numbers, {from} to {to}"),
        Kind::Object(shape) => format!("object `{}`", shape.name),
        Kind::List(shape) => format!("list of `{}`", shape.name),
        Kind::Texted => "names with texts".to_owned(),
        Kind::Any => "object".to_owned(),
    }
}
