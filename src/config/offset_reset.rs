//! `share.auto.offset.reset`: where a share group begins in a partition (KIP-932).

use std::time::Duration;

/// Where a share group that has no offset in a partition begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShareAutoOffsetReset {
    Earliest,
    #[default]
    Latest,
    /// At the first record that is not older than this.
    ByDuration(Duration),
}

impl ShareAutoOffsetReset {
    /// The strategy that a setting names, in small letters as Kafka has it.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            _ => parse_iso_duration(text.strip_prefix("by_duration:")?).map(Self::ByDuration),
        }
    }
}

const MILLIS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// An ISO 8601 duration of days and smaller units, `P1DT2H3M4.5S`, as Java's `Duration.parse` reads it; `None` for any
/// other text and for one that goes back in time. What is finer than milliseconds is cut off.
fn parse_iso_duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let (negated, text) = signed(&text);
    let text = text.strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    let mut parts = Parts { rest: date, millis: 0, found: false };
    parts.take('D', MILLIS_PER_DAY)?;
    parts = parts.ended()?.continued(time);
    parts.take('H', 60 * 60 * 1000)?;
    parts.take('M', 60 * 1000)?;
    parts.take_seconds()?;
    let parts = parts.ended()?;
    let millis = if negated { parts.millis.checked_neg()? } else { parts.millis };
    let millis = u64::try_from(millis).ok()?;
    parts.found.then(|| Duration::from_millis(millis))
}

/// What is read of a duration, and what comes behind.
struct Parts<'a> {
    rest: &'a str,
    millis: i64,
    found: bool,
}

impl<'a> Parts<'a> {
    /// One number with its unit, if it comes next.
    fn take(&mut self, unit: char, millis_per_unit: u64) -> Option<()> {
        let Some((number, rest)) = self.rest.split_once(unit) else { return Some(()) };
        let number = integer(number)?.checked_mul(i64::try_from(millis_per_unit).ok()?)?;
        self.add(number, rest)
    }

    fn take_seconds(&mut self) -> Option<()> {
        let Some((number, rest)) = self.rest.split_once('S') else { return Some(()) };
        let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
        let millis = integer(whole)?.checked_mul(1000)?.checked_add(fraction_millis(whole, fraction)?)?;
        self.add(millis, rest)
    }

    fn add(&mut self, millis: i64, rest: &'a str) -> Option<()> {
        self.millis = self.millis.checked_add(millis)?;
        (self.rest, self.found) = (rest, true);
        Some(())
    }

    fn ended(self) -> Option<Self> {
        self.rest.is_empty().then_some(self)
    }

    fn continued(self, rest: &'a str) -> Self {
        Self { rest, ..self }
    }
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn integer(text: &str) -> Option<i64> {
    let (_, digits) = signed(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// The milliseconds of up to nine digits behind the point, with the sign of the number before it.
fn fraction_millis(whole: &str, fraction: &str) -> Option<i64> {
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis: i64 = padded.parse().ok()?;
    Some(if signed(whole).0 { -millis } else { millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: Option<u64>) {
        let expected = millis.map(|millis| ShareAutoOffsetReset::ByDuration(Duration::from_millis(millis)));
        assert_eq!(ShareAutoOffsetReset::from_text(&format!("by_duration:{text}")), expected, "{text}");
    }

    // As Java's Duration.parse has them.
    #[test]
    fn durations() {
        check("PT1H", Some(3_600_000));
        check("P1D", Some(86_400_000));
        check("p1dt1h1m1.5s", Some(90_061_500));
        check("PT0S", Some(0));
        check("PT1.1234S", Some(1_123));
        check("PT2H-30M", Some(5_400_000));
        check("-PT-1S", Some(1_000));
        check("PT+5M", Some(300_000));
        for bad in [
            "", "P", "PT", "P1", "P1DT", "1H", "PT1", "PT1X", "PT1H2", "PT1M1H", "P1H", "P1Y", "PT1.5H", "PTH",
            " PT1H",
        ] {
            check(bad, None);
        }
        for negative in ["-PT1H", "PT-1H", "P-1DT1H", "PT-0.5S"] {
            check(negative, None);
        }
        check("PT9223372036854775807H", None);
        check("P99999999999999999999D", None);
    }

    #[test]
    fn words() {
        assert_eq!(ShareAutoOffsetReset::from_text("earliest"), Some(ShareAutoOffsetReset::Earliest));
        assert_eq!(ShareAutoOffsetReset::from_text("latest"), Some(ShareAutoOffsetReset::Latest));
        for other in ["EARLIEST", "none", "", "by_duration", "by_duration:"] {
            assert_eq!(ShareAutoOffsetReset::from_text(other), None, "{other}");
        }
    }
}
