//! What the engine tells of its choices, through its public face: log probabilities, the distribution of a token, and
//! several answers to one prompt. What the distributions must be is tested beside the sampler.

use tollgate_engine::{
    Candidate, Engine, ErrorKind, Event, FinishReason, Generation, Message, Prompt, Request, Role,
    Sampling, TokenChance, Usage,
};

fn raw(text: &str) -> Request {
    Request {
        max_tokens: Some(30),
        ..Request::new(Prompt::Raw(text.to_owned()))
    }
}

fn question(text: &str) -> Request {
    let message = Message {
        role: Role::User,
        content: text.to_owned(),
    };
    Request {
        max_tokens: Some(30),
        ..Request::new(Prompt::Messages(vec![message]))
    }
}

fn seeded(request: Request, seed: u64) -> Request {
    Request {
        sampling: Sampling {
            temperature: 1.2,
            seed: Some(seed),
            ..Sampling::default()
        },
        ..request
    }
}

fn greedy(request: Request) -> Request {
    Request {
        sampling: Sampling::greedy(),
        ..request
    }
}

struct Answer {
    text: String,
    tokens: Vec<TokenChance>,
    reason: FinishReason,
    usage: Usage,
}

async fn rest(mut generation: Generation) -> Answer {
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match generation.next().await.expect("an end comes first") {
            Event::Text(piece) => {
                text += &piece.text;
                tokens.extend(piece.tokens);
            }
            Event::Done { reason, usage } => {
                return Answer {
                    text,
                    tokens,
                    reason,
                    usage,
                };
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn run(engine: &Engine, request: Request) -> Answer {
    rest(engine.generate(request).await.expect("as the test set up")).await
}

async fn refused(engine: &Engine, request: Request) -> ErrorKind {
    let started = engine.generate(request).await;
    started.expect_err("a refusal").kind
}

fn bytes(tokens: &[TokenChance]) -> Vec<u8> {
    let bytes = tokens.iter().flat_map(|chance| &chance.bytes);
    bytes.copied().collect()
}

#[tokio::test]
async fn every_token_of_the_text_is_told_with_its_chances() {
    let engine = Engine::builtin();
    for request in [raw("Tollgate is"), question("What is Tollgate?")] {
        for n_top in [0, 1, 20] {
            let request = Request {
                logprobs: Some(n_top),
                ..greedy(request.clone())
            };
            let answer = run(&engine, request).await;
            assert_eq!(bytes(&answer.tokens), answer.text.as_bytes());
            let ends = u32::from(answer.reason == FinishReason::EndOfText);
            let n_told = u32::try_from(answer.tokens.len()).unwrap();
            assert_eq!(n_told + ends, answer.usage.output_tokens);
            for chance in &answer.tokens {
                assert_eq!(chance.top.len(), n_top as usize);
                assert!(chance.logprob <= 0.0 && chance.logprob.is_finite());
                assert!(chance.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
                let sum: f32 = chance.top.iter().map(|one| one.logprob.exp()).sum();
                assert!(sum < 1.0001);
                // Greedy takes the best.
                if let Some(best) = chance.top.first() {
                    assert_eq!((best.token, best.logprob), (chance.token, chance.logprob));
                    assert_eq!(best.bytes, chance.bytes);
                }
            }
        }
    }
}

#[tokio::test]
async fn watching_does_not_change_the_answer() {
    let engine = Engine::builtin();
    let request = seeded(raw("Tollgate is"), 7);
    let unwatched = run(&engine, request.clone()).await;
    assert!(unwatched.tokens.is_empty());
    let request = Request {
        logprobs: Some(3),
        ..request
    };
    assert_eq!(run(&engine, request).await.text, unwatched.text);
}

#[tokio::test]
async fn tokens_of_a_stop_sequence_are_not_told() {
    let engine = Engine::builtin();
    let watched = Request {
        logprobs: Some(0),
        ..seeded(raw("Tollgate is"), 8)
    };
    let whole = run(&engine, watched.clone()).await;
    let characters: Vec<char> = whole.text.chars().collect();
    for start in 5..15 {
        let stop: String = characters[start..start + 4].iter().collect();
        let request = Request {
            stop: vec![stop],
            ..watched.clone()
        };
        let answer = run(&engine, request).await;
        assert!(matches!(answer.reason, FinishReason::StopSequence(_)));
        let told = bytes(&answer.tokens);
        // The last told token may reach into the stop sequence; it begins before.
        assert!(told.starts_with(answer.text.as_bytes()));
        let last = answer.tokens.last().map_or(0, |last| last.bytes.len());
        assert!(answer.text.is_empty() || told.len() - last < answer.text.len());
    }
}

#[tokio::test]
async fn chances_equal_the_distribution_that_is_shown() {
    let engine = Engine::builtin();
    for request in [raw("Tollgate is"), question("What is a token?")] {
        let request = Request {
            logprobs: Some(20),
            ..seeded(request, 1)
        };
        let sampling = Sampling {
            top_k: 40,
            top_p: 0.9,
            min_p: 0.02,
            ..request.sampling.clone()
        };
        let table = engine
            .distribution(&request.prompt, &sampling, 20)
            .await
            .unwrap();
        let first = &run(&engine, request).await.tokens[0];
        for (row, chance) in table.rows.iter().zip(&first.top) {
            assert_eq!(row.token, chance.token);
            // A control token has a name, and adds nothing to an answer.
            assert!(chance.bytes.is_empty() || row.text == String::from_utf8_lossy(&chance.bytes));
            assert!((row.before.ln() - f64::from(chance.logprob)).abs() < 1e-3);
        }
        assert_eq!(table.n_after_top_k, 40);
        assert!(table.n_after_top_p < 40 && table.n_after_min_p <= table.n_after_top_p);
        let sum_of = |column: fn(&Candidate) -> f64| table.rows.iter().map(column).sum::<f64>();
        if table.n_after_min_p <= 20 {
            assert!((sum_of(|row| row.after_min_p) - 1.0).abs() < 1e-9);
        }
        assert!(sum_of(|row| row.after_top_k) > sum_of(|row| row.after_temperature));
    }
}

#[tokio::test]
async fn a_distribution_is_refused_where_a_generation_would_be() {
    let engine = Engine::builtin();
    let long = Prompt::Tokens(vec![300; 513]);
    let error = engine.distribution(&long, &Sampling::default(), 5).await;
    let param = "prompt";
    let expect = ErrorKind::InvalidParameter { param };
    assert_eq!(error.expect_err("too long").kind, expect);
    let banned = Sampling {
        logit_bias: vec![(1_000_000, 1.0)],
        ..Sampling::default()
    };
    let prompt = Prompt::Raw("a".to_owned());
    let error = engine.distribution(&prompt, &banned, 5).await;
    let param = "logit_bias";
    let expect = ErrorKind::InvalidParameter { param };
    assert_eq!(error.expect_err("no such token").kind, expect);
}

#[tokio::test]
async fn a_banned_token_never_comes_and_a_forced_one_always() {
    let engine = Engine::builtin();
    let watched = Request {
        logprobs: Some(0),
        ..greedy(raw("Tollgate is"))
    };
    let free = run(&engine, watched.clone()).await;
    let banned = free.tokens[0].token;
    let with_bias = |logit_bias| {
        let mut request = watched.clone();
        request.sampling.logit_bias = logit_bias;
        request
    };
    let without = run(&engine, with_bias(vec![(banned, -100.0)])).await;
    assert!(without.tokens.iter().all(|chance| chance.token != banned));
    let forced = run(&engine, with_bias(vec![(banned, 100.0)])).await;
    assert_eq!(forced.tokens.len(), 30);
    assert!(forced.tokens.iter().all(|chance| chance.token == banned));
    // What the model thought is told, not what it was made to do.
    let unforced = free.tokens[0].logprob;
    assert!((forced.tokens[0].logprob - unforced).abs() < 1e-6);
    assert!(forced.tokens[1].logprob < 0.0);
    let unknown = refused(&engine, with_bias(vec![(1_000_000, 1.0)])).await;
    let param = "logit_bias";
    assert_eq!(unknown, ErrorKind::InvalidParameter { param });
}

#[tokio::test]
async fn several_answers_share_a_prompt_and_differ() {
    let engine = Engine::builtin();
    let mut request = seeded(question("Who are you?"), 11);
    request.sampling.temperature = 2.0;
    let alone = run(&engine, request.clone()).await;
    let mut rounds = Vec::new();
    for _ in 0..2 {
        // More than the batch has room for, beside another.
        let other = engine.generate(seeded(raw("x"), 1)).await.unwrap();
        let generations = engine.generate_many(request.clone(), 20).await.unwrap();
        let mut texts = Vec::new();
        for generation in generations {
            let answer = rest(generation).await;
            assert_eq!(answer.usage.prompt_tokens, alone.usage.prompt_tokens);
            texts.push(answer.text);
        }
        rest(other).await;
        rounds.push(texts);
    }
    assert_eq!(rounds[0], rounds[1]);
    assert_eq!(rounds[0][0], alone.text);
    let distinct: std::collections::BTreeSet<&String> = rounds[0].iter().collect();
    assert!(distinct.len() > 10, "{distinct:?}");
}

#[tokio::test]
async fn one_of_several_answers_can_be_dropped_alone() {
    let engine = Engine::builtin();
    let request = seeded(question("Who are you?"), 12);
    let expect = run(&engine, request.clone()).await.text;
    let mut generations = engine.generate_many(request.clone(), 3).await.unwrap();
    generations.truncate(1);
    assert_eq!(rest(generations.remove(0)).await.text, expect);
    let mut generations = engine.generate_many(request, 2).await.unwrap();
    // The first is the one whose prompt is computed.
    drop(generations.remove(0));
    let second = rest(generations.remove(0)).await;
    assert!(second.usage.output_tokens > 0);
}

#[tokio::test]
async fn too_many_answers_are_refused_and_leave_no_place_taken() {
    let engine = Engine::builtin();
    let param = "n";
    for n in [0, 65] {
        let refusal = engine.generate_many(raw("a"), n).await;
        let kind = refusal.expect_err("out of range").kind;
        assert_eq!(kind, ErrorKind::InvalidParameter { param });
    }
    // 80 places: sixteen run and sixty-four wait.
    let half = engine.generate_many(raw("a"), 40).await.unwrap();
    let busy = engine.generate_many(raw("a"), 64).await;
    assert_eq!(busy.expect_err("no room").kind, ErrorKind::Busy);
    let more = engine.generate_many(raw("a"), 16).await.unwrap();
    for generation in half.into_iter().chain(more) {
        assert!(rest(generation).await.usage.output_tokens > 0);
    }
}

#[tokio::test]
async fn an_echo_puts_the_prompt_before_the_answer() {
    let engine = Engine::builtin();
    let request = greedy(raw("Tollgate is"));
    let plain = run(&engine, request.clone()).await;
    let request = Request {
        echo: true,
        logprobs: Some(0),
        ..request
    };
    let echoed = run(&engine, request).await;
    assert_eq!(echoed.text, format!("Tollgate is{}", plain.text));
    assert_eq!(bytes(&echoed.tokens), plain.text.as_bytes());
    assert_eq!(echoed.usage, plain.usage);
}

#[tokio::test]
async fn the_tokens_of_a_prompt_are_those_that_are_counted() {
    let engine = Engine::builtin();
    for request in [raw("Tollgate is"), question("What is Tollgate?")] {
        let tokens = engine.tokenize(&request.prompt).await.unwrap();
        let count = engine.count(&request.prompt).await.unwrap();
        assert_eq!(tokens.len(), count);
        let by_tokens = Request {
            prompt: Prompt::Tokens(tokens),
            ..seeded(raw(""), 3)
        };
        let whole = run(&engine, seeded(request, 3)).await;
        assert_eq!(run(&engine, by_tokens).await.text, whole.text);
    }
}
