//! How fast all cleaner threads together may read and write (`log.cleaner.io.max.bytes.per.second`).

use std::time::Duration;

/// A debt below this is not paid at once: sleeps take their own time too.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// Books bytes, and says how long whoever moved them has to wait. Pure.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When all that was booked will have been paid for.
    paid_at: Duration,
}

impl Throttle {
    /// `now` is monotonic. Whoever is told to wait waits without booking anything more.
    pub(super) fn book(&mut self, bytes: u64, bytes_per_second: f64, now: Duration) -> Duration {
        let price = Duration::try_from_secs_f64(bytes as f64 / bytes_per_second.max(1.0)).unwrap_or(Duration::MAX);
        self.paid_at = self.paid_at.max(now).saturating_add(price);
        let debt = self.paid_at.saturating_sub(now);
        if debt < LEAST_WAIT { Duration::ZERO } else { debt }
    }

    /// Another rate holds: what was booked at the old one is forgiven.
    pub(super) fn forgive(&mut self) {
        self.paid_at = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_is_kept_over_time_whoever_books() {
        let mut throttle = Throttle::default();
        let mut now = SECOND;
        for bytes in [1, 700, 300, 5000, 10, 10, 10, 3969] {
            now += throttle.book(bytes, 1000.0, now);
        }
        assert_eq!(now, 11 * SECOND, "10,000 bytes at 1,000 a second");
        now += 100 * SECOND;
        assert_eq!(throttle.book(1000, 1000.0, now), SECOND, "a rest earns nothing");
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.book(u64::MAX, f64::MAX, SECOND), Duration::ZERO);
        // A limit that makes no sense is slow, not a panic.
        for limit in [0.0, -1.0, f64::NAN] {
            assert!(throttle.book(10, limit, SECOND) >= 9 * SECOND);
            throttle.forgive();
        }
    }
}
