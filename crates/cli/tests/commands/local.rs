//! Models of this machine in a running service.

use tollgate_testkit::TestHub;

use crate::program::{Home, Service, until};

/// The built-in model's file, which stands for any other.
const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../engine/models/tollgate-demo-q8_0.gguf"
);

fn status(service: &Service, key: &str, model: &str) -> u16 {
    service.chat(key, model, "")
}

#[test]
fn a_pulled_model_is_served_without_a_restart_and_gone_when_it_is_removed() {
    let home = Home::new();
    let bytes = std::fs::read(FILE).unwrap();
    let hub = TestHub::start([("tiny-Q8_0.gguf".to_owned(), bytes)]).unwrap();
    home.configure(&format!("[models]\nhub = \"{}\"\n", hub.url()));
    let service = home.serve();
    let key = home.ok(&["keys", "create", "caller"]);
    until("the new key works", || {
        status(&service, &key, "tollgate-demo") == 200
    });
    assert_eq!(status(&service, &key, "tiny-Q8_0"), 404);

    home.ok(&["models", "pull", "lab/tiny-GGUF:Q8_0"]);
    until("the pulled model is served", || {
        status(&service, &key, "tiny-Q8_0") == 200
    });
    for name in [
        "tollgate/tiny-Q8_0",
        "lab/tiny-GGUF",
        "lab/tiny-GGUF:Q8_0",
        "tollgate/lab/tiny-GGUF:Q8_0",
        "lab/tiny-GGUF/tiny-Q8_0.gguf",
    ] {
        assert_eq!(status(&service, &key, name), 200, "{name}");
    }

    home.ok(&["models", "rm", "tiny-Q8_0", "--yes"]);
    until("the removed model is gone", || {
        status(&service, &key, "tiny-Q8_0") == 404
    });
    assert_eq!(status(&service, &key, "tollgate-demo"), 200);
}

#[test]
fn a_registered_file_is_served_where_it_lies_and_a_route_may_lead_to_it() {
    let home = Home::new();
    let path = home.path().join("own.gguf");
    std::fs::copy(FILE, &path).unwrap();
    home.configure("built_in_model = false\n[routes.small]\ntargets = [\"tollgate/own\", \"tollgate/absent\"]\n");
    home.ok(&["models", "pull", path.to_str().unwrap()]);
    let service = home.serve();
    let key = home.ok(&["keys", "create", "caller"]);
    until("the new key works", || status(&service, &key, "own") == 200);
    assert_eq!(status(&service, &key, "small"), 200);
    assert_eq!(status(&service, &key, "tollgate-demo"), 404);
}
