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
            batch: Batch::default(),
            places: Places::new(99),
        }
    }

    /// A sequence whose answer is `n_output` tokens: what the prompt has is rewarded far beyond the end token.
    fn enter(&mut self, n_prompt: usize, n_output: u32) -> UnboundedReceiver<Event> {
        let (events, receiver) = unbounded_channel();
        let request = Request {
            sampling: Sampling {
                repetition_penalty: 1e-4,
                frequency_penalty: -2.0,
                presence_penalty: -2.0,
                ..Sampling::greedy()
            },
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

    fn step(&mut self) {
        self.batch.step(&self.model, 4);
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
