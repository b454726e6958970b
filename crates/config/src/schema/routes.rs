//! The settings of `[routes.<model name>]`.

use super::{Kind, Setting};
use crate::{
    draft::RouteDraft,
    model::{Disconnect, NearBudget, Strategy},
};

pub(crate) static ROUTE_SETTINGS: &[Setting<RouteDraft>] = &[
    Setting {
        path: "targets",
        kind: Kind::List(slot!(targets)),
        doc: "What serves this name, as `provider/model`; at least one. `tollgate/…` is a model of this machine.",
        absent: "required",
        example: "[\"openai/gpt-4o\", \"anthropic/claude-sonnet-4-5\"]",
    },
    Setting {
        path: "strategy",
        kind: Kind::Choice {
            names: Strategy::NAMES,
            slot: slot!(strategy),
        },
        doc: "`order`: the first target serves, the next ones when it cannot. `spread`: calls are spread over the targets.",
        absent: "",
        example: "\"spread\"",
    },
    Setting {
        path: "strict",
        kind: Kind::Flag(slot!(strict)),
        doc: "As the global `strict`, for this route alone.",
        absent: "the global `strict`",
        example: "true",
    },
    Setting {
        path: "near_budget",
        kind: Kind::Choice {
            names: NearBudget::NAMES,
            slot: slot!(near_budget),
        },
        doc: "When a budget has room for a part of the answer only: `clamp` the largest output to what is left, `cheaper`: try the route's other targets first, the cheapest first, or `refuse`.",
        absent: "",
        example: "\"cheaper\"",
    },
    Setting {
        path: "on_disconnect",
        kind: Kind::Choice {
            names: Disconnect::NAMES,
            slot: slot!(on_disconnect),
        },
        doc: "As `ledger.on_disconnect`, for this route alone.",
        absent: "the global `ledger.on_disconnect`",
        example: "\"drain\"",
    },
];
