//! The distribution as a picture: a group of bars for each token, a bar for each step.

use std::fmt::Write as _;

use super::{Shown, Step, percent, visible};

const BAR: usize = 9;
const GAP: usize = 10;
const LEFT: usize = 150;
const TOP: usize = 64;
const WIDTH: usize = 560;
/// One for each step; told apart without colours by their lightness, too.
const COLOURS: [&str; 5] = ["#9ca3af", "#60a5fa", "#2563eb", "#1e3a8a", "#f59e0b"];

pub(super) fn draw(shown: &Shown<'_>) -> String {
    let rows = &shown.table.rows;
    let group = shown.steps.len() * BAR + GAP;
    let height = TOP + rows.len() * group + 16;
    let width = LEFT + WIDTH + 80;
    let most = rows
        .iter()
        .flat_map(|row| shown.steps.iter().map(|step| (step.of)(row)))
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut out = String::new();
    push(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"12\" y=\"22\" font-size=\"13\">{0}</text>\n",
            escaped(&shown.title())
        ),
    );
    legend(&mut out, &shown.steps);
    for (at, row) in rows.iter().enumerate() {
        let y = TOP + at * group;
        let middle = y + shown.steps.len() * BAR / 2 + 4;
        push(
            &mut out,
            format_args!(
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" font-family=\"monospace\">{}</text>\n",
                LEFT - 8,
                escaped(&visible(&row.text))
            ),
        );
        for (i, (step, colour)) in shown.steps.iter().zip(COLOURS).enumerate() {
            let share = (step.of)(row);
            push(
                &mut out,
                format_args!(
                    "<rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\">\
                     <title>{}: {} %</title></rect>\n",
                    y + i * BAR,
                    share / most * f64::from(u16::try_from(WIDTH).unwrap_or(u16::MAX)),
                    BAR - 1,
                    step.name,
                    percent(share)
                ),
            );
        }
    }
    out.push_str("</svg>");
    out
}

fn legend(out: &mut String, steps: &[Step]) {
    let mut x = LEFT;
    for (step, colour) in steps.iter().zip(COLOURS) {
        push(
            out,
            format_args!(
                "<rect x=\"{x}\" y=\"36\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"45\">{}</text>\n",
                x + 14,
                step.name
            ),
        );
        x += 40 + step.name.len() * 7;
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    if out.write_fmt(text).is_err() {
        // A string does not fail to grow.
    }
}
