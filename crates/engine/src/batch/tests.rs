use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};

use super::*;
use crate::generation::{Event, FinishReason};
use crate::model::Source;
use crate::queue::{Places, Seat};
use crate::request::{Prompt, Request, Sampling};

struct Setup {
    model: Model,
    batch: Batch,
    places: Places,
}

impl Setup {
    fn new() -> Setup {
        Setup {
            model: Source::Builtin.load_model(),
            batch: Batch::new(Bounds::new(4, usize::MAX, 1024)),
            places: Places::new(99),
        }
    }

    /// A sequence whose answer is `n_output` tokens: what the prompt has is rewarded far beyond the end token.
    fn enter(&mut self, n_prompt: usize, n_output: u32) -> UnboundedReceiver<Event> {
        let (events, receiver) = unbounded_channel();
        let request = Request {
            sampling: crate::endless::sampling(),
            max_tokens: Some(n_output),
            ..Request::new(Prompt::Tokens((400..420).cycle().take(n_prompt).collect()))
        };
        let seat = Seat {
            events,
            _place: self.places.take().unwrap(),
        };
        self.batch
            .enter(Sequence::new(&self.model, &request, vec![seat]).unwrap());
        receiver
    }

    /// Twenty tokens after a text.
    fn ask(&mut self, prompt: &str, owner: &str) -> UnboundedReceiver<Event> {
        let (events, receiver) = unbounded_channel();
        let request = Request {
            sampling: Sampling::greedy(),
            max_tokens: Some(20),
            owner: owner.to_owned(),
            ..Request::new(Prompt::Raw(prompt.to_owned()))
        };
        let seat = Seat {
            events,
            _place: self.places.take().unwrap(),
        };
        self.batch
            .enter(Sequence::new(&self.model, &request, vec![seat]).unwrap());
        receiver
    }

    fn step(&mut self) {
        self.batch.step(&self.model);
    }
}

/// The reason of the end, if there is one yet.
fn end(events: &mut UnboundedReceiver<Event>) -> Option<FinishReason> {
    loop {
        match events.try_recv() {
            Ok(Event::Text(_)) => {}
            Ok(Event::Done { reason, .. }) => return Some(reason),
            Ok(other) => panic!("{other:?}"),
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => panic!("it broke off"),
        }
    }
}

#[test]
fn the_cancelled_leave_at_the_next_step() {
    let mut setup = Setup::new();
    let mut receivers: Vec<_> = (0..6).map(|_| setup.enter(8, 50)).collect();
    setup.step();
    assert_eq!((setup.batch.n_active(), setup.places.n_taken()), (4, 6));
    // One that runs and one that waits; the other waiting one takes the free place in the same step.
    drop(receivers.remove(5));
    drop(receivers.remove(1));
    setup.step();
    assert_eq!((setup.batch.n_active(), setup.places.n_taken()), (4, 4));
    receivers.clear();
    setup.step();
    assert!(setup.batch.is_idle());
    assert_eq!(setup.places.n_taken(), 0);
}

#[test]
fn the_waiting_enter_in_the_order_in_which_they_came() {
    let mut setup = Setup::new();
    let mut receivers: Vec<_> = (0..12).map(|_| setup.enter(3, 5)).collect();
    let mut ended = Vec::new();
    while !setup.batch.is_idle() {
        setup.step();
        for (i, receiver) in receivers.iter_mut().enumerate() {
            if !ended.contains(&i) && end(receiver).is_some() {
                ended.push(i);
            }
        }
    }
    assert_eq!(ended, (0..12).collect::<Vec<usize>>());
}

