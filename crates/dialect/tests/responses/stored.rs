//! The gateway's own store of responses.

use super::*;

#[test]
fn a_stored_turn_is_found_in_the_next_ones_input() {
    let first = raw(
        r#"{"model":"m","instructions":"Rhyme.","input":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]},{"type":"function_call_output","call_id":"c","output":"x"}]}"#,
    );
    let mut kept = input_items(&first, "resp_1").unwrap();
    let schemas = Schemas::new();
    let page = input_items_page(&kept, None, 20, ItemOrder::Oldest).unwrap();
    schemas.check("ResponseItemList", &serde_json::from_slice(&page).unwrap());
    // The same call gives the same ids.
    assert_eq!(kept, input_items(&first, "resp_1").unwrap());
    let answer = json!({"type":"message","id":"msg_9","status":"completed","role":"assistant","content":[{"type":"output_text","text":"B","annotations":[]}]});
    let response = Bytes::from(json!({"id":"resp_1","output":[answer]}).to_string());
    kept.extend(output_items(&response).unwrap());
    let next = raw(
        r#"{"model":"m","previous_response_id":"resp_1","store":true,"background":false,"conversation":null,"input":[{"type":"item_reference","id":"msg_9"},{"role":"user","content":"More"}],"temperature":1}"#,
    );
    let expanded = expanded_request(&next, &kept).unwrap();
    let value: Value = serde_json::from_slice(&expanded).unwrap();
    assert_eq!(value["input"].as_array().unwrap().len(), 6);
    assert_eq!(value["input"][4], answer);
    assert_eq!(value["input"][5], json!({"role":"user","content":"More"}));
    assert_eq!(value["input"][0]["id"], json!(null));
    for name in [
        "previous_response_id",
        "store",
        "background",
        "conversation",
        "instructions",
    ] {
        assert!(value.get(name).is_none(), "{name}");
    }
    let parsed = parse_request(
        Dialect::OpenAiResponses,
        &RawObject::parse(expanded).unwrap(),
    )
    .unwrap();
    assert_eq!(parsed.messages.len(), 6);
}

#[test]
fn a_text_alone_is_kept_as_a_message() {
    let kept = input_items(&raw(r#"{"model":"m","input":"Q \"x\""}"#), "resp_1").unwrap();
    let item: Value = serde_json::from_str(&kept[0]).unwrap();
    assert_eq!(
        item["content"],
        json!([{"type":"input_text","text":"Q \"x\""}])
    );
    let next = expanded_request(&raw(r#"{"model":"m","input":"R"}"#), &kept).unwrap();
    let next: Value = serde_json::from_slice(&next).unwrap();
    assert_eq!(next["input"][1], json!({"role":"user","content":"R"}));
}

#[test]
fn items_are_listed_in_pages() {
    let items: Vec<String> = (0..5)
        .map(|n| json!({"id":format!("msg_{n}")}).to_string())
        .collect();
    let page = |after: Option<&str>, order| -> (Vec<String>, bool) {
        let page = input_items_page(&items, after, 2, order).unwrap();
        let page: Value = serde_json::from_slice(&page).unwrap();
        let data = page["data"].as_array().unwrap();
        assert_eq!(page["first_id"], data[0]["id"]);
        assert_eq!(page["last_id"], data[data.len() - 1]["id"]);
        let ids = data
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["has_more"].as_bool().unwrap())
    };
    assert_eq!(
        page(None, ItemOrder::Newest),
        (vec!["msg_4".to_owned(), "msg_3".to_owned()], true)
    );
    assert_eq!(
        page(Some("msg_1"), ItemOrder::Newest),
        (vec!["msg_0".to_owned()], false)
    );
    assert_eq!(
        page(Some("msg_1"), ItemOrder::Oldest),
        (vec!["msg_2".to_owned(), "msg_3".to_owned()], true)
    );
    let error = input_items_page(&items, Some("msg_7"), 2, ItemOrder::Oldest).unwrap_err();
    assert_eq!(error.param(), Some("after"));
}

#[test]
fn a_response_is_deleted_and_cancelled() {
    assert_eq!(
        deleted_response("resp_1"),
        r#"{"id":"resp_1","object":"response","deleted":true}"#
    );
    let queued = Bytes::from_static(br#"{"id":"resp_1","status":"queued","output":[]}"#);
    assert_eq!(
        cancelled_response(&queued).unwrap(),
        r#"{"id":"resp_1","status":"cancelled","output":[]}"#
    );
    let done = Bytes::from_static(br#"{"id":"resp_1","status":"completed"}"#);
    assert_eq!(cancelled_response(&done).unwrap(), done);
}
