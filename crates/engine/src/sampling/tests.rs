use super::cuts::Stages;
use super::*;
use crate::error::ErrorKind;

const DRAWS: u32 = 100_000;

/// Twelve logits of a plausible shape, two of them equal.
const LOGITS: [f32; 12] = [
    2.0, -1.0, 0.5, 0.5, 3.0, -2.5, 1.25, 0.0, 1.9, -0.3, 2.6, -4.0,
];

/// What stands before the place of the draws: some tokens in both, some negative, one often.
const PROMPT: [u32; 5] = [4, 1, 7, 4, 0];
const ANSWER: [u32; 4] = [10, 9, 10, 4];

/// The definition in the module's doc, again and in the plainest way: a table of all tokens, cut tokens at zero.
fn exact(logits: &[f32], sampling: &Sampling, prompt: &[u32], answer: &[u32]) -> Vec<f64> {
    let wide = |x: f32| f64::from(x);
    let mut logits: Vec<f64> = logits.iter().copied().map(wide).collect();
    let bias_of = |token: usize| -> f64 {
        let mine = sampling.logit_bias.iter();
        mine.filter(|(t, _)| *t as usize == token)
            .map(|(_, bias)| wide(*bias))
            .sum()
    };
    let is_forced = (0..logits.len()).any(|token| bias_of(token) >= 100.0);
    let history: Vec<u32> = prompt.iter().chain(answer).copied().collect();
    let window = sampling.repetition_window.unwrap_or(u32::MAX) as usize;
    let recent = &history[history.len().saturating_sub(window)..];
    for (token, logit) in logits.iter_mut().enumerate() {
        let bias = bias_of(token);
        match (is_forced, bias >= 100.0) {
            (true, true) => {}
            (true, false) => *logit = f64::NEG_INFINITY,
            (false, _) if bias <= -100.0 => *logit = f64::NEG_INFINITY,
            (false, _) => *logit += bias,
        }
        let is = |t: &&u32| **t as usize == token;
        if recent.iter().any(|t| is(&t)) {
            let penalty = wide(sampling.repetition_penalty);
            *logit *= if *logit > 0.0 { 1.0 / penalty } else { penalty };
        }
        for n in 0..answer.iter().filter(is).count() {
            *logit -= wide(sampling.frequency_penalty);
            if n == 0 {
                *logit -= wide(sampling.presence_penalty);
            }
        }
    }
    cut(&logits, sampling)
}

fn cut(logits: &[f64], sampling: &Sampling) -> Vec<f64> {
    let wide = |x: f32| f64::from(x);
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut p: Vec<f64> = logits
        .iter()
        .map(|l| ((l - most) / wide(sampling.temperature)).exp())
        .collect();
    let rescale = |p: &mut Vec<f64>| {
        let sum: f64 = p.iter().sum();
        for x in p.iter_mut() {
            *x /= sum;
        }
    };
    rescale(&mut p);
    let mut rank: Vec<usize> = (0..p.len()).collect();
    rank.sort_by(|a, b| p[*b].partial_cmp(&p[*a]).unwrap().then(a.cmp(b)));
    if sampling.top_k > 0 {
        for token in rank.iter().skip(sampling.top_k as usize) {
            p[*token] = 0.0;
        }
        rescale(&mut p);
    }
    let mut before = 0.0;
    for token in &rank {
        let own = p[*token];
        if before >= wide(sampling.top_p) {
            p[*token] = 0.0;
        }
        before += own;
    }
    let best = p.iter().copied().fold(0.0, f64::max);
    for x in &mut p {
        if *x < best * wide(sampling.min_p) {
            *x = 0.0;
        }
    }
    rescale(&mut p);
    p
}

/// The value that chi-square stays below with probability 0.9999, by Wilson and Hilferty's approximation.
fn chi_square_bound(freedom: f64) -> f64 {
    let a = 2.0 / (9.0 * freedom);
    freedom * (1.0 - a + 3.719 * a.sqrt()).powi(3)
}

/// A sampler that stands behind `PROMPT` and `ANSWER`.
fn sampler(sampling: &Sampling) -> Sampler {
    let mut sampler = Sampler::new(sampling.clone(), &PROMPT, 0);
    for token in ANSWER {
        sampler.answer(token);
    }
    sampler
}

