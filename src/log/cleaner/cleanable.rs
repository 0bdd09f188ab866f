//! What of a log can be cleaned, and which log needs it most. Pure.
//!
//! ```text
//!      log start      first dirty offset        first uncleanable offset
//!  ────────┼─────────────────┼───────────────────────────┼─────────────────── end
//!          │  clean: one     │  dirty: cleaned next      │  active segment, beyond the last stable offset,
//!          │  record a key   │                           │  or younger than min.compaction.lag.ms
//! ```

use crate::config::LogConfig;
use crate::ids::Offset;
use crate::time::TimestampMs;

/// What is known of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentFacts {
    pub(super) base_offset: Offset,
    pub(super) size_bytes: u64,
    pub(super) largest_timestamp: TimestampMs,
}

/// What is known of a log.
#[derive(Debug)]
pub(super) struct LogFacts {
    /// Oldest first; the last one is the active one.
    pub(super) segments: Vec<SegmentFacts>,
    pub(super) log_start_offset: Offset,
    pub(super) log_end_offset: Offset,
    pub(super) last_stable_offset: Offset,
    /// Where the last cleaning ended, as it was written down.
    pub(super) cleaned_up_to: Option<Offset>,
}

/// What of a log can be cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CleanableRange {
    pub(super) first_dirty_offset: Offset,
    /// The base offset of a segment.
    pub(super) first_uncleanable_offset: Offset,
    pub(super) clean_bytes: u64,
    pub(super) cleanable_bytes: u64,
    /// What was written down cannot be: the dirty part begins with the log.
    pub(super) resets_checkpoint: bool,
}

impl LogFacts {
    pub(super) fn cleanable(&self, config: &LogConfig, now_ms: TimestampMs) -> CleanableRange {
        let known = self.cleaned_up_to.unwrap_or(self.log_start_offset);
        // Below the start: records were deleted since. Beyond the end: the log was truncated behind our back.
        let resets_checkpoint = known < self.log_start_offset || known > self.log_end_offset;
        let first_dirty_offset = if resets_checkpoint { self.log_start_offset } else { known };

        let lag_ms = config.min_compaction_lag_ms.max(0);
        let too_young = |segment: &&SegmentFacts| segment.largest_timestamp > now_ms.saturating_sub(lag_ms);
        let young = if lag_ms > 0 { self.closed_from(first_dirty_offset).iter().find(too_young) } else { None };
        let uncleanable =
            [Some(self.last_stable_offset), self.active_base(), young.map(|segment| segment.base_offset)];
        let uncleanable =
            uncleanable.into_iter().flatten().min().unwrap_or(first_dirty_offset).max(first_dirty_offset);
        // Segments are cleaned as a whole.
        let first_uncleanable = self.closed_from(uncleanable).first().map(|segment| segment.base_offset);
        let first_uncleanable_offset = first_uncleanable.or(self.active_base()).unwrap_or(first_dirty_offset);

        let clean = self.segments.iter().take_while(|segment| segment.base_offset < first_dirty_offset);
        let dirty = self.segments[self.floor(first_dirty_offset.min(first_uncleanable_offset))..].iter();
        let cleanable = dirty.take_while(|segment| segment.base_offset < first_uncleanable_offset);
        CleanableRange {
            first_dirty_offset,
            first_uncleanable_offset,
            clean_bytes: clean.map(|segment| segment.size_bytes).sum(),
            cleanable_bytes: cleanable.map(|segment| segment.size_bytes).sum(),
            resets_checkpoint,
        }
    }

    /// The places of the closed segments that hold the offsets from `offset` on.
    pub(super) fn closed_places_from(&self, offset: Offset) -> std::ops::Range<usize> {
        let closed = self.segments.len().saturating_sub(1);
        match self.active_base() {
            Some(active) if offset <= active => self.floor(offset).min(closed)..closed,
            _ => closed..closed,
        }
    }

    fn closed_from(&self, offset: Offset) -> &[SegmentFacts] {
        &self.segments[self.closed_places_from(offset)]
    }

    fn active_base(&self) -> Option<Offset> {
        self.segments.last().map(|active| active.base_offset)
    }

    /// The place of the segment that holds `offset`; the first one for an offset before it.
    fn floor(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }
}

impl CleanableRange {
    /// How much of what could be looked through is dirty, 0 to 1.
    pub(super) fn dirty_ratio(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        if total == 0 { 0.0 } else { self.cleanable_bytes as f64 / total as f64 }
    }

    /// Whether it is worth the work: enough of it is dirty, or something has waited for too long.
    pub(super) fn is_due(&self, min_dirty_ratio: f64, compaction_delay_ms: i64) -> bool {
        (compaction_delay_ms > 0 && self.cleanable_bytes > 0) || self.dirty_ratio() > min_dirty_ratio
    }
}