#[test]
fn a_long_prompt_does_not_hold_up_the_others() {
    let mut setup = Setup::new();
    let mut short = setup.enter(4, 6);
    setup.step();
    let mut long = setup.enter(900, 5);
    for _ in 0..5 {
        assert_eq!(end(&mut short), None);
        setup.step();
    }
    // Six steps, six tokens, while the long prompt was read in shares.
    assert_eq!(end(&mut short), Some(FinishReason::MaxTokens));
    assert_eq!(end(&mut long), None);
    let mut n_steps = 5;
    while end(&mut long).is_none() {
        setup.step();
        n_steps += 1;
    }
    assert_eq!(n_steps, 900_usize.div_ceil(PROMPT_TOKENS_PER_STEP) + 4);
}

/// The text of an answer, and how many tokens of its prompt were shared.
fn answer(events: &mut UnboundedReceiver<Event>) -> Option<(String, u32)> {
    let mut text = String::new();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::Text(piece) => text += &piece.text,
            Event::Done { usage, .. } => return Some((text, usage.cached_tokens)),
            other => panic!("{other:?}"),
        }
    }
    None
}

/// Runs requests that all enter at once; whether all are answered, each as `expected`.
fn answers(setup: &mut Setup, requests: &[(String, &str)]) -> Vec<(String, u32)> {
    let mut receivers: Vec<_> = requests
        .iter()
        .map(|(prompt, owner)| setup.ask(prompt, owner))
        .collect();
    let mut found = vec![None; receivers.len()];
    for _ in 0..10_000 {
        setup.step();
        assert!(setup.batch.blocks.n() <= setup.batch.bounds.most_blocks);
        // An answer is looked at once it is whole, for its texts come in pieces.
        if setup.batch.is_idle() {
            for (found, receiver) in found.iter_mut().zip(&mut receivers) {
                *found = answer(receiver);
            }
            break;
        }
    }
    found.into_iter().map(Option::unwrap).collect()
}

fn prompts() -> [(String, &'static str); 6] {
    let about = "A gateway stands between programs and the models that they call. ".repeat(12);
    std::array::from_fn(|i| (format!("{about}Question {i}: what is a token?"), "a"))
}

#[test]
fn too_few_blocks_for_all_change_no_answer() {
    let mut roomy = Setup::new();
    let expected: Vec<String> = answers(&mut roomy, &prompts())
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    let mut tight = Setup::new();
    // A window of 320 tokens: five blocks, and the one that is copied.
    tight.batch = Batch::new(Bounds::new(4, 0, 320));
    assert_eq!(tight.batch.bounds.most_blocks, 6);
    let found: Vec<String> = answers(&mut tight, &prompts())
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_beginning_that_the_same_owner_asked_before_is_shared_and_changes_no_answer() {
    let mut setup = Setup::new();
    let [first, second, ..] = prompts();
    let cold = answers(&mut setup, std::slice::from_ref(&first));
    assert_eq!(cold[0].1, 0);
    let again = answers(&mut setup, std::slice::from_ref(&first));
    let n_prompt = setup
        .model
        .tokenize(&Prompt::Raw(first.0.clone()))
        .unwrap()
        .len();
    assert_eq!(again[0].0, cold[0].0);
    assert_eq!(again[0].1 as usize, n_prompt - 1);

    let mut fresh = Setup::new();
    let expected = answers(&mut fresh, std::slice::from_ref(&second));
    let shared = answers(&mut setup, std::slice::from_ref(&second));
    assert_eq!(shared[0].0, expected[0].0);
    assert!(shared[0].1 > 100, "{}", shared[0].1);

    let other = answers(&mut setup, &[(second.0, "b")]);
    assert_eq!((&other[0].0, other[0].1), (&expected[0].0, 0));
}

#[test]
fn a_running_sequence_shares_what_it_has_read() {
    let mut setup = Setup::new();
    let [first, second, ..] = prompts();
    let mut running = setup.ask(&first.0, "a");
    for _ in 0..20 {
        setup.step();
    }
    let mut next = setup.ask(&second.0, "a");
    while !setup.batch.is_idle() {
        setup.step();
    }
    assert_eq!(answer(&mut running).unwrap().1, 0);
    assert!(answer(&mut next).unwrap().1 > 100);
}
