//! The embedded data, held against the documentation that it was written from.

use std::collections::BTreeSet;

use tollgate_dialect::{Dialect, Effort, MaxTokensField, Quirks, ThinkingStyle, ToolChoiceSupport};

use super::{Auth, Catalog, provider};

fn row(id: &str) -> &'static super::ProviderRow {
    Catalog::builtin()
        .provider(id)
        .unwrap_or_else(|| panic!("no row {id}"))
}

#[test]
fn every_row_is_whole() {
    let rows = Catalog::builtin().providers();
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "ids are unique");
    for row in rows {
        let id = &row.id;
        assert!(
            row.docs.starts_with("https://"),
            "{id}: a public page documents it"
        );
        assert!(!row.title.is_empty() && !row.owned_by.is_empty(), "{id}");
        assert!(row.endpoints.chat.is_some(), "{id}: serves conversations");
        assert!(
            row.key_optional || !row.key_env.is_empty() || row.auth == Auth::Google,
            "{id}: a key can be given"
        );
        assert!(
            row.base_url.is_some() || row.key_optional,
            "{id}: only a custom row has no address"
        );
        match (&row.base_url, row.local_port) {
            (Some(url), Some(port)) => {
                assert!(url.starts_with(&format!("http://127.0.0.1:{port}")), "{id}");
            }
            // A port that many programs use is not looked at unasked.
            (Some(url), None) if row.key_optional => {
                assert!(url.starts_with("http://127.0.0.1:"), "{id}");
            }
            (Some(url), None) => assert!(url.starts_with("https://"), "{id}"),
            (None, port) => assert_eq!(port, None, "{id}"),
        }
        let paths = row
            .endpoints()
            .flat_map(|endpoint| [Some(&endpoint.path), endpoint.stream_path.as_ref()])
            .flatten()
            .chain(&row.endpoints.models)
            .chain(row.endpoints.operations.values());
        for path in paths.chain(&row.base_url) {
            assert!(!path.ends_with('/'), "{id}: {path}");
            for name in path.split('{').skip(1) {
                let name = name.split('}').next().unwrap();
                assert!(
                    name == "model" || row.variables.contains_key(name),
                    "{id}: nobody says what `{name}` is"
                );
            }
        }
        let paths = row.endpoints().map(|endpoint| &endpoint.path);
        for path in paths.chain(row.endpoints.operations.values()) {
            assert!(path.starts_with('/'), "{id}: {path}");
        }
        for (name, _) in &row.headers {
            assert_eq!(name, &name.to_ascii_lowercase(), "{id}");
        }
        if let Some(version) = &row.version_header {
            assert!(row.headers.iter().any(|(name, _)| name == version), "{id}");
        }
    }
    // A variable names one provider, or a key would be sent to two.
    let variables: Vec<_> = rows.iter().flat_map(|row| &row.key_env).collect();
    assert_eq!(
        variables.iter().collect::<BTreeSet<_>>().len(),
        variables.len()
    );
}

#[test]
fn an_unknown_column_is_refused() {
    let good = "[[provider]]\nid='a'\ntitle='A'\ndocs='https://a'\nauth='bearer'\nowned_by='a'\n";
    assert!(provider::parse(good).is_ok());
    assert!(provider::parse(&format!("{good}colour='red'")).is_err());
    assert!(provider::parse(&format!("{good}[provider.quirks]\ncolour='red'")).is_err());
    assert!(provider::parse(&good.replace("bearer", "header:")).is_err());
    assert!(provider::parse(&good.replace("bearer", "basic")).is_err());
}

#[test]
fn operations_are_found_by_dialect() {
    let chat = row("openai").endpoint(Dialect::AnthropicMessages).unwrap();
    assert_eq!(
        (chat.dialect, chat.path.as_str()),
        (Dialect::OpenAiChat, "/chat/completions")
    );
    let messages = row("anthropic").endpoint(Dialect::OpenAiChat).unwrap();
    assert_eq!(
        (messages.dialect, messages.path.as_str()),
        (Dialect::AnthropicMessages, "/v1/messages")
    );
    assert_eq!(row("anthropic").endpoint(Dialect::OpenAiEmbeddings), None);
    assert_eq!(row("anthropic").auth, Auth::Header("x-api-key".to_owned()));
}