/// Draws a hundred thousand times at one place, and compares with the exact distribution.
fn check(sampling: &Sampling) {
    let expect = exact(&LOGITS, sampling, &PROMPT, &ANSWER);
    let mut counts = vec![0_u32; expect.len()];
    let mut sampler = sampler(sampling);
    for _ in 0..DRAWS {
        // As `pick`, but for the drawn token, which would count for the penalties of the next.
        let mut logits = LOGITS;
        sampler.process(&mut logits);
        counts[sampler.choose(&logits).unwrap() as usize] += 1;
    }
    let mut chi_square = 0.0;
    let mut n_possible = 0.0;
    for (token, (count, p)) in counts.iter().zip(&expect).enumerate() {
        if *p == 0.0 {
            assert_eq!(*count, 0, "token {token} cannot occur: {sampling:?}");
            continue;
        }
        let expected = p * f64::from(DRAWS);
        chi_square += (f64::from(*count) - expected).powi(2) / expected;
        n_possible += 1.0;
    }
    if n_possible > 1.0 {
        let bound = chi_square_bound(n_possible - 1.0);
        assert!(
            chi_square < bound,
            "chi-square {chi_square} over {bound}: {sampling:?}"
        );
    }
}

fn with(temperature: f32, top_k: u32, top_p: f32, min_p: f32, seed: u64) -> Sampling {
    Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
        seed: Some(seed),
        ..Sampling::default()
    }
}

/// Every temperature with every choice of cuts, on top of `rest`.
fn check_combinations(rest: &Sampling, first_seed: u64) {
    let mut seed = first_seed;
    for temperature in [0.5, 1.0, 1.7] {
        for cuts in 0..8 {
            let on = |bit: u32| cuts & (1 << bit) != 0;
            check(&Sampling {
                temperature,
                top_k: if on(0) { 5 } else { 0 },
                top_p: if on(1) { 0.8 } else { 1.0 },
                min_p: if on(2) { 0.15 } else { 0.0 },
                seed: Some(seed),
                ..rest.clone()
            });
            seed += 1;
        }
    }
}

#[test]
fn draws_follow_the_exact_distribution_for_every_combination_of_cuts() {
    check_combinations(&Sampling::default(), 1);
}

#[test]
fn draws_follow_the_exact_distribution_under_bias_penalties_and_cuts_together() {
    let rest = Sampling {
        repetition_penalty: 1.5,
        repetition_window: Some(5),
        frequency_penalty: 0.4,
        presence_penalty: 0.3,
        logit_bias: vec![(4, -100.0), (9, 1.5), (2, -0.75), (10, 1.0)],
        ..Sampling::default()
    };
    check_combinations(&rest, 101);
}

#[test]
fn draws_follow_the_exact_distribution_of_each_parameter_alone() {
    let one = with(1.0, 0, 1.0, 0.0, 201);
    let changes: [fn(&mut Sampling); 14] = [
        |s| s.temperature = 0.3,
        |s| s.top_k = 3,
        |s| s.top_p = 0.55,
        |s| s.min_p = 0.3,
        |s| s.repetition_penalty = 1.8,
        |s| s.repetition_penalty = 0.5,
        |s| (s.repetition_penalty, s.repetition_window) = (1.8, Some(2)),
        |s| (s.repetition_penalty, s.repetition_window) = (1.8, Some(0)),
        |s| s.frequency_penalty = 1.1,
        |s| s.frequency_penalty = -2.0,
        |s| s.presence_penalty = 0.9,
        |s| s.presence_penalty = -2.0,
        |s| s.logit_bias = vec![(11, 6.5), (4, -3.0), (0, -100.0)],
        |s| s.logit_bias = vec![(11, 100.0), (5, 100.0), (4, 2.0)],
    ];
    for (seed, change) in (201..).zip(changes) {
        let mut sampling = one.clone();
        sampling.seed = Some(seed);
        change(&mut sampling);
        assert_ne!(sampling, one);
        check(&sampling);
    }
}

