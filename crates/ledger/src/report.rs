//! Reports as text: CSV after RFC 4180, and JSON. Money is in dollars, exact, as decimal text.

use serde_json::{Map, Value};
use tollgate_policy::ledger::{Group, Listed, ReportRow};

/// The columns after the groups' own.
const FIGURES: [&str; 14] = [
    "requests",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost",
    "cost_reported",
    "cost_estimated",
    "cost_corrected",
    "unpriced_attempts",
    "unknown_attempts",
    "held_by_unknown",
    "currency",
];

/// The report as CSV, with a line of names.
pub fn to_csv(groups: &[Group], rows: &[ReportRow]) -> String {
    let names = groups.iter().map(ToString::to_string);
    let mut out = String::new();
    csv_line(names.chain(FIGURES.map(str::to_owned)), &mut out);
    for row in rows {
        let figures = figures(row).map(|(_, figure)| figure.into_text());
        csv_line(row.values.iter().cloned().chain(figures), &mut out);
    }
    out
}

/// The report as a JSON array of objects.
pub fn to_json(groups: &[Group], rows: &[ReportRow]) -> String {
    let objects = rows.iter().map(|row| {
        let names = groups.iter().map(ToString::to_string);
        let values = row.values.iter().cloned().map(Value::String);
        let figures = figures(row).map(|(name, figure)| (name.to_owned(), figure.into_json()));
        Value::Object(names.zip(values).chain(figures).collect::<Map<_, _>>())
    });
    Value::Array(objects.collect()).to_string()
}

/// Attempts as CSV, with a line of names.
pub fn attempts_to_csv(attempts: &[Listed]) -> String {
    let mut out = String::new();
    for (at, listed) in attempts.iter().enumerate() {
        let fields = fields(listed);
        if at == 0 {
            csv_line(fields.iter().map(|(name, _)| (*name).to_owned()), &mut out);
        }
        csv_line(
            fields.into_iter().map(|(_, figure)| figure.into_text()),
            &mut out,
        );
    }
    out
}

/// Attempts as a JSON array of objects.
pub fn attempts_to_json(attempts: &[Listed]) -> String {
    let objects = attempts.iter().map(|listed| {
        let fields = fields(listed).into_iter();
        let mut object: Map<_, _> = fields
            .map(|(name, figure)| (name.to_owned(), figure.into_json()))
            .collect();
        let tags = listed.attempt.opening.tags.iter();
        let tags = tags.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        object.insert("tags".to_owned(), Value::Object(tags.collect()));
        Value::Object(object)
    });
    Value::Array(objects.collect()).to_string()
}

enum Figure {
    Number(u64),
    Text(String),
    Nothing,
}

impl Figure {
    fn into_text(self) -> String {
        match self {
            Figure::Number(number) => number.to_string(),
            Figure::Text(text) => text,
            Figure::Nothing => String::new(),
        }
    }

    fn into_json(self) -> Value {
        match self {
            Figure::Number(number) => Value::from(number),
            Figure::Text(text) => Value::from(text),
            Figure::Nothing => Value::Null,
        }
    }
}

fn figures(row: &ReportRow) -> impl Iterator<Item = (&'static str, Figure)> {
    FIGURES.into_iter().zip([
        Figure::Number(row.requests),
        Figure::Number(row.attempts),
        Figure::Number(row.input_tokens),
        Figure::Number(row.output_tokens),
        Figure::Number(row.cache_read_tokens),
        Figure::Number(row.cache_write_tokens),
        Figure::Text(row.cost().to_decimal()),
        Figure::Text(row.cost_reported.to_decimal()),
        Figure::Text(row.cost_estimated.to_decimal()),
        Figure::Text(row.cost_corrected.to_decimal()),
        Figure::Number(row.unpriced),
        Figure::Number(row.unknown),
        Figure::Text(row.held_unknown.to_decimal()),
        Figure::Text("USD".to_owned()),
    ])
}

