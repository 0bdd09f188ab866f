//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails: generous, since two processors may be shared by a JVM or two.
pub const DEADLINE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// Polls until `probe` gives a value; after [`DEADLINE`] the test fails with `what`.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, probe)
}

/// Polls until `probe` gives a value; after `limit` the test fails with `what`.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}
