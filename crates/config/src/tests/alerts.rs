//! Channels of alerts: who is told, and what keeps an address from leading elsewhere.

use tollgate_base::Money;

use super::{config, mistakes};
use crate::{AlertEvent, AlertWay, MailTls, Reach};

#[test]
fn each_kind_of_channel_is_read() {
    let config = config(
        "[alerting]\nunusual_factor = 7\nunusual_floor = 2.5\n\
         [alerts.hook]\nkind = \"webhook\"\nurl = \"https://hooks.example.com/a/canary?k=v\"\nsecret_env = \"HOOK\"\n\
         events = [\"budget\"]\nscopes = [\"team:t\"]\n\
         [alerts.mail]\nkind = \"email\"\nserver = \"smtp.example.com\"\ntls = \"implicit\"\nusername = \"u\"\n\
         password_env = \"MAIL\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n",
        &[("HOOK", "canary-secret"), ("MAIL", "canary password")],
    );
    assert_eq!(config.alerting.factor, 7);
    assert_eq!(config.alerting.floor, Money::from_nanos(2_500_000_000));
    let [hook, mail] = config.alerts.as_slice() else {
        panic!("two channels");
    };
    let AlertWay::Webhook { url, secret } = &hook.way else {
        panic!("a webhook");
    };
    assert_eq!(url.origin.as_str(), "https://hooks.example.com");
    assert_eq!(url.target.expose(), "/a/canary?k=v");
    assert_eq!(secret.as_ref().unwrap().expose(), "canary-secret");
    assert_eq!(hook.events, Some(vec![AlertEvent::Budget]));
    let AlertWay::Email(mail) = &mail.way else {
        panic!("a mail");
    };
    assert_eq!(
        (mail.host.as_str(), mail.port, mail.tls, mail.reach),
        ("smtp.example.com", 465, MailTls::Implicit, Reach::Public)
    );
    let shown = format!("{}{config:?}", config.effective_toml());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_channel_that_cannot_be_or_must_not_be_is_refused_with_its_place() {
    let hook = "[alerts.a]\nkind = \"webhook\"\n";
    let mail = "[alerts.a]\nkind = \"email\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]\n";
    for (text, said) in [
        (
            "[alerts.a]".to_owned(),
            "tollgate.toml:1:9: alerts.a: `kind` is missing",
        ),
        (
            hook.to_owned(),
            "tollgate.toml:1:9: alerts.a: `url` is missing",
        ),
        (
            format!("{hook}url = \"https://10.0.0.1/x\""),
            "tollgate.toml:3:7: alerts.a.url: leads to a private address",
        ),
        (
            format!("{hook}url = \"http://example.com/x\""),
            "tollgate.toml:3:7: alerts.a.url: the URL would send alerts in plain text",
        ),
        (
            format!(
                "{hook}allow_private = true\nallow_http = true\nurl = \"http://169.254.169.254/latest\""
            ),
            "tollgate.toml:5:7: alerts.a.url: the URL leads to an address that serves no models",
        ),
        (
            format!("{hook}url = \"https://example.com/x\"\nfrom = \"a@b\""),
            "tollgate.toml:4:8: alerts.a.from: `webhook` has no from",
        ),
        (
            format!("{hook}url = \"https://example.com/x\"\nevents = [\"budgets\"]"),
            "tollgate.toml:4:11: alerts.a.events: is no event",
        ),
        (
            format!("{hook}url = \"https://example.com/x\"\nsecret = \"s\"\nsecret_env = \"S\""),
            "tollgate.toml:5:14: alerts.a.secret_env: the secret has two sources",
        ),
        (
            format!("{mail}server = \"smtp.example.com:25\"\ntls = \"none\""),
            "tollgate.toml:6:7: alerts.a.tls: would send mail in plain text",
        ),
        (
            format!("{mail}server = \"10.0.0.9\""),
            "tollgate.toml:5:10: alerts.a.server: leads to a private address",
        ),
        (
            format!("{mail}server = \"smtp.example.com\"\nusername = \"u\""),
            "tollgate.toml:1:9: alerts.a: has a user name and no password",
        ),
        (
            "[alerts.a]\nkind = \"email\"\nserver = \"localhost\"\nfrom = \"a@b.example\"\n\
             to = [\"c@d.example>\\r\\nRCPT TO:<e@f.example\"]"
                .to_owned(),
            "tollgate.toml:5:7: alerts.a.to: is no mail address",
        ),
    ] {
        let all = mistakes(&text, &[("S", "s")]);
        assert!(
            all.len() == 1 && all[0].starts_with(said),
            "\n{text}\nsaid     {all:?}\nexpected {said}"
        );
    }
}