fn fields(listed: &Listed) -> Vec<(&'static str, Figure)> {
    let attempt = &listed.attempt;
    let opening = &attempt.opening;
    let settled = attempt.settlement.as_ref();
    let text = |text: &str| Figure::Text(text.to_owned());
    let number = |number: Option<u64>| number.map_or(Figure::Nothing, Figure::Number);
    let money = |money: Option<tollgate_base::Money>| {
        money.map_or(Figure::Nothing, |money| Figure::Text(money.to_decimal()))
    };
    let usage = settled.map(|settlement| settlement.usage);
    vec![
        ("request_id", text(&opening.id.request_id)),
        ("attempt", Figure::Number(u64::from(opening.id.number))),
        ("state", text(attempt.state.as_str())),
        ("admitted_at_ms", Figure::Number(opening.at.0)),
        ("key", text(&opening.key_id)),
        ("project", text(opening.project_id.as_deref().unwrap_or(""))),
        ("team", text(opening.team_id.as_deref().unwrap_or(""))),
        ("operation", text(&opening.operation)),
        ("dialect", text(&opening.dialect)),
        ("route", text(&opening.route)),
        ("provider", text(&opening.provider)),
        ("model", text(&opening.model)),
        (
            "outcome",
            text(settled.map_or("", |settlement| settlement.outcome.as_str())),
        ),
        (
            "code",
            text(settled.map_or("", |settlement| &settlement.code)),
        ),
        (
            "input_tokens",
            number(usage.map(|usage| usage.input_total())),
        ),
        (
            "output_tokens",
            number(usage.map(|usage| usage.output_total())),
        ),
        (
            "usage_from",
            text(usage.map_or("", |usage| usage.provenance.as_str())),
        ),
        ("held", money(opening.held)),
        ("cost", money(attempt.cost())),
        ("price_version", text(&opening.price_version)),
        (
            "unit_prices",
            text(settled.map_or("", |settlement| &settlement.unit_prices)),
        ),
        (
            "cost_corrected",
            money(listed.correction.as_ref().map(|correction| correction.cost)),
        ),
        (
            "first_event_ms",
            number(settled.and_then(|settlement| settlement.first_event_ms)),
        ),
        (
            "duration_ms",
            number(settled.map(|settlement| settlement.duration_ms)),
        ),
    ]
}

/// Appends a line of CSV.
pub fn csv_line(fields: impl Iterator<Item = String>, out: &mut String) {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        csv_field(&field, out);
    }
    out.push_str("\r\n");
}

/// A spreadsheet takes a field that begins with one of these for a formula, so it gets an apostrophe.
/// Amounts below zero are numbers and stay.
fn csv_field(field: &str, out: &mut String) {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r'])
        && field.parse::<i128>().is_err()
        && !is_amount(field);
    let field = if is_formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains(['"', ',', '\r', '\n']) {
        out.push('"');
        out.push_str(&field.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(&field);
    }
}

fn is_amount(field: &str) -> bool {
    let digits = field.strip_prefix('-').unwrap_or("");
    let are = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .split_once('.')
        .is_some_and(|(whole, fraction)| are(whole) && are(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_base::Money;

    #[test]
    fn no_field_of_a_csv_is_a_formula_or_breaks_its_line() {
        for (value, written) in [
            ("plain", "plain"),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1+1", "'+1+1"),
            ("-2+3", "'-2+3"),
            ("@sum", "'@sum"),
            ("\tx", "'\tx"),
            ("a,b", "\"a,b\""),
            ("a\r\nb", "\"a\r\nb\""),
        ] {
            let row = ReportRow {
                values: vec![value.to_owned()],
                cost_estimated: Money::from_nanos(-1_500_000_000),
                ..ReportRow::default()
            };
            let csv = to_csv(&[Group::Key], &[row]);
            assert!(
                csv.ends_with(&format!(
                    "\r\n{written},0,0,0,0,0,0,-1.50,0.00,-1.50,0.00,0,0,0.00,USD\r\n"
                )),
                "{csv}"
            );
        }
    }

    #[test]
    fn json_has_every_figure_by_its_name() {
        let row = ReportRow {
            values: vec!["a\"b".to_owned()],
            requests: 2,
            cost_reported: Money::from_nanos(1),
            ..ReportRow::default()
        };
        let json = to_json(&[Group::Tag("team".to_owned())], &[row]);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value[0]["tag:team"], "a\"b");
        assert_eq!(value[0]["requests"], 2);
        assert_eq!(value[0]["cost"], "0.000000001");
    }
}
