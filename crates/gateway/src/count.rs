//! How many tokens a call would send: the provider's own count where it can be asked, else by the model's own
//! tokenizer where that is known, else an estimate that says so.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use tollgate_base::{Error, Result};
use tollgate_dialect::{
    RawObject, Target, count_request, counted_call, parse_count, patch_request, render_count,
    render_request,
};
use tollgate_policy::key::Caller;

use crate::{
    Body, Inbound,
    admit::{Asker, CallHold, counted, counter},
    call::Call,
    gateway::{Gateway, permit},
    local,
    plan::{Place, plan},
    provider::read_error,
    reply::{error_response, json_response},
    snapshot::Provider,
};

/// The header that says that a figure was not counted by the model's own tokenizer.
const ESTIMATE: &str = "x-tollgate-estimate";
const MAX_COUNT: usize = 64 * 1024;

/// Tokens, and whether they are an estimate.
struct Count {
    tokens: u64,
    is_estimate: bool,
}

impl Gateway {
    /// Counts the input of a call without making it.
    pub async fn count_tokens(&self, caller: &Arc<Caller>, inbound: Inbound) -> Response<Body> {
        let (dialect, request_id) = (inbound.dialect, inbound.request_id.clone());
        match self.count(caller, inbound).await {
            Ok(count) => {
                let body = render_count(dialect, count.tokens);
                let mut response = json_response(dialect, body, &request_id);
                if count.is_estimate {
                    let header = HeaderValue::from_static("tokens");
                    response.headers_mut().insert(ESTIMATE, header);
                }
                response
            }
            Err(error) => error_response(dialect, &error, &request_id),
        }
    }

    async fn count(&self, caller: &Arc<Caller>, mut inbound: Inbound) -> Result<Count> {
        let snapshot = self.shared.snapshot.load_full();
        let raw = counted_call(inbound.dialect, RawObject::parse(inbound.body)?)?;
        inbound.body = raw.bytes().clone();
        let call = Call::read(inbound)?;
        let mut plan = plan(&snapshot, &call, self.shared.ids.number())?;
        permit(caller, &call, &mut plan)?;
        let Some(target) = plan.targets.first() else {
            return Err(Error::internal("A call was planned without a target."));
        };
        let asker = Asker::new(
            caller,
            call.head.model.clone(),
            "count_tokens",
            Vec::new(),
            self.shared.clock.moment(),
        );
        let mut hold = CallHold::admit(&self.shared, &asker, |_| (0, 0))?;
        hold.serve_here();
        let counted_there = match &target.place {
            Place::Provider(provider) => self.ask_for_count(provider, &target.model, &call).await?,
            Place::Local(model) => Some(local::count(model, &call).await?),
        };
        if let Some(tokens) = counted_there {
            return Ok(Count {
                tokens,
                is_estimate: false,
            });
        }
        // What cannot be counted as a call cannot be one: it is refused as one would be.
        call.parse()?;
        let counter = counter(&snapshot, target);
        Ok(Count {
            tokens: counted(call.dialect, &call.raw, &counter),
            is_estimate: !counter.text().is_exact(),
        })
    }

    /// The provider's count; `None` when it gives none.
    async fn ask_for_count(
        &self,
        provider: &Provider,
        model: &str,
        call: &Call,
    ) -> Result<Option<u64>> {
        let Some(service) = &provider.count else {
            return Ok(None);
        };
        let target = Target {
            model,
            traits: provider.traits(model),
            quirks: &provider.row.quirks,
            max_output: None,
        };
        let rendered = if service.dialect == call.dialect {
            patch_request(call.dialect, &call.raw, target)?
        } else {
            render_request(service.dialect, &call.parse()?, target)?
        };
        let body: Bytes = count_request(service.dialect, rendered.body, model)?;
        let uri = service.path(model, false)?;
        let response = self
            .send(provider, Method::POST, &uri, provider.headers.clone(), body)
            .await
            .map_err(|failure| failure.error)?;
        if !response.status().is_success() {
            return Err(read_error(service.dialect, response, self.shared.clock.now()).await);
        }
        let body = response.into_body().collect(MAX_COUNT).await?;
        parse_count(&body).map(Some)
    }
}
