//! There and back again.

use super::*;

fn some_item() -> impl Strategy<Value = String> {
    let text = "[a-zé\"\\\\ ]{1,12}";
    prop_oneof![
        (prop_oneof![Just("user"), Just("assistant"), Just("system"), Just("developer")], text)
            .prop_map(|(role, text)| format!(
                r#"{{"role":"{role}","content":{}}}"#,
                json!(text)
            )),
        text.prop_map(|text| format!(
            r#"{{"role":"user","content":[{{"type":"input_text","text":{}}},{{"type":"input_image","image_url":"https://example.com/a","detail":"low"}}]}}"#,
            json!(text)
        )),
        text.prop_map(|text| format!(
            r#"{{"type":"message","role":"assistant","content":[{{"type":"refusal","refusal":{}}}]}}"#,
            json!(text)
        )),
        ("[a-z_]{1,70}", "[a-z]{1,9}", text).prop_map(|(id, name, text)| format!(
            r#"{{"type":"function_call","call_id":"{}","name":"{name}","arguments":{}}}"#,
            &id[..id.len().min(64)],
            json!(json!({ "x": text }).to_string())
        )),
        ("[a-z]{1,9}", text).prop_map(|(id, text)| format!(
            r#"{{"type":"function_call_output","call_id":"{id}","output":{}}}"#,
            json!(text)
        )),
        text.prop_map(|text| format!(
            r#"{{"type":"custom_tool_call","call_id":"c9","name":"patch","input":{}}},{{"type":"custom_tool_call_output","call_id":"c9","output":"ok"}}"#,
            json!(text)
        )),
        text.prop_map(|text| format!(
            r#"{{"type":"reasoning","id":"rs_3XjmnHoeHJzx0B9qLfC8yZ","summary":[{{"type":"summary_text","text":{}}}],"encrypted_content":"gAAAA"}}"#,
            json!(text)
        )),
        Just(r#"{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]}"#.to_owned()),
    ]
}

fn some_fields() -> impl Strategy<Value = String> {
    const FIELDS: [&str; 12] = [
        r#","tool_choice":"required""#,
        r#","max_output_tokens":16"#,
        r#","temperature":0.5"#,
        r#","top_p":0.25"#,
        r#","reasoning":{"effort":"low","summary":"auto"}"#,
        r#","text":{"format":{"type":"json_schema","name":"x","description":"d","schema":{"type": "object"},"strict":true},"verbosity":"low"}"#,
        r#","store":false"#,
        r#","include":["reasoning.encrypted_content"]"#,
        r#","safety_identifier":"u""#,
        r#","service_tier":"flex""#,
        r#","metadata":{"a":"b"},"prompt_cache_key":"k","truncation":"auto""#,
        r#","stream":true"#,
    ];
    proptest::collection::vec(any::<bool>(), FIELDS.len()).prop_map(|picks| {
        let fields = FIELDS.iter().zip(picks);
        fields
            .filter(|(field, is_picked)| {
                *is_picked || field.contains("store") || field.contains("include")
            })
            .map(|(field, _)| *field)
            .collect()
    })
}

proptest! {
    #[test]
    fn parse_then_render_is_the_identity_for_what_the_dialect_can_say(
        instructions in proptest::option::of("[a-z ]{1,9}"),
        items in proptest::collection::vec(some_item(), 1..8),
        fields in some_fields(),
    ) {
        let tools = r#""tools":[{"type":"function","name":"f","description":"d","parameters":{"type": "object","properties":{"id":{"const":12345678901234567890123}}},"strict":true},{"type":"function","name":"g"},{"type":"custom","name":"patch","format":{"type":"text"}}]"#;
        let instructions = instructions
            .map(|text| format!(r#","instructions":"{text}""#))
            .unwrap_or_default();
        let text = format!(
            r#"{{"model":"m",{tools}{instructions},"input":[{}]{fields}}}"#,
            items.join(",")
        );
        let (traits, quirks) = (ModelTraits::default(), Quirks::default());
        let request = parse_request(Dialect::OpenAiResponses, &raw(&text)).unwrap();
        let rendered =
            render_request(Dialect::OpenAiResponses, &request, target(&traits, &quirks)).unwrap();
        prop_assert_eq!(std::str::from_utf8(&rendered.body).unwrap(), text);
        prop_assert!(rendered.losses.is_empty(), "{:?}", rendered.losses);
    }

    #[test]
    fn any_pieces_of_a_custom_call_are_one_text(pieces in proptest::collection::vec("\\PC{0,8}", 0..5)) {
        let mut stream = String::new();
        let mut event = |value: Value| {
            stream.push_str("data: ");
            stream.push_str(&value.to_string());
            stream.push_str("\n\n");
        };
        event(json!({"type":"response.created","response":{"id":"resp_1"}}));
        event(json!({"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","call_id":"c1","name":"apply_patch","input":""}}));
        for piece in &pieces {
            event(json!({"type":"response.custom_tool_call_input.delta","output_index":0,"delta":piece}));
        }
        event(json!({"type":"response.output_item.done","output_index":0,"item":{"type":"custom_tool_call","call_id":"c1","name":"apply_patch","input":pieces.concat()}}));
        event(json!({"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[]}}));
        let (all, _) = frames(&[stream.as_bytes()]);
        let events: Vec<Event> = events(&mut *decoder(Dialect::OpenAiResponses), &all);
        let out = encoded(Dialect::OpenAiResponses, asked(), &events);
        let all = told(&out);
        prop_assert_eq!(
            all.last().unwrap()["response"]["output"][0]["input"].as_str().unwrap(),
            pieces.concat()
        );
    }
}
