//! Whether a failed attempt is followed by another, and after how long.
//!
//! An attempt is tried again only while nothing has reached the caller, only for failures that a second try
//! can mend, and only while the retry budget lasts: when everything fails, retries must not multiply the load
//! (Google SRE, "Handling Overload": at most 10 % more). Waiting is exponential with full jitter.

use std::time::Duration;

use parking_lot::Mutex;
use tollgate_base::{Error, Kind, UnixMillis};

/// The settings of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts of one call over all of its targets, the first included.
    pub max_attempts: u32,
    /// Attempts on one target.
    pub max_attempts_per_target: u32,
    /// The first wait's upper end; it doubles with each attempt.
    pub base: Duration,
    /// The longest wait, also when a provider asks for more: then the caller is told to wait instead.
    pub cap: Duration,
}

/// How an attempt failed.
#[derive(Clone, Debug)]
pub struct Failure {
    pub error: Error,
    /// Whether the provider may have started to work on it.
    pub sent: Sent,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not executed: nothing was sent.
    No,
    /// The connection broke before an answer came: it may have been executed.
    Maybe,
    /// The provider answered, and the answer is a failure.
    Answered,
    /// The provider began an answer that was none in the end: it was executed, and may be charged.
    Accepted,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The error goes to the caller.
    GiveUp,
    /// The next target, at once, if there is one; this one will not mend soon.
    Elsewhere,
    /// The next target, at once; when there is none, the same one after the wait.
    Again { wait: Duration },
}

/// Limits retries to a share of the calls, with a small reserve for quiet times.
///
/// Counted in hundredths of a retry: a call deposits the share, a retry takes a hundred, and the reserve comes
/// back over ten seconds.
#[derive(Debug)]
pub struct RetryBudget(Mutex<Purse>);

#[derive(Debug)]
struct Purse {
    hundredths: u64,
    percent: u64,
    floor: u64,
    filled_at: UnixMillis,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            max_attempts_per_target: 2,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
        }
    }
}

impl RetryPolicy {
    /// What follows the `attempt`th failure (counted from 1). `jitter` is uniform in 0..=u16::MAX.
    pub fn after(&self, failure: &Failure, attempt: u32, jitter: u16) -> Verdict {
        if attempt >= self.max_attempts {
            return Verdict::GiveUp;
        }
        match remedy(failure) {
            Remedy::None => Verdict::GiveUp,
            Remedy::OtherTarget => Verdict::Elsewhere,
            Remedy::Time => match failure.error.retry_after() {
                Some(wait) if wait > self.cap => Verdict::Elsewhere,
                Some(wait) => Verdict::Again { wait },
                None => Verdict::Again {
                    wait: self.backoff(attempt, jitter),
                },
            },
        }
    }

    fn backoff(&self, attempt: u32, jitter: u16) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(1 << (attempt - 1).min(16))
            .min(self.cap);
        ceiling.mul_f64(f64::from(jitter) / f64::from(u16::MAX))
    }
}

/// What may help against a failure.
enum Remedy {
    /// Nothing: the request itself is at fault, or it may have been executed already.
    None,
    /// Another provider or another account.
    OtherTarget,
    /// A moment's wait, or another target.
    Time,
}

fn remedy(failure: &Failure) -> Remedy {
    match failure.error.kind() {
        Kind::Quota | Kind::Billing => Remedy::OtherTarget,
        Kind::Upstream if matches!(failure.error.code(), "upstream_auth" | "upstream_tls") => {
            Remedy::OtherTarget
        }
        Kind::RateLimit
        | Kind::RequestTimeout
        | Kind::Conflict
        | Kind::Internal
        | Kind::Overloaded
        | Kind::Upstream => Remedy::Time,
        Kind::UpstreamTimeout if matches!(failure.sent, Sent::No | Sent::Answered) => Remedy::Time,
        Kind::UpstreamTimeout
        | Kind::InvalidRequest
        | Kind::Authentication
        | Kind::Permission
        | Kind::NotFound
        | Kind::MethodNotAllowed
        | Kind::TooLarge
        | Kind::UriTooLong
        | Kind::UnsupportedMedia
        | Kind::ExpectationFailed
        | Kind::Misdirected
        | Kind::Unprocessable
        | Kind::Precondition
        | Kind::HeadersTooLarge
        | Kind::NotSupported => Remedy::None,
    }
}

impl RetryBudget {
    const COST: u64 = 100;
    /// Seconds in which the reserve comes back.
    const WINDOW: u64 = 10;

