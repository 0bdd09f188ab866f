//! [`Rate`]: how much came per second, over a few windows of time.
//!
//! ```text
//!  ├─ window ─┼─ window ─┼─ window ─┼─ … ─┤now        quota.window.num windows of quota.window.size.seconds
//!   sample     sample     sample            what is older than all windows is forgotten
//! ```

use std::collections::VecDeque;
use std::time::Duration;

/// Over what time a rate is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `quota.window.num`, at least 1.
    pub samples: usize,
    /// `quota.window.size.seconds`, not zero.
    pub length: Duration,
}

impl Window {
    /// All the windows together.
    pub fn total(&self) -> Duration {
        self.length.saturating_mul(u32::try_from(self.samples).unwrap_or(u32::MAX))
    }
}

/// What came lately, in samples of one window each.
#[derive(Clone, Debug)]
pub struct Rate {
    window: Window,
    /// Each with the time of its first record, the oldest first.
    samples: VecDeque<(Duration, f64)>,
}

impl Rate {
    pub fn new(window: Window) -> Self {
        Self { window, samples: VecDeque::new() }
    }

    /// Counts `value`; a negative one takes back what was counted.
    pub fn record(&mut self, now: Duration, value: f64) {
        self.forget(now);
        match self.samples.back_mut() {
            Some((start, sum)) if now.saturating_sub(*start) < self.window.length => *sum += value,
            _ => self.samples.push_back((now, value)),
        }
    }

    /// Units a second.
    pub fn per_second(&mut self, now: Duration) -> f64 {
        self.sum(now) / self.span(now).as_secs_f64()
    }

    /// What came within all windows.
    pub fn sum(&mut self, now: Duration) -> f64 {
        self.forget(now);
        self.samples.iter().map(|(_, sum)| sum).sum()
    }

    /// The time over which the rate is measured: all windows but the last are whole, even where nothing came in them,
    /// so that a client's first request is not taken for a torrent.
    pub fn span(&self, now: Duration) -> Duration {
        let elapsed = self.samples.front().map_or(Duration::ZERO, |(start, _)| now.saturating_sub(*start));
        let whole = (elapsed.as_nanos() / self.window.length.as_nanos().max(1)) as usize;
        let missing = self.window.samples.saturating_sub(1).saturating_sub(whole);
        let missing = self.window.length.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX));
        // With a single window, right at its beginning, there is no time to divide by.
        elapsed.saturating_add(missing).max(Duration::from_millis(1))
    }

    /// Nothing is left that counts.
    pub fn is_idle(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.samples.is_empty()
    }

    fn forget(&mut self, now: Duration) {
        let total = self.window.total();
        while self.samples.front().is_some_and(|(start, _)| now.saturating_sub(*start) >= total) {
            self.samples.pop_front();
        }
    }
}

/// How long one has to wait for the rate to come down to `bound`, were nothing to come meanwhile: Kafka's formula.
pub(super) fn throttle_time(rate: f64, bound: f64, span: Duration) -> Duration {
    if rate <= bound || bound <= 0.0 {
        return Duration::ZERO;
    }
    let millis = ((rate - bound) / bound * span.as_secs_f64() * 1000.0).round();
    // A quota far below a single request could ask for a wait of years.
    Duration::from_millis(millis.min(i32::MAX as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { samples: 11, length: Duration::from_secs(1) };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(1000.0 + seconds)
    }

    #[track_caller]
    fn check(rate: &mut Rate, at: f64, expected: f64) {
        let found = rate.per_second(seconds(at));
        assert!((found - expected).abs() < 1e-6, "at {at}: {found}, not {expected}");
    }

    #[test]
    fn a_first_burst_is_spread_over_the_windows() {
        let mut rate = Rate::new(WINDOW);
        rate.record(seconds(0.0), 1000.0);
        check(&mut rate, 0.0, 100.0);
        check(&mut rate, 0.5, 1000.0 / 10.5);
        check(&mut rate, 10.5, 1000.0 / 10.5);
        check(&mut rate, 11.0, 0.0);
        assert!(rate.is_idle(seconds(11.0)));
    }

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut rate = Rate::new(WINDOW);
        for tenth in 0..400 {
            rate.record(seconds(f64::from(tenth) / 10.0), 10.0);
        }
        let found = rate.per_second(seconds(39.9));
        assert!((95.0..=106.0).contains(&found), "{found}");
        assert!(rate.samples.len() <= WINDOW.samples + 1);
    }

    #[test]
    fn what_is_taken_back_never_was() {
        let mut rate = Rate::new(WINDOW);
        rate.record(seconds(0.0), 50.0);
        rate.record(seconds(0.1), 1000.0);
        rate.record(seconds(0.1), -1000.0);
        check(&mut rate, 0.1, 50.0 / 10.1);
    }

    #[test]
    fn throttle_times_are_kafkas() {
        // 15 KiB within ten windows and a half second, where 1 KiB a second is allowed.
        let time = throttle_time(15_360.0 / 10.5, 1024.0, Duration::from_millis(10_500));
        assert_eq!(time, Duration::from_millis(4_500));
        assert_eq!(throttle_time(5.0, 5.0, Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(throttle_time(1e12, 1e-3, Duration::from_secs(10)), Duration::from_millis(i32::MAX as u64));
    }

    #[test]
    fn one_window_alone_divides_by_some_time() {
        let mut rate = Rate::new(Window { samples: 1, length: Duration::from_secs(1) });
        rate.record(seconds(0.0), 1.0);
        check(&mut rate, 0.0, 1000.0);
    }
}
