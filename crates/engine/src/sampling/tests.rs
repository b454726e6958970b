use super::*;

const DRAWS: u32 = 100_000;

/// Twelve logits of a plausible shape, two of them equal.
const LOGITS: [f32; 12] = [
    2.0, -1.0, 0.5, 0.5, 3.0, -2.5, 1.25, 0.0, 1.9, -0.3, 2.6, -4.0,
];

/// The definition in the module's doc, again and in the plainest way: a table of all tokens, cut tokens at zero.
fn exact(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
    let n = logits.len();
    let mut p: Vec<f64> = logits
        .iter()
        .map(|l| (f64::from(*l) / f64::from(sampling.temperature)).exp())
        .collect();
    let rescale = |p: &mut Vec<f64>| {
        let sum: f64 = p.iter().sum();
        for x in p.iter_mut() {
            *x /= sum;
        }
    };
    rescale(&mut p);
    let mut rank: Vec<usize> = (0..n).collect();
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
        if before >= f64::from(sampling.top_p) {
            p[*token] = 0.0;
        }
        before += own;
    }
    let best = p.iter().copied().fold(0.0, f64::max);
    for x in &mut p {
        if *x < best * f64::from(sampling.min_p) {
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

fn check(sampling: &Sampling, penalised: &[f32], prompt: &[u32], answer: &[u32]) {
    let expect = exact(penalised, sampling);
    let mut counts = vec![0_u32; expect.len()];
    let mut random = Random::from_seed(sampling.seed.unwrap());
    for _ in 0..DRAWS {
        // A draw's token would count for the penalties of the next; every draw begins afresh.
        let mut sampler = Sampler::new(sampling.clone(), prompt);
        for token in answer {
            *sampler.seen.entry(*token).or_insert(0) += 1;
        }
        sampler.random = random;
        let mut logits = LOGITS;
        counts[sampler.pick(&mut logits).unwrap() as usize] += 1;
        random = sampler.random;
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

#[test]
fn draws_follow_the_exact_distribution_for_every_combination() {
    let mut seed = 1;
    for temperature in [0.5, 1.0, 1.7] {
        for top_k in [0, 4] {
            for top_p in [1.0, 0.8] {
                for min_p in [0.0, 0.15] {
                    check(
                        &with(temperature, top_k, top_p, min_p, seed),
                        &LOGITS,
                        &[],
                        &[],
                    );
                    seed += 1;
                }
            }
        }
    }
}

#[test]
fn penalties_act_on_the_logits_before_all_else() {
    let sampling = Sampling {
        repetition_penalty: 1.5,
        frequency_penalty: 0.4,
        presence_penalty: 0.3,
        ..with(0.9, 8, 0.95, 0.02, 99)
    };
    let mut penalised = LOGITS;
    penalised[4] = 3.0 / 1.5; // in the prompt only
    penalised[1] = -1.5; // in the prompt only, negative
    penalised[10] = 2.6 / 1.5 - 0.4 * 2.0 - 0.3; // twice in the answer
    penalised[9] = -0.3 * 1.5 - 0.4 - 0.3; // once in the answer, negative
    check(&sampling, &penalised, &[4, 1, 4], &[10, 9, 10]);
    let rewards = Sampling {
        repetition_penalty: 0.5,
        frequency_penalty: -2.0,
        presence_penalty: -2.0,
        ..with(1.0, 0, 1.0, 0.0, 98)
    };
    let mut rewarded = LOGITS;
    rewarded[3] = 0.5 / 0.5 + 2.0 + 2.0;
    check(&rewards, &rewarded, &[], &[3]);
}

#[test]
fn a_cut_can_leave_one_token() {
    for sampling in [
        with(1.0, 1, 1.0, 0.0, 1),
        with(1.0, 0, 1e-6, 0.0, 2),
        with(1.0, 0, 1.0, 1.0, 3),
    ] {
        let left = distribution(&LOGITS, &sampling).unwrap();
        assert_eq!(left, [(4, 1.0)]);
    }
}

#[test]
fn temperature_zero_takes_the_first_of_the_best() {
    let mut sampler = Sampler::new(Sampling::greedy(), &[]);
    assert_eq!(sampler.pick(&mut [0.0, 7.0, 7.0, 1.0]), Some(1));
    let mut tiny = Sampler::new(with(1e-30, 0, 1.0, 0.0, 1), &[]);
    assert_eq!(tiny.pick(&mut [0.0, 6.0, 7.0, 1.0]), Some(2));
}

#[test]
fn logits_that_are_no_numbers_pick_nothing() {
    for bad in [
        [f32::NAN, 1.0],
        [f32::INFINITY, 1.0],
        [f32::NEG_INFINITY; 2],
    ] {
        assert_eq!(
            Sampler::new(with(1.0, 0, 1.0, 0.0, 1), &[]).pick(&mut bad.clone()),
            None
        );
    }
    assert_eq!(
        Sampler::new(Sampling::greedy(), &[]).pick(&mut [f32::NAN, 1.0]),
        None
    );
}

#[test]
fn a_seed_repeats_its_draws() {
    let picks = |seed| {
        let mut sampler = Sampler::new(with(1.0, 0, 1.0, 0.0, seed), &[]);
        (0..64)
            .map(|_| sampler.pick(&mut LOGITS.clone()).unwrap())
            .collect::<Vec<u32>>()
    };
    assert_eq!(picks(5), picks(5));
    assert_ne!(picks(5), picks(6));
}