/// Digest of the vendors' documentation, section 8 (self-hosted) and 7.
#[test]
fn quirks_are_those_of_the_documentation() {
    assert_eq!(row("openai").quirks, Quirks::default());
    assert_eq!(row("anthropic").quirks, Quirks::default());

    let ollama = &row("ollama").quirks;
    assert_eq!(ollama.max_tokens_field, MaxTokensField::MaxTokens);
    assert_eq!(ollama.tool_choice, ToolChoiceSupport::Unsupported);
    assert!(ollama.stream_usage && ollama.empty_tools && !ollama.developer_role);
    for field in ["n", "logit_bias", "user"] {
        assert!(
            ollama.refused_fields.iter().any(|refused| refused == field),
            "{field}"
        );
    }

    let vllm = &row("vllm").quirks;
    assert!(!vllm.empty_tools && vllm.stream_usage && !vllm.developer_role);
    assert_eq!(vllm.tool_choice, ToolChoiceSupport::All);

    let llamacpp = &row("llamacpp").quirks;
    assert!(llamacpp.empty_tools && llamacpp.stream_usage && !llamacpp.developer_role);

    let mistral = &row("mistral").quirks;
    assert_eq!(mistral.max_tokens_field, MaxTokensField::MaxTokens);
    assert_eq!(mistral.seed_field, "random_seed");
    assert_eq!(mistral.max_temperature_milli, 1500);
    assert_eq!(mistral.tool_id_length, Some(9));
    assert!(!mistral.stream_usage);
    for field in ["logit_bias", "user", "store"] {
        assert!(
            mistral
                .refused_fields
                .iter()
                .any(|refused| refused == field),
            "{field}"
        );
    }
}

#[test]
fn local_servers_have_their_usual_ports() {
    for (id, port) in [
        ("ollama", 11434),
        ("vllm", 8000),
        ("llamacpp", 8080),
        ("lmstudio", 1234),
    ] {
        assert_eq!(row(id).local_port, Some(port), "{id}");
        assert!(row(id).key_optional, "{id}");
    }
}

/// The table "Thinking" of the documentation, row by row: style, always on, forced tool choice, prefill,
/// sampling parameters, system in mid-conversation. `None`: the sources disagree, or say nothing.
#[test]
fn thinking_is_as_the_table_says() {
    use ThinkingStyle::{Adaptive, Budget};
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);
    for (models, style, always_on, forced, prefill, sampling, system) in [
        (
            &[
                "claude-fable-5-1",
                "claude-fable-5-2",
                "claude-mythos-5-1",
                "claude-mythos-5-2",
                "claude-opus-5-5",
            ][..],
            Adaptive,
            true,
            NO,
            NO,
            NO,
            YES,
        ),
        (&["claude-sonnet-5-5"], Adaptive, true, NO, NO, NO, YES),
        (&["claude-haiku-5-5"], Adaptive, false, YES, NO, NO, YES),
        (
            &["claude-fable-5", "claude-mythos-5"],
            Adaptive,
            true,
            YES,
            NO,
            NO,
            YES,
        ),
        (&["claude-opus-5"], Adaptive, false, YES, NO, NO, YES),
        (&["claude-sonnet-5"], Adaptive, false, None, NO, NO, None),
        (&["claude-opus-4-8"], Adaptive, false, YES, NO, NO, YES),
        (&["claude-opus-4-7"], Adaptive, false, YES, NO, NO, NO),
        (
            &["claude-opus-4-6", "claude-sonnet-4-6"],
            Adaptive,
            false,
            YES,
            NO,
            YES,
            NO,
        ),
        (
            &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"],
            Budget,
            false,
            YES,
            YES,
            YES,
            NO,
        ),
    ] {
        for model in models {
            let traits = Catalog::builtin().traits("anthropic", model);
            assert_eq!(traits.thinking, style, "{model}");
            assert_eq!(traits.thinking_always_on, always_on, "{model}");
            assert_eq!(traits.forced_tool_choice, forced, "{model}");
            assert_eq!(traits.assistant_prefill, prefill, "{model}");
            assert_eq!(traits.sampling_params, sampling, "{model}");
            assert_eq!(traits.mid_conversation_system, system, "{model}");
            assert!(
                traits.max_output_tokens.is_some() && traits.context_window.is_some(),
                "{model}"
            );
        }
    }
}

