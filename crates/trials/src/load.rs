//! Open-loop load: calls start at their planned instants, however slow the answers are.
//!
//! Latency counts from the planned instant, so that a stall of the server shows in every call that it delayed
//! (no coordinated omission).

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{Answer, Call, Client};

/// A call that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) call: Call,
    pub(crate) planned: Instant,
    pub(crate) answer: Answer,
}

impl Made {
    pub(crate) fn latency(&self) -> Duration {
        self.answer.at.saturating_duration_since(self.planned)
    }
}

/// Makes these calls `gap` apart; zero means all at once. Resolves when each has its end.
pub(crate) async fn constant(client: &Arc<Client>, calls: Vec<Call>, gap: Duration) -> Vec<Made> {
    let first = Instant::now();
    let mut running = JoinSet::new();
    for (call, index) in calls.into_iter().zip(0_u32..) {
        let client = Arc::clone(client);
        let planned = first + gap * index;
        running.spawn(async move {
            sleep_until(planned).await;
            let answer = client.send(&call).await;
            Made {
                call,
                planned,
                answer,
            }
        });
    }
    running.join_all().await
}

/// The latency that this share of the calls (in percent) stays within.
pub(crate) fn percentile(made: &[Made], percent: usize) -> Duration {
    let mut all: Vec<Duration> = made.iter().map(Made::latency).collect();
    all.sort_unstable();
    let index = (all.len() * percent).div_ceil(100).saturating_sub(1);
    all.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Wire;
    use tollgate_testkit::{Block, Dialect, FaultKind, Scenario, TestProvider};

    fn call(model: &str) -> Call {
        Call {
            wire: Wire::Chat,
            model: model.to_owned(),
            stream: true,
            max_tokens: 100,
            leave: None,
        }
    }

    #[tokio::test]
    async fn slow_answers_do_not_hold_back_later_calls_and_count_from_the_plan() {
        let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
        let slow = Scenario::new("slow-one", vec![Block::text("word ")]);
        provider.register(slow.with_fault(FaultKind::DelayHead { ms: 300 }));
        let client = Arc::new(Client::new(provider.addr(), "test-key"));
        let calls = vec![call("slow-one"); 20];
        let begin = Instant::now();
        let made = constant(&client, calls, Duration::from_millis(5)).await;
        assert_eq!(made.len(), 20);
        assert!(made.iter().all(|made| made.answer.is_whole(&made.call)));
        // One after the other they would take six seconds.
        assert!(begin.elapsed() < Duration::from_secs(4));
        assert!(percentile(&made, 50) >= Duration::from_millis(300));
    }
}
