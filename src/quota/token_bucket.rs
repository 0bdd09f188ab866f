//! [`TokenBucket`]: bursts up to a bound, a steady rate in the long run (KIP-599).

use std::time::Duration;

/// Tokens that come at a steady rate and are spent at will; spending may leave a debt.
#[derive(Clone, Debug, Default)]
pub struct TokenBucket {
    /// `None`: full, whatever that is.
    tokens: Option<f64>,
    filled_at: Duration,
}

impl TokenBucket {
    /// What there is, at `rate` tokens a second and at most `burst` of them.
    pub fn tokens(&mut self, now: Duration, rate: f64, burst: f64) -> f64 {
        let since = now.saturating_sub(self.filled_at).as_secs_f64();
        let tokens = self.tokens.map_or(burst, |tokens| (tokens + rate * since).min(burst));
        (self.tokens, self.filled_at) = (Some(tokens), now);
        tokens
    }

    /// Spends `tokens`, also where there are not so many; what is left.
    pub fn spend(&mut self, now: Duration, rate: f64, burst: f64, tokens: f64) -> f64 {
        let left = (self.tokens(now, rate, burst) - tokens).min(burst);
        self.tokens = Some(left);
        left
    }

    /// How long until a debt is paid off.
    pub fn debt(&mut self, now: Duration, rate: f64, burst: f64) -> Duration {
        let tokens = self.tokens(now, rate, burst);
        if tokens >= 0.0 || rate <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_millis((-tokens / rate * 1000.0).round().min(i32::MAX as f64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_may_leave_a_debt() {
        let mut bucket = TokenBucket::default();
        let (rate, burst) = (2.0, 22.0);
        assert!((bucket.spend(at(5_000), rate, burst, 30.0) - -8.0).abs() < 1e-9);
        assert_eq!(bucket.debt(at(5_000), rate, burst), at(4_000));
        assert_eq!(bucket.debt(at(8_000), rate, burst), at(1_000));
        assert_eq!(bucket.debt(at(9_000), rate, burst), at(0));
        assert!((bucket.tokens(at(1_000_000), rate, burst) - burst).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn in_the_long_run_the_rate_holds(spends in prop::collection::vec((0..2_000_u64, 1..20_u32), 1..200)) {
            let (rate, burst) = (5.0, 55.0);
            let mut bucket = TokenBucket::default();
            let (mut now, mut spent) = (0, 0.0);
            for (wait, tokens) in spends {
                now += wait;
                if bucket.tokens(at(now), rate, burst) >= 0.0 {
                    bucket.spend(at(now), rate, burst, f64::from(tokens));
                    spent += f64::from(tokens);
                }
            }
            prop_assert!(spent <= burst + rate * now as f64 / 1000.0 + 20.0);
        }
    }
}
