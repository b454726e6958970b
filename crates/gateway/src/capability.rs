//! What a model cannot take is refused before anything is sent, with the models that can. A route's targets
//! that cannot are passed over for those that can.

use tollgate_base::{Error, Result, quote};
use tollgate_catalog::Catalog;
use tollgate_dialect::{
    ModelTraits,
    ir::{Part, Request},
};

use crate::{
    call::Call,
    plan::{Plan, Target},
    snapshot::Snapshot,
};

/// As many other models as a message names.
const SUGGESTIONS: usize = 3;

/// Something that a request may need and a model may lack.
struct Need {
    /// What the model "does not take".
    what: &'static str,
    field: &'static str,
    is_in: fn(&Request) -> bool,
    has: fn(&ModelTraits) -> Option<bool>,
}

const NEEDS: [Need; 4] = [
    Need {
        what: "images",
        field: "messages",
        is_in: |request| says(request, |part| matches!(part, Part::Image { .. })),
        has: |traits| traits.vision,
    },
    Need {
        what: "documents",
        field: "messages",
        is_in: |request| says(request, |part| matches!(part, Part::Document { .. })),
        has: |traits| traits.pdf,
    },
    Need {
        what: "audio",
        field: "messages",
        is_in: |request| says(request, |part| matches!(part, Part::Audio { .. })),
        has: |traits| traits.audio_input,
    },
    Need {
        what: "tools",
        field: "tools",
        is_in: |request| !request.tools.is_empty(),
        has: |traits| traits.tools,
    },
];

fn says(request: &Request, is_it: fn(&Part) -> bool) -> bool {
    request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .any(|part| match part {
            Part::ToolResult { result, .. } => result.content.iter().any(is_it),
            part => is_it(part),
        })
}

/// Leaves the targets that can take the call; an error when none of them can.
pub(crate) fn narrow(snapshot: &Snapshot, call: &Call, plan: &mut Plan) -> Result<()> {
    let lacks = |target: &Target| {
        let traits = target.traits;
        NEEDS.iter().any(|need| (need.has)(traits) == Some(false))
    };
    // Nearly every model takes everything, or nobody knows: then the request is not looked into.
    if call.dialect.is_embeddings() || !plan.targets.iter().any(lacks) {
        return Ok(());
    }
    // What cannot be read as a conversation is judged by who translates it, or by the provider itself.
    let Ok(request) = call.parse() else {
        return Ok(());
    };
    let missing = |target: &Target| {
        let traits = target.traits;
        NEEDS
            .iter()
            .find(|need| (need.has)(traits) == Some(false) && (need.is_in)(&request))
    };
    if let Some(first) = plan.targets.first()
        && let Some(need) = missing(first)
        && plan.targets.iter().all(|target| missing(target).is_some())
    {
        return Err(refusal(snapshot, first, need));
    }
    plan.targets.retain(|target| missing(target).is_none());
    Ok(())
}

fn refusal(snapshot: &Snapshot, target: &Target, need: &Need) -> Error {
    let able: Vec<String> = snapshot
        .providers
        .values()
        .flat_map(|provider| {
            Catalog::builtin()
                .models(&provider.row.id)
                .filter(|model| {
                    let allowed = provider.models.as_ref();
                    allowed.is_none_or(|allowed| allowed.iter().any(|one| one == model))
                        && (need.has)(provider.traits(model)) == Some(true)
                })
                .map(|model| format!("{}/{model}", provider.name))
        })
        .take(SUGGESTIONS)
        .collect();
    let next = if able.is_empty() {
        "No other model that is configured here is known to.".to_owned()
    } else {
        format!("Models here that do: {}.", able.join(", "))
    };
    let message = format!(
        "The model {} does not take {}. {next}",
        quote(&target.name()),
        need.what
    );
    Error::unsupported(need.field, message)
}
