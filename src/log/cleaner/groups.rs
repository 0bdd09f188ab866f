//! Which segments become one: cleaned segments would get smaller and smaller otherwise. Pure.

use std::ops::Range;

use crate::ids::Offset;

/// What a segment brings into its group.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentSize {
    pub(super) base_offset: Offset,
    pub(super) log_bytes: u64,
    pub(super) offset_index_bytes: u64,
    pub(super) time_index_bytes: u64,
}

/// What the segments of a group may come to together.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLimits {
    pub(super) log_bytes: u64,
    pub(super) index_bytes: u64,
}

/// Cuts a row of segments, which ends before `end`, into groups of neighbours within the limits. A segment that alone
/// is beyond them is a group of its own.
pub(super) fn group_segments(segments: &[SegmentSize], limits: GroupLimits, end: Offset) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut total =
        SegmentSize { base_offset: Offset::ZERO, log_bytes: 0, offset_index_bytes: 0, time_index_bytes: 0 };
    for (at, segment) in segments.iter().enumerate() {
        let end_offset = segments.get(at + 1).map_or(end, |next| next.base_offset);
        let sum = SegmentSize {
            base_offset: total.base_offset,
            log_bytes: total.log_bytes + segment.log_bytes,
            offset_index_bytes: total.offset_index_bytes + segment.offset_index_bytes,
            time_index_bytes: total.time_index_bytes + segment.time_index_bytes,
        };
        // An index holds offsets relative to the first, in 31 bits. An empty segment has none.
        let spans = segment.log_bytes == 0 || end_offset - sum.base_offset - 1 <= i64::from(i32::MAX);
        let fits = sum.log_bytes <= limits.log_bytes
            && sum.offset_index_bytes <= limits.index_bytes
            && sum.time_index_bytes <= limits.index_bytes
            && spans;
        match groups.last_mut() {
            Some(group) if fits => {
                group.end = at + 1;
                total = sum;
            }
            _ => {
                groups.push(at..at + 1);
                total = *segment;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: GroupLimits = GroupLimits { log_bytes: 100, index_bytes: 100 };

    fn segment(base_offset: i64, log_bytes: u64) -> SegmentSize {
        SegmentSize { base_offset: Offset(base_offset), log_bytes, offset_index_bytes: 8, time_index_bytes: 12 }
    }

    /// How many segments each group has.
    fn check(segments: &[SegmentSize], end: i64, expected: &[usize]) {
        let groups = group_segments(segments, LIMITS, Offset(end));
        assert_eq!(groups.iter().map(Range::len).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn groups_are_as_large_as_a_segment_may_be() {
        check(&[], 0, &[]);
        check(&[segment(0, 60), segment(10, 40), segment(20, 1)], 30, &[2, 1]);
        check(&[segment(0, 200), segment(10, 200), segment(20, 50), segment(30, 50)], 40, &[1, 1, 2]);
        // Nine time indexes of 12 bytes are more than 100.
        let many: Vec<_> = (0..10).map(|at| segment(at, 1)).collect();
        check(&many, 10, &[8, 2]);
    }

    #[test]
    fn offsets_stay_within_31_bits() {
        let far = i64::from(i32::MAX);
        check(&[segment(0, 1), segment(10, 1)], far + 1, &[2]);
        check(&[segment(0, 1), segment(10, 1)], far + 2, &[1, 1]);
        check(&[segment(0, 1), segment(10, 0), segment(far + 5, 1)], far + 10, &[2, 1]);
        check(&[segment(0, 1), segment(far + 5, 0)], far + 10, &[2]);
    }

    proptest! {
        #[test]
        fn every_segment_is_in_one_group_within_the_limits(sizes in prop::collection::vec(0u64..120, 0..40)) {
            let segments: Vec<_> = sizes.iter().enumerate().map(|(at, &size)| segment(at as i64, size)).collect();
            let groups = group_segments(&segments, LIMITS, Offset(sizes.len() as i64));
            let flat: Vec<_> = groups.iter().cloned().flatten().collect();
            prop_assert_eq!(flat, (0..sizes.len()).collect::<Vec<_>>());
            for (group, next) in groups.iter().zip(groups.iter().skip(1).map(Some).chain([None])) {
                let bytes: u64 = sizes[group.clone()].iter().sum();
                prop_assert!(bytes <= LIMITS.log_bytes || group.len() == 1);
                if let Some(next) = next {
                    let full = bytes + sizes[next.start] > LIMITS.log_bytes || (group.len() + 1) * 12 > 100;
                    prop_assert!(full, "{:?} could have taken one more", group);
                }
            }
        }
    }
}
