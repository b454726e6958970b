//! What the admin API had promised when the gateway died, and whether the next start keeps it.

use serde_json::Value;

use crate::api::Api;
use crate::client::Client;
use crate::dice::Dice;
use crate::gateway::{Gateway, Place};
use crate::report::Report;
use crate::stage::call;

/// The overlap outlives the trial: the old text must work whatever became of the rotation.
const ROTATION: &str = r#"{"overlap_seconds":3600}"#;

#[derive(Debug)]
pub(super) enum Promise {
    Nothing,
    /// The rotation of the callers' key was under way. When it was answered after all, this is the new text.
    Key(Option<String>),
    /// Limits that were answered as made.
    Limits(Vec<String>),
}

impl Promise {
    /// Rotates the callers' key.
    pub(super) async fn of_rotation(admin: &Api) -> Self {
        Self::Key(rotate(admin).await.ok())
    }

    /// Whether everything promised is there. That the old text of the key works the trial's own calls show.
    pub(super) async fn check(&self, gateway: &Gateway, place: &Place, report: &mut Report) {
        let admin = Api::admin(gateway.addr, place.admin_key());
        let checked = match self {
            Self::Nothing => return,
            Self::Key(told) => check_key(&admin, gateway, told.as_deref()).await,
            Self::Limits(made) => check_limits(&admin, made).await,
        };
        if let Err(what) = checked {
            report.violation(what);
        }
        match admin.get("audit/verify").await {
            Ok(found) => report.expect(found["sound"] == true, || {
                format!("the audit log is not sound: {found}")
            }),
            Err(what) => report.violation(what),
        }
    }
}

/// The key is in one whole state: it can be rotated, and every text that anybody was told works.
async fn check_key(admin: &Api, gateway: &Gateway, told: Option<&str>) -> Result<(), String> {
    let key = callers_key(admin).await?;
    if key["state"] != "active" {
        return Err(format!("the key is not in use: {key}"));
    }
    let newest = rotate(admin).await?;
    for text in told.into_iter().chain([newest.as_str()]) {
        let call = call(&mut Dice::new(2), "tokens:3", 100);
        let answer = Client::new(gateway.addr, text).send(&call).await;
        if !answer.is_whole(&call) {
            return Err(format!(
                "a text of the key is refused with {}",
                answer.status
            ));
        }
    }
    Ok(())
}

async fn check_limits(admin: &Api, made: &[String]) -> Result<(), String> {
    let listed = admin.get("limits").await?;
    let is_there = |id: &String| {
        listed["data"]
            .as_array()
            .is_some_and(|limits| limits.iter().filter(|limit| limit["id"] == **id).count() == 1)
    };
    match made.iter().find(|id| !is_there(id)) {
        Some(id) => Err(format!("{id} was made, and is not listed once: {listed}")),
        None => Ok(()),
    }
}

async fn rotate(admin: &Api) -> Result<String, String> {
    let key = callers_key(admin).await?;
    let id = key["id"].as_str().unwrap_or_default();
    let minted = admin.post(&format!("keys/{id}/rotate"), ROTATION).await?;
    let text = minted["token"].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("a rotation without a text: {minted}"))
}

/// The one key of the trial that makes calls.
async fn callers_key(admin: &Api) -> Result<Value, String> {
    let listed = admin.get("keys?role=model").await?;
    match listed["data"].as_array().map(Vec::as_slice) {
        Some([key]) => Ok(key.clone()),
        _ => Err(format!("not one key for callers: {listed}")),
    }
}