#[test]
fn cuts_of_a_large_vocabulary_leave_what_the_definition_leaves() {
    let mut random = Random::from_seed(301);
    for (spread, sampling) in [
        (1.0, with(1.0, 0, 0.9, 0.0, 0)),
        (1.0, with(1.0, 700, 0.95, 0.0, 0)),
        (9.0, with(0.8, 0, 0.99, 0.0, 0)),
        (0.01, with(1.0, 0, 0.999_999, 0.0, 0)),
        (9.0, with(1.0, 50, 1.0, 0.02, 0)),
    ] {
        #[expect(clippy::cast_possible_truncation, reason = "logits are single")]
        let logits: Vec<f32> = (0..3000).map(|_| (random.unit() * spread) as f32).collect();
        let expect = exact(&logits, &sampling, &[], &[]);
        let mut left = vec![0.0; logits.len()];
        for (token, p) in Stages::of(&logits, &sampling).unwrap().min_p {
            left[token as usize] = p;
        }
        for (token, (left, expect)) in left.iter().zip(&expect).enumerate() {
            assert!(
                (left - expect).abs() < 1e-9,
                "token {token}: {left} is not {expect}: {sampling:?}"
            );
        }
    }
}

#[test]
fn a_pick_is_a_draw_that_counts_for_the_penalties_of_the_next() {
    let sampling = Sampling {
        presence_penalty: 2.0,
        frequency_penalty: 2.0,
        ..Sampling::greedy()
    };
    let mut sampler = Sampler::new(sampling, &[], 0);
    let picks: Vec<u32> = (0..5)
        .map(|_| sampler.pick(&mut [5.0, 4.0, 0.0]).unwrap())
        .collect();
    // Each token loses four with its first answer, and two with every further one.
    assert_eq!(picks, [0, 1, 0, 1, 2]);
}

#[test]
fn the_repetition_window_forgets() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        repetition_window: Some(2),
        ..Sampling::greedy()
    };
    let mut sampler = Sampler::new(sampling, &[0, 0, 0], 0);
    let picks: Vec<u32> = (0..6)
        .map(|_| sampler.pick(&mut [8.0, 7.0, 6.0]).unwrap())
        .collect();
    assert_eq!(picks, [1, 2, 0, 1, 2, 0]);
}

#[test]
fn a_cut_can_leave_one_token() {
    for sampling in [
        with(1.0, 1, 1.0, 0.0, 1),
        with(1.0, 0, 1e-6, 0.0, 2),
        with(1.0, 0, 1.0, 1.0, 3),
    ] {
        let stages = Stages::of(&LOGITS, &sampling).unwrap();
        assert_eq!(stages.min_p, [(4, 1.0)]);
    }
}

#[test]
fn temperature_zero_takes_the_first_of_the_best() {
    let mut sampler = Sampler::new(Sampling::greedy(), &[], 0);
    assert_eq!(sampler.pick(&mut [0.0, 7.0, 7.0, 1.0]), Ok(1));
    let mut tiny = Sampler::new(with(1e-30, 0, 1.0, 0.0, 1), &[], 0);
    assert_eq!(tiny.pick(&mut [0.0, 6.0, 7.0, 1.0]), Ok(2));
}

#[test]
fn logits_that_are_no_numbers_are_the_files_fault() {
    for bad in [
        [f32::NAN, 1.0],
        [f32::INFINITY, 1.0],
        [f32::NEG_INFINITY; 2],
    ] {
        for sampling in [with(1.0, 0, 1.0, 0.0, 1), Sampling::greedy()] {
            let kind = check_numbers(&bad).map_err(|error| error.kind);
            assert_eq!(kind, Err(ErrorKind::CorruptModel));
            // Nothing is drawn by them either, and nothing breaks.
            drop(Sampler::new(sampling, &[], 0).pick(&mut bad.clone()));
        }
    }
}

#[test]
fn a_bias_that_leaves_nothing_is_the_requests_fault() {
    for temperature in [0.0, 1.0] {
        let sampling = Sampling {
            temperature,
            logit_bias: vec![(0, -100.0), (1, -100.0)],
            ..Sampling::default()
        };
        let picked = Sampler::new(sampling, &[], 0).pick(&mut [1.0, 2.0]);
        let kind = picked.map_err(|error| error.kind);
        let param = "logit_bias";
        assert_eq!(kind, Err(ErrorKind::InvalidParameter { param }));
    }
}

