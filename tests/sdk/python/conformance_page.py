"""Makes docs/conformance.md of a whole run of the grid.

    conformance_page.py RESULTS            compares it with the page that is there
    conformance_page.py RESULTS --write    writes it
"""

import json
import sys
from pathlib import Path

import grid
from processes import ROOT

PAGE = ROOT / "docs" / "conformance.md"
HEAD = """\
# Conformance

Every client dialect, through the vendors' own SDKs, to every provider dialect: {tested} cells are tested, each by
a test of its own against scripted providers that speak the vendors' documented shapes; {passed} pass. This page is
generated from a run of the tests (`tests/sdk/run.sh grid`), which fails when the page says anything else.

* ✓ the test passed: what the SDK's user sees, and what the provider received
* ✗ the test fails; the note says what is wrong
* – there is no such cell; the note says why, and which of the vendor's documents says so

A tool result, a turn of thinking, structured output, a refusal, an end by the limit, usage, citations and errors
are tested with and without a stream; a test of an error checks the class of the exception that the SDK raises.
The column of OpenAI's Responses shows, for the other dialects, calls with tools of a model that takes them there
alone; every other call to OpenAI goes to its chat completions.
"""


def note(notes, text):
    """The number of a footnote."""
    if text not in notes:
        notes.append(text)
    return f"[{notes.index(text) + 1}](#notes)"


def mark(notes, outcomes, cell):
    if text := grid.reason(*cell):
        return f"– {note(notes, text)}"
    outcome = outcomes["/".join(cell)]
    if outcome == "passed":
        return "✓"
    return f"✗ {note(notes, grid.known_failure(*cell) or 'The test failed in the run that made this page')}"


def page(outcomes):
    notes, tables = [], []
    for client, described in grid.CLIENTS.items():
        columns = list(grid.PROVIDERS)
        tables += ["", f"## {described.title}", ""]
        tables.append("| | " + " | ".join(grid.PROVIDERS[column].title for column in columns) + " |")
        tables.append("|---" * (len(columns) + 1) + "|")
        for feature, title in grid.FEATURES.items():
            marks = [mark(notes, outcomes, (client, column, feature)) for column in columns]
            tables.append(f"| {title} | " + " | ".join(marks) + " |")
    numbered = [f"{number}. {text}." for number, text in enumerate(notes, 1)]
    counts = {"tested": len(outcomes), "passed": list(outcomes.values()).count("passed")}
    return "\n".join([HEAD.format(**counts), *tables[1:], "", "## Notes", "", *numbered, ""])


def main():
    outcomes = json.loads(Path(sys.argv[1]).read_text())
    missing = ["/".join(cell) for cell in grid.cells() if grid.reason(*cell) is None and "/".join(cell) not in outcomes]
    if missing:
        sys.exit(f"{len(missing)} cells were not run, {missing[0]} the first: run the whole grid.")
    made = page(outcomes)
    if "--write" in sys.argv:
        PAGE.write_text(made)
    elif not PAGE.exists() or PAGE.read_text() != made:
        sys.exit("docs/conformance.md is not what this run shows. Write it anew with `tests/sdk/run.sh page`.")


main()