#[test]
fn efforts_stop_where_the_model_stops() {
    let efforts = |provider, model| {
        Catalog::builtin()
            .traits(provider, model)
            .efforts
            .as_slice()
    };
    assert_eq!(
        efforts("anthropic", "claude-opus-4-5"),
        [Effort::Low, Effort::Medium, Effort::High]
    );
    assert_eq!(
        efforts("anthropic", "claude-sonnet-4-6").last(),
        Some(&Effort::Max)
    );
    assert_eq!(
        efforts("openai", "gpt-5"),
        [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High]
    );
    assert_eq!(efforts("openai", "gpt-5.4").first(), Some(&Effort::None));
    assert_eq!(efforts("openai", "gpt-6-astra").first(), Some(&Effort::Low));
    assert!(efforts("anthropic", "claude-haiku-4-5").is_empty());
}

#[test]
fn a_dated_snapshot_is_its_model() {
    let catalog = Catalog::builtin();
    for (provider, dated, model) in [
        ("anthropic", "claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("anthropic", "claude-opus-5-5-20270101", "claude-opus-5-5"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-5-2099-12-31", "gpt-5"),
    ] {
        assert_eq!(
            catalog.traits(provider, dated),
            catalog.traits(provider, model),
            "{dated}"
        );
        assert_ne!(
            catalog.traits(provider, dated),
            &tollgate_dialect::ModelTraits::default(),
            "{dated}"
        );
    }
    // A name of its own keeps its own facts.
    assert_eq!(
        catalog.traits("openai", "gpt-4o").context_window,
        Some(128_000)
    );
    assert_eq!(
        catalog.traits("openai", "gpt-5").context_window,
        Some(400_000)
    );
}

#[test]
fn an_unknown_model_has_no_facts() {
    let unknown = tollgate_dialect::ModelTraits::default();
    for (provider, model) in [
        ("openai", "gpt-99"),
        ("ollama", "gpt-4o"),
        ("nobody", "x"),
        ("openai", ""),
    ] {
        assert_eq!(
            Catalog::builtin().traits(provider, model),
            &unknown,
            "{provider}/{model}"
        );
    }
}

#[test]
fn models_belong_to_rows() {
    for (provider, n_least) in [
        ("openai", 50),
        ("anthropic", 15),
        ("mistral", 20),
        ("groq", 5),
    ] {
        assert!(
            row(provider).id == provider && Catalog::builtin().models(provider).count() >= n_least,
            "{provider}"
        );
    }
    assert!(
        Catalog::builtin()
            .models("anthropic")
            .any(|name| name == "claude-opus-5-5")
    );
    assert_eq!(Catalog::builtin().models("ollama").count(), 0);
}

/// A vendor is a row: code reads columns. Tests and printed examples may name one.
#[test]
fn no_code_names_a_row() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates");
    let mut files = Vec::new();
    for part in ["catalog/src", "config/src"] {
        for entry in std::fs::read_dir(source.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let prints = ["tests.rs", "schema.rs", "reference.rs"];
            if path.is_file() && !prints.iter().any(|name| path.ends_with(name)) {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 10, "the sources are found");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for row in Catalog::builtin().providers() {
            let named = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.contains(&format!("\"{}\"", row.id)));
            assert!(!named, "{}: names `{}`", file.display(), row.id);
        }
    }
}

#[test]
fn t1_models_that_refuse_tools_on_chat_while_they_reason_are_known() {
    for (model, refuses, by_default, knows_none) in [
        ("gpt-4.1", None, None, false),
        ("gpt-5.1", None, None, true),
        ("gpt-5.4", Some(true), Some(false), true),
        ("gpt-5.5", Some(true), Some(true), true),
        ("gpt-5.6", Some(true), Some(true), true),
        ("gpt-6-astra", Some(true), Some(true), false),
        ("gpt-6.1-sol", Some(true), Some(true), false),
        ("gpt-6.1-terra", Some(true), Some(true), true),
    ] {
        let traits = Catalog::builtin().traits("openai", model);
        let knows = traits.efforts.contains(&tollgate_dialect::Effort::None);
        assert_eq!(
            traits.chat_refuses_tools_while_reasoning, refuses,
            "{model}"
        );
        assert_eq!(traits.reasons_by_default, by_default, "{model}");
        assert_eq!(knows, knows_none, "{model}");
    }
}
