//! [`Meter`]: what those who share one limit have done lately.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::limits::QuotaKind;
use super::rate::{Rate, Window, throttle_time};
use super::token_bucket::TokenBucket;

/// A strict quota is used up: nothing more is done for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The throttling quota has been exceeded.")]
pub struct QuotaExceeded {
    /// How long until there is room again.
    pub throttle: Duration,
}

/// Measures one kind of use against its limit; shared by all connections that share the limit.
#[derive(Debug)]
pub struct Meter {
    pub kind: QuotaKind,
    /// Empty where the limit is not the user's.
    pub user: Arc<str>,
    /// Empty where the limit is not the client id's.
    pub client_id: Arc<str>,
    window: Window,
    /// The bits of a float.
    limit: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: Used,
    /// For the average throttle time: milliseconds, and how often.
    throttle_ms: Rate,
    throttles: Rate,
}

#[derive(Debug)]
enum Used {
    Rate(Rate),
    Tokens(TokenBucket),
}

/// What a meter says of itself, for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub kind: QuotaKind,
    pub user: Arc<str>,
    pub client_id: Arc<str>,
    /// Units a second; for mutations of the controller, tokens left.
    pub value: f64,
    /// The average of those that were throttled lately.
    pub throttle_ms: f64,
}

impl Meter {
    pub fn new(kind: QuotaKind, user: Arc<str>, client_id: Arc<str>, window: Window, limit: f64) -> Self {
        let measured = match kind {
            QuotaKind::ControllerMutation => Used::Tokens(TokenBucket::default()),
            _ => Used::Rate(Rate::new(window)),
        };
        let (throttle_ms, throttles) = (Rate::new(window), Rate::new(window));
        let state = Mutex::new(State { used: measured, throttle_ms, throttles });
        Self { kind, user, client_id, window, limit: AtomicU64::new(limit.to_bits()), state }
    }

    pub fn limit(&self) -> f64 {
        f64::from_bits(self.limit.load(Ordering::Relaxed))
    }

    pub(super) fn set_limit(&self, limit: f64) {
        self.limit.store(limit.to_bits(), Ordering::Relaxed);
    }

    /// Counts `value`; how long its doer is to wait.
    pub fn record(&self, now: Duration, value: f64) -> Duration {
        let throttle = self.record_quietly(now, value);
        if !throttle.is_zero() {
            let mut state = self.state.lock();
            state.throttle_ms.record(now, throttle.as_millis() as f64);
            state.throttles.record(now, 1.0);
        }
        throttle
    }

    fn record_quietly(&self, now: Duration, value: f64) -> Duration {
        let (limit, burst) = (self.limit(), self.burst());
        let throttle = match &mut self.state.lock().used {
            Used::Rate(rate) => {
                rate.record(now, value);
                throttle_time(rate.per_second(now), limit, rate.span(now))
            }
            Used::Tokens(bucket) => {
                bucket.spend(now, limit, burst, value);
                bucket.debt(now, limit, burst)
            }
        };
        match self.kind {
            // One long request must not shut a client out for minutes.
            QuotaKind::Request => throttle.min(self.window.length),
            _ => throttle,
        }
    }

    /// Takes back what was counted and then not done.
    pub fn take_back(&self, now: Duration, value: f64) {
        if let Used::Rate(rate) = &mut self.state.lock().used {
            rate.record(now, -value);
        }
    }

    /// Spends `tokens` unless there is a debt already.
    pub fn spend_strictly(&self, now: Duration, tokens: f64) -> Result<(), QuotaExceeded> {
        let (limit, burst) = (self.limit(), self.burst());
        let Used::Tokens(bucket) = &mut self.state.lock().used else { return Ok(()) };
        let throttle = bucket.debt(now, limit, burst);
        if !throttle.is_zero() {
            return Err(QuotaExceeded { throttle });
        }
        bucket.spend(now, limit, burst, tokens);
        Ok(())
    }

    /// The most that may come at once: what all windows but one allow.
    pub fn max_at_once(&self) -> f64 {
        self.limit() * self.window.samples.saturating_sub(1) as f64 * self.window.length.as_secs_f64()
    }

    fn burst(&self) -> f64 {
        self.limit() * self.window.total().as_secs_f64()
    }

    /// Nothing was done lately: forgetting it changes nothing for anybody.
    pub fn is_idle(&self, now: Duration) -> bool {
        let (limit, burst) = (self.limit(), self.burst());
        let mut state = self.state.lock();
        let is_unused = match &mut state.used {
            Used::Rate(rate) => rate.is_idle(now),
            Used::Tokens(bucket) => bucket.tokens(now, limit, burst) >= burst,
        };
        is_unused && state.throttles.is_idle(now)
    }

    pub fn read(&self, now: Duration) -> Reading {
        let (limit, burst) = (self.limit(), self.burst());
        let mut state = self.state.lock();
        let value = match &mut state.used {
            Used::Rate(rate) => rate.per_second(now),
            Used::Tokens(bucket) => bucket.tokens(now, limit, burst),
        };
        let throttles = state.throttles.sum(now);
        let throttle_ms = if throttles > 0.0 { state.throttle_ms.sum(now) / throttles } else { 0.0 };
        let (user, client_id) = (Arc::clone(&self.user), Arc::clone(&self.client_id));
        Reading { kind: self.kind, user, client_id, value, throttle_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { samples: 11, length: Duration::from_secs(1) };

    fn meter(kind: QuotaKind, limit: f64) -> Meter {
        Meter::new(kind, Arc::default(), "c".into(), WINDOW, limit)
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(100_000 + millis)
    }

    #[test]
    fn bytes_over_the_rate_take_time() {
        let meter = meter(QuotaKind::Produce, 100.0);
        assert_eq!(meter.record(at(0), 1_000.0), Duration::ZERO, "all windows' worth may come at once");
        assert_eq!(meter.record(at(0), 500.0), Duration::from_secs(5));
        assert_eq!(meter.record(at(5_000), 0.0), Duration::from_secs(5), "nothing has left the windows yet");
        assert_eq!(meter.read(at(5_000)).throttle_ms as u64, 5_000);
        assert_eq!(meter.record(at(11_000), 0.0), Duration::ZERO);
        assert!(meter.is_idle(at(30_000)));
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let meter = meter(QuotaKind::Fetch, 100.0);
        assert_ne!(meter.record(at(0), 2_000.0), Duration::ZERO);
        meter.take_back(at(0), 2_000.0);
        assert_eq!(meter.record(at(0), 0.0), Duration::ZERO);
    }

    #[test]
    fn a_long_request_waits_one_window() {
        let meter = meter(QuotaKind::Request, 0.001);
        assert_eq!(meter.record(at(0), 1_000.0), WINDOW.length);
    }

    #[test]
    fn a_strict_quota_refuses_while_there_is_a_debt() {
        let meter = meter(QuotaKind::ControllerMutation, 1.0);
        assert_eq!(meter.spend_strictly(at(0), 13.0), Ok(()), "a full bucket may go into debt once");
        let throttle = Duration::from_secs(2);
        assert_eq!(meter.spend_strictly(at(0), 1.0), Err(QuotaExceeded { throttle }));
        assert_eq!(meter.spend_strictly(at(2_000), 1.0), Ok(()));
        assert_eq!(meter.record(at(2_000), 4.0), Duration::from_secs(5), "a permissive one spends and waits");
    }
}