/// For how long compaction is overdue by `max.compaction.lag.ms`, given when the dirty segments began; 0: it is not.
pub(super) fn compaction_delay_ms(
    first_timestamps: impl Iterator<Item = TimestampMs>,
    max_compaction_lag_ms: i64,
    now_ms: TimestampMs,
) -> i64 {
    let clean_until_ms = now_ms.saturating_sub(max_compaction_lag_ms.max(0));
    let earliest = first_timestamps.filter(|timestamp| *timestamp > 0).min().unwrap_or(TimestampMs::MAX);
    clean_until_ms.saturating_sub(earliest).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: TimestampMs = 1_000_000;

    /// Segments of 100 bytes at 0, 10, 20 ..., the last one active; each a second younger than the one before.
    fn facts(segments: i64) -> LogFacts {
        let segment = |at| SegmentFacts {
            base_offset: Offset(at * 10),
            size_bytes: 100,
            largest_timestamp: NOW_MS - (segments - at) * 1000,
        };
        LogFacts {
            segments: (0..segments).map(segment).collect(),
            log_start_offset: Offset(0),
            log_end_offset: Offset(segments * 10),
            last_stable_offset: Offset(segments * 10),
            cleaned_up_to: None,
        }
    }

    fn with_lag(min_compaction_lag_ms: i64) -> LogConfig {
        LogConfig { min_compaction_lag_ms, ..LogConfig::default() }
    }

    fn check(facts: &LogFacts, config: &LogConfig, range: (i64, i64), bytes: (u64, u64), resets: bool) {
        let expected = CleanableRange {
            first_dirty_offset: Offset(range.0),
            first_uncleanable_offset: Offset(range.1),
            clean_bytes: bytes.0,
            cleanable_bytes: bytes.1,
            resets_checkpoint: resets,
        };
        assert_eq!(facts.cleanable(config, NOW_MS), expected, "{facts:?}");
    }

    #[test]
    fn all_but_the_active_segment_is_cleanable() {
        check(&facts(4), &with_lag(0), (0, 30), (0, 300), false);
        check(&facts(1), &with_lag(0), (0, 0), (0, 0), false);
        check(&LogFacts { cleaned_up_to: Some(Offset(20)), ..facts(4) }, &with_lag(0), (20, 30), (200, 100), false);
        // A checkpoint within a segment: it counts for both.
        check(&LogFacts { cleaned_up_to: Some(Offset(15)), ..facts(4) }, &with_lag(0), (15, 30), (200, 200), false);
        check(&LogFacts { cleaned_up_to: Some(Offset(30)), ..facts(4) }, &with_lag(0), (30, 30), (300, 0), false);
        check(&LogFacts { cleaned_up_to: Some(Offset(35)), ..facts(4) }, &with_lag(0), (35, 30), (400, 0), false);
    }

    #[test]
    fn open_transactions_and_the_high_watermark_end_it() {
        for (stable, uncleanable, bytes) in [(0, 0, 0), (9, 0, 0), (10, 10, 100), (25, 20, 200), (40, 30, 300)] {
            let facts = LogFacts { last_stable_offset: Offset(stable), ..facts(4) };
            check(&facts, &with_lag(0), (0, uncleanable), (0, bytes), false);
        }
    }

    #[test]
    fn young_segments_wait() {
        // They are 4, 3, 2 s old.
        check(&facts(4), &with_lag(1000), (0, 30), (0, 300), false);
        check(&facts(4), &with_lag(2001), (0, 20), (0, 200), false);
        check(&facts(4), &with_lag(3001), (0, 10), (0, 100), false);
        check(&facts(4), &with_lag(5000), (0, 0), (0, 0), false);
        // What is clean is not asked for its age.
        let cleaned = LogFacts { cleaned_up_to: Some(Offset(20)), ..facts(4) };
        check(&cleaned, &with_lag(5000), (20, 20), (200, 0), false);
    }

    #[test]
    fn a_checkpoint_that_cannot_be_begins_anew() {
        let deleted = LogFacts { log_start_offset: Offset(12), cleaned_up_to: Some(Offset(5)), ..facts(4) };
        check(&deleted, &with_lag(0), (12, 30), (200, 200), true);
        let truncated = LogFacts { cleaned_up_to: Some(Offset(41)), ..facts(4) };
        check(&truncated, &with_lag(0), (0, 30), (0, 300), true);
        let at_end = LogFacts { cleaned_up_to: Some(Offset(40)), ..facts(4) };
        check(&at_end, &with_lag(0), (40, 30), (400, 0), false);
    }

    #[test]
    fn a_log_is_due_by_its_dirt_or_by_its_age() {
        let range = LogFacts { cleaned_up_to: Some(Offset(20)), ..facts(4) }.cleanable(&with_lag(0), NOW_MS);
        assert!((range.dirty_ratio() - 1.0 / 3.0).abs() < 1e-9);
        assert!(range.is_due(0.3, 0) && !range.is_due(0.34, 0) && range.is_due(0.34, 1));
        let clean = LogFacts { cleaned_up_to: Some(Offset(30)), ..facts(4) }.cleanable(&with_lag(0), NOW_MS);
        assert!(!clean.is_due(0.0, 1), "nothing could be done");
    }

    #[test]
    fn the_oldest_dirty_segment_tells_the_delay() {
        let delay = |timestamps: &[i64], lag| compaction_delay_ms(timestamps.iter().copied(), lag, NOW_MS);
        assert_eq!(delay(&[NOW_MS - 500, NOW_MS - 700], 600), 100);
        assert_eq!(delay(&[NOW_MS - 500], 500), 0);
        assert_eq!(delay(&[-1, 0], 1), 0, "without timestamps nothing is late");
        assert_eq!(delay(&[1], i64::MAX), 0);
        assert_eq!(delay(&[], 0), 0);
    }
}