    /// `percent` of the calls may be retries, and `floor` in each ten seconds whatever the calls.
    pub fn new(percent: u32, floor: u32, now: UnixMillis) -> Self {
        let (percent, floor) = (u64::from(percent), u64::from(floor));
        Self(Mutex::new(Purse {
            hundredths: floor * Self::COST,
            percent,
            floor,
            filled_at: now,
        }))
    }

    /// A call begins.
    pub fn deposit(&self) {
        let mut purse = self.0.lock();
        purse.hundredths = (purse.hundredths + purse.percent).min(purse.full());
    }

    /// Takes one retry out, if there is one.
    pub fn withdraw(&self, now: UnixMillis) -> bool {
        let mut purse = self.0.lock();
        let waited = now.0.saturating_sub(purse.filled_at.0);
        let back = waited.saturating_mul(purse.floor * Self::COST) / (Self::WINDOW * 1000);
        if back > 0 {
            purse.hundredths = purse.hundredths.saturating_add(back).min(purse.full());
            purse.filled_at = now;
        }
        let enough = purse.hundredths >= Self::COST;
        if enough {
            purse.hundredths -= Self::COST;
        }
        enough
    }
}

impl Purse {
    /// What can be saved up: the reserve, and the share of two hundred calls.
    fn full(&self) -> u64 {
        self.floor * RetryBudget::COST + self.percent * 200
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: Kind, sent: Sent) -> Failure {
        Failure {
            error: Error::new(kind, "x", "x"),
            sent,
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_reaches_down_to_zero() {
        let policy = RetryPolicy {
            max_attempts: 100,
            ..RetryPolicy::default()
        };
        let wait = |attempt, jitter| {
            policy.after(&failure(Kind::Overloaded, Sent::Answered), attempt, jitter)
        };
        let again = |ms| Verdict::Again {
            wait: Duration::from_millis(ms),
        };
        assert_eq!(wait(1, u16::MAX), again(500));
        assert_eq!(wait(2, u16::MAX), again(1000));
        assert_eq!(wait(9, u16::MAX), again(8000));
        assert_eq!(wait(9, 0), again(0));
    }

    #[test]
    fn a_providers_wait_is_kept_when_short_and_handed_on_when_long() {
        let policy = RetryPolicy::default();
        let asked = |secs| Failure {
            error: Error::new(Kind::RateLimit, "x", "x")
                .with_retry_after(Duration::from_secs(secs)),
            sent: Sent::Answered,
        };
        assert_eq!(
            policy.after(&asked(2), 1, 0),
            Verdict::Again {
                wait: Duration::from_secs(2)
            }
        );
        assert_eq!(policy.after(&asked(60), 1, 0), Verdict::Elsewhere);
    }

    #[test]
    fn what_a_second_try_cannot_mend_is_not_tried_again() {
        let policy = RetryPolicy::default();
        for kind in [
            Kind::InvalidRequest,
            Kind::NotFound,
            Kind::Permission,
            Kind::TooLarge,
        ] {
            assert_eq!(
                policy.after(&failure(kind, Sent::Answered), 1, 0),
                Verdict::GiveUp,
                "{kind:?}"
            );
        }
        let auth = Failure {
            error: Error::new(Kind::Upstream, "upstream_auth", "x"),
            sent: Sent::Answered,
        };
        assert_eq!(policy.after(&auth, 1, 0), Verdict::Elsewhere);
        assert_eq!(
            policy.after(&failure(Kind::Quota, Sent::Answered), 1, 0),
            Verdict::Elsewhere
        );
        assert_eq!(
            policy.after(&failure(Kind::UpstreamTimeout, Sent::Maybe), 1, 0),
            Verdict::GiveUp
        );
        assert_eq!(
            policy.after(&failure(Kind::Overloaded, Sent::Answered), 3, 0),
            Verdict::GiveUp
        );
    }

    #[test]
    fn under_total_failure_retries_stay_near_a_tenth_of_the_calls() {
        let budget = RetryBudget::new(10, 3, UnixMillis(0));
        let mut retries = 0;
        for call in 0..10_000_u64 {
            budget.deposit();
            let now = UnixMillis(call * 2);
            retries += u32::from(budget.withdraw(now)) + u32::from(budget.withdraw(now));
        }
        assert!(
            (1000..=1015).contains(&retries),
            "{retries} retries for 10,000 failing calls"
        );
    }
}
