//! Templates that a hostile model file may have: each ends with a text or an error that says why, and none ends the process.

use tollgate_engine::fuzzing::render;
use tollgate_engine::{Conversation, ErrorKind, Role, Turn};

/// What became of it: a text's length, or a word of the error.
fn outcome(source: &str) -> Result<usize, String> {
    let conversation = Conversation {
        turns: vec![Turn::new(Role::User, "Hi".to_owned())],
        ..Conversation::default()
    };
    match render(source, &conversation) {
        Ok(text) => Ok(text.len()),
        Err(error) => {
            let is_named = matches!(
                error.kind,
                ErrorKind::InvalidParameter { .. } | ErrorKind::UnsupportedModel
            );
            assert!(is_named, "{error:?}");
            Err(error.message)
        }
    }
}

fn repeated(before: &str, n: usize, piece: &str, after: &str) -> String {
    [before, &piece.repeat(n), after].concat()
}

/// Every level of these is a level of recursion in the compiler.
#[test]
fn deep_expressions_do_not_overflow_the_stack() {
    for (before, piece, after) in [
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ ", "(", " }}"),
        ("{{ ", "[", " }}"),
        ("{{ a", ".b", " }}"),
        ("{{ a", "~a", " }}"),
        ("{{ 1", "+1", " }}"),
        ("{{ 1", "|abs", " }}"),
        ("{{ ", "1 if 1 else ", "2 }}"),
        ("", "{% if 1 %}", ""),
    ] {
        let n = 6000;
        let source = repeated(before, n, piece, after);
        println!(
            "{piece:?}: {:?}",
            outcome(&source).map_err(|error| error.len())
        );
    }
    let source = repeated("{{ 1", 1 << 17, "+1", " }}");
    let error = outcome(&source).unwrap_err();
    assert!(error.contains("at most 65536 are read"), "{error}");
}

/// And every level of these when they are walked or freed.
#[test]
fn deep_values_do_not_overflow_the_stack() {
    let unrolled = "{% set ns.x = [ns.x] %}".repeat(100);
    let nest = |used: &str| {
        format!(
            "{{% set ns = namespace(x=[]) %}}{{% for i in range(1600) %}}{unrolled}{{% endfor %}}{used}"
        )
    };
    assert_eq!(outcome(&nest("{{ ns.x | length }}")), Ok(1));
    for used in [
        "{{ ns.x }}",
        "{{ ns.x | tojson }}",
        "{{ ns.x == [ns.x] }}",
        "{{ ns.x | sort }}",
    ] {
        println!(
            "{used}: {:?}",
            outcome(&nest(used)).map_err(|error| error.len())
        );
    }
    let without_end = outcome("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}");
    assert!(without_end.is_err());
}
