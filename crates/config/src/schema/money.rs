//! The settings of money: `[prices.<target>]`, `[limits.<name>]`, `[budgets.<name>]`.

use tollgate_policy::rules::{Measure, Period};

use super::{Kind, Setting};
use crate::draft::{BudgetDraft, LimitDraft, PriceDraft};

const MEASURES: [&str; Measure::ALL.len()] = {
    let mut words = [""; Measure::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = Measure::ALL[i].0;
        i += 1;
    }
    words
};

const PERIODS: [&str; Period::ALL.len()] = {
    let mut words = [""; Period::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = Period::ALL[i].0;
        i += 1;
    }
    words
};

pub(crate) static PRICE_SETTINGS: &[Setting<PriceDraft>] = &[
    Setting {
        path: "free",
        kind: Kind::Flag(slot!(free)),
        doc: "It costs nothing, which is not the same as a price that is not known.",
        absent: "",
        example: "true",
    },
    Setting {
        path: "input",
        kind: Kind::Rate(slot!(input)),
        doc: "Dollars for a million input tokens.",
        absent: "unknown",
        example: "2.50",
    },
    Setting {
        path: "output",
        kind: Kind::Rate(slot!(output)),
        doc: "Dollars for a million output tokens.",
        absent: "unknown",
        example: "2.50",
    },
    Setting {
        path: "cache_read",
        kind: Kind::Rate(slot!(cache_read)),
        doc: "Dollars for a million input tokens read from the provider's prompt cache.",
        absent: "as `input`",
        example: "2.50",
    },
    Setting {
        path: "cache_write",
        kind: Kind::Rate(slot!(cache_write)),
        doc: "Dollars for a million input tokens written to the prompt cache.",
        absent: "as `input`",
        example: "2.50",
    },
    Setting {
        path: "cache_write_1h",
        kind: Kind::Rate(slot!(cache_write_1h)),
        doc: "Dollars for a million input tokens written to the prompt cache for its longer lifetime.",
        absent: "as `cache_write`",
        example: "2.50",
    },
    Setting {
        path: "reasoning",
        kind: Kind::Rate(slot!(reasoning)),
        doc: "Dollars for a million output tokens spent on reasoning.",
        absent: "as `output`",
        example: "2.50",
    },
    Setting {
        path: "audio_input",
        kind: Kind::Rate(slot!(audio_input)),
        doc: "Dollars for a million audio tokens of the input.",
        absent: "as `input`",
        example: "2.50",
    },
    Setting {
        path: "audio_output",
        kind: Kind::Rate(slot!(audio_output)),
        doc: "Dollars for a million audio tokens of the output.",
        absent: "as `output`",
        example: "2.50",
    },
    Setting {
        path: "image_input",
        kind: Kind::Rate(slot!(image_input)),
        doc: "Dollars for a million image tokens of the input.",
        absent: "as `input`",
        example: "2.50",
    },
    Setting {
        path: "image_output",
        kind: Kind::Rate(slot!(image_output)),
        doc: "Dollars for a million image tokens of the output.",
        absent: "as `output`",
        example: "2.50",
    },
    Setting {
        path: "image",
        kind: Kind::Rate(slot!(image)),
        doc: "Dollars for a million images.",
        absent: "unknown",
        example: "2.50",
    },
    Setting {
        path: "audio_second",
        kind: Kind::Rate(slot!(audio_second)),
        doc: "Dollars for a million seconds of sound.",
        absent: "unknown",
        example: "2.50",
    },
    Setting {
        path: "character",
        kind: Kind::Rate(slot!(character)),
        doc: "Dollars for a million characters of text to be spoken.",
        absent: "unknown",
        example: "2.50",
    },
    Setting {
        path: "search",
        kind: Kind::Rate(slot!(search)),
        doc: "Dollars for a million searches that the provider runs.",
        absent: "unknown",
        example: "2.50",
    },
];

pub(crate) static LIMIT_SETTINGS: &[Setting<LimitDraft>] = &[
    Setting {
        path: "scope",
        kind: Kind::Text(slot!(scope)),
        doc: "Whom it holds for, all together: `gateway`, `team:<id>`, `project:<id>`, `key:<id>`, `model:<name>` (a name that callers use, or `provider/model`), `provider:<name>`.",
        absent: "required",
        example: "\"provider:openai\"",
    },
    Setting {
        path: "measure",
        kind: Kind::Choice {
            names: &MEASURES,
            slot: slot!(measure),
        },
        doc: "What is measured. A limit per second, minute or day holds for every stretch of that length, not only from one full minute to the next.",
        absent: "required",
        example: "\"tokens-per-minute\"",
    },
    Setting {
        path: "most",
        kind: Kind::Count {
            min: 0,
            max: 1_000_000_000_000,
            slot: slot!(most),
        },
        doc: "The most of it; 0 blocks.",
        absent: "required",
        example: "200000",
    },
];

pub(crate) static BUDGET_SETTINGS: &[Setting<BudgetDraft>] = &[
    Setting {
        path: "scope",
        kind: Kind::Text(slot!(scope)),
        doc: "Whose money it is: as the `scope` of a limit.",
        absent: "required",
        example: "\"team:team_4kX\"",
    },
    Setting {
        path: "limit",
        kind: Kind::Amount(slot!(limit)),
        doc: "Dollars in each period; 0 blocks.",
        absent: "required",
        example: "250",
    },
    Setting {
        path: "period",
        kind: Kind::Choice {
            names: &PERIODS,
            slot: slot!(period),
        },
        doc: "How long it is for. A week begins on Monday; `total` never ends.",
        absent: "",
        example: "\"week\"",
    },
    Setting {
        path: "zone",
        kind: Kind::Text(slot!(zone)),
        doc: "The time zone in which a day, a week or a month begins, by its IANA name.",
        absent: "",
        example: "\"Europe/Berlin\"",
    },
    Setting {
        path: "hard",
        kind: Kind::Flag(slot!(hard)),
        doc: "A wall: a call that could go beyond it is refused before it is sent. `false`: it only tells.",
        absent: "",
        example: "false",
    },
    Setting {
        path: "thresholds",
        kind: Kind::List(slot!(thresholds)),
        doc: "Shares of the limit at which an alert is sent, each once in a period.",
        absent: "",
        example: "[\"50%\", \"90%\"]",
    },
];