#[test]
fn a_seed_repeats_its_draws_and_each_candidate_has_its_own() {
    let picks = |seed, candidate| {
        let mut sampler = Sampler::new(with(1.0, 0, 1.0, 0.0, seed), &[], candidate);
        (0..64)
            .map(|_| sampler.pick(&mut LOGITS.clone()).unwrap())
            .collect::<Vec<u32>>()
    };
    assert_eq!(picks(5, 0), picks(5, 0));
    assert_eq!(picks(5, 3), picks(5, 3));
    assert_ne!(picks(5, 0), picks(6, 0));
    assert_ne!(picks(5, 0), picks(5, 1));
    assert_ne!(picks(6, 0), picks(5, 1));
}

#[test]
fn log_probabilities_are_those_of_the_model_itself() {
    let sum: f64 = LOGITS.iter().map(|l| f64::from(*l).exp()).sum();
    let ranked = Ranked::new(&LOGITS, 3);
    for (token, logit) in (0..).zip(LOGITS) {
        let expect = f64::from(logit) - sum.ln();
        assert!((f64::from(ranked.logprob(token)) - expect).abs() < 1e-6);
    }
    let top: Vec<u32> = ranked.top.iter().map(|(token, _)| *token).collect();
    assert_eq!(top, [4, 10, 0]);
    let is_its = |(token, p): &(u32, f32)| (ranked.logprob(*token) - p).abs() < 1e-6;
    assert!(ranked.top.iter().all(is_its));
    assert!(Ranked::new(&LOGITS, 0).top.is_empty());
    let all: Vec<u32> = Ranked::new(&LOGITS, 20)
        .top
        .iter()
        .map(|(t, _)| *t)
        .collect();
    assert_eq!(all, [4, 10, 0, 8, 6, 2, 3, 7, 9, 1, 5, 11]);
}

#[test]
fn a_table_shows_the_exact_distribution_after_every_step() {
    let sampling = Sampling {
        logit_bias: vec![(8, 1.0), (5, -100.0)],
        repetition_penalty: 1.5,
        ..with(0.7, 6, 0.9, 0.3, 0)
    };
    let table = table(&LOGITS, &PROMPT, &sampling, 99, |token| {
        format!("<{token}>")
    })
    .unwrap();
    let plain = with(1.0, 0, 1.0, 0.0, 0);
    let up_to = |change: fn(&mut Sampling)| {
        let mut sampling = sampling.clone();
        change(&mut sampling);
        exact(&LOGITS, &sampling, &PROMPT, &[])
    };
    let columns = [
        exact(&LOGITS, &plain, &[], &[]),
        up_to(|s| (s.top_k, s.top_p, s.min_p) = (0, 1.0, 0.0)),
        up_to(|s| (s.top_p, s.min_p) = (1.0, 0.0)),
        up_to(|s| s.min_p = 0.0),
        up_to(|_| ()),
    ];
    assert_eq!(table.rows.len(), LOGITS.len());
    assert!(table.rows.is_sorted_by(|a, b| a.before >= b.before));
    for row in &table.rows {
        let at = row.token as usize;
        let shown = [
            row.before,
            row.after_temperature,
            row.after_top_k,
            row.after_top_p,
            row.after_min_p,
        ];
        for (shown, column) in shown.iter().zip(&columns) {
            assert!((shown - column[at]).abs() < 1e-6, "{row:?} {}", column[at]);
        }
        assert_eq!((&row.text, row.logit), (&format!("<{at}>"), LOGITS[at]));
    }
    let n_left = |column: usize| columns[column].iter().filter(|p| **p > 0.0).count();
    assert_eq!(table.vocabulary_size, 12);
    assert_eq!(table.n_after_top_k, n_left(2));
    assert_eq!(table.n_after_top_p, n_left(3));
    assert_eq!(table.n_after_min_p, n_left(4));
    assert!(
        n_left(2) > n_left(3) && n_left(3) > n_left(4),
        "every cut cuts"
    );
}

#[test]
fn a_greedy_table_gives_the_best_everything() {
    let greedy = Sampling::greedy();
    let table = table(&LOGITS, &[], &greedy, 2, |_| String::new()).unwrap();
    let left: Vec<f64> = table.rows.iter().map(|row| row.after_min_p).collect();
    assert_eq!(left, [1.0, 0.0]);
    assert_eq!((table.n_after_top_k, table.n_after_min_p), (1, 1));
    assert!(table.rows[1].before > 0.2);
}
