//! The timers of a stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// The timers of a stream: one sleep, armed anew when it fires rather than at each event.
pub(super) struct Pace {
    timer: Pin<Box<Sleep>>,
    heartbeat: Duration,
    idle_timeout: Duration,
    /// When the whole call must be over.
    deadline: Instant,
    pub(super) last_in: Instant,
    pub(super) last_out: Instant,
}

/// What a timer says.
pub(super) enum Beat {
    Heartbeat,
    ProviderIsIdle,
    CallIsTooLong,
}

/// How long a provider may keep the connection open after the end of its reply.
const AFTERMATH: Duration = Duration::from_millis(500);

// === impl Pace ===

impl Pace {
    pub(super) fn new(streaming: &tollgate_config::StreamSettings, deadline: Instant) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(tokio::time::sleep(streaming.heartbeat)),
            heartbeat: streaming.heartbeat,
            idle_timeout: streaming.idle_timeout,
            deadline,
            last_in: now,
            last_out: now,
        }
    }

    /// After the reply's own end the source gets only a moment more.
    pub(super) fn expect_end(&mut self) {
        self.timer.as_mut().reset(Instant::now() + AFTERMATH);
        self.heartbeat = AFTERMATH;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let next_beat = self.last_out + self.heartbeat;
            let idle_at = self.last_in + self.idle_timeout;
            let beat = if now >= self.deadline {
                Some(Beat::CallIsTooLong)
            } else if now >= idle_at {
                Some(Beat::ProviderIsIdle)
            } else if now >= next_beat {
                self.last_out = now;
                Some(Beat::Heartbeat)
            } else {
                None
            };
            let next = (self.last_out + self.heartbeat)
                .min(idle_at)
                .min(self.deadline);
            self.timer
                .as_mut()
                .reset(next.max(now + Duration::from_millis(1)));
            if let Some(beat) = beat {
                return Poll::Ready(beat);
            }
        }
    }
}
