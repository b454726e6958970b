//! Applications of Entra, and managed identities.

use serde_json::json;
use tollgate_base::Secret;
use tollgate_base::UnixMillis;
use tollgate_credentials::AzureMachine;
use tollgate_credentials::Credentials;
use tollgate_credentials::Entra;

use crate::script::HOUR;
use crate::script::NOW;
use crate::script::bearer;
use crate::script::refused;
use crate::script::script;

pub(crate) fn entra() -> Credentials {
    Credentials::entra(Entra {
        tenant: "contoso.example".to_owned(),
        client_id: "app".to_owned(),
        secret: Secret::new("canary~secret"),
        authority: None,
    })
    .unwrap()
}

#[test]
fn an_entra_application_sends_its_client_credentials() {
    let script = script([(
        200,
        json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "e"}),
    )]);
    assert_eq!(bearer(&entra(), &script, NOW), "Bearer e");
    assert_eq!(
        script.asked(),
        [
            "POST https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials&client_id=app&client_secret=canary~secret\
         &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        ]
    );
    let plain = Entra {
        tenant: "t".to_owned(),
        client_id: "app".to_owned(),
        secret: Secret::new("canary"),
        authority: Some("http://login.example".to_owned()),
    };
    refused(&Credentials::entra(plain).unwrap_err(), "no https address");
}

#[test]
fn a_machine_on_azure_asks_for_the_identity_that_is_named() {
    let answer =
        json!({"access_token": "m", "expires_in": "3599", "resource": "r", "token_type": "Bearer"});
    let script = script([(200, answer)]);
    let machine = AzureMachine {
        client_id: Some("id".to_owned()),
        metadata: None,
    };
    let credentials = Credentials::azure_machine(&machine);
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer m");
    assert_eq!(
        bearer(&credentials, &script, UnixMillis(NOW.0 + HOUR / 2)),
        "Bearer m"
    );
    assert_eq!(
        script.asked(),
        [
            "GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01\
         &resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=id\nmetadata: true"
        ]
    );
}
