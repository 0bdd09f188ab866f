//! Where the newest batches lie, and where readers left off: so that a consumer that keeps up, or one that reads on
//! from where it was, costs no look-up in an index and no scan of headers.

use std::collections::VecDeque;

use super::segment::SegmentId;
use crate::ids::Offset;

/// Batches remembered of the end of the log.
const TAIL_BATCHES: usize = 64;
/// Places remembered where a read ended in older parts.
const READ_ENDS: usize = 8;

/// The end of the log, and some ends of reads. A cache: what it does not know, the indexes do.
#[derive(Debug, Default)]
pub(super) struct RecentBatches {
    /// The active segment, which the tail is of.
    segment: SegmentId,
    /// The beginnings of the last batches, oldest first, without a gap between them.
    tail: VecDeque<Mark>,
    /// The end of the last one.
    end: Option<Mark>,
    read_ends: [Option<(SegmentId, Mark)>; READ_ENDS],
    next_read_end: usize,
}

/// A batch begins at `position` and ends before `next`, or begins with `offset`.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: Offset,
    position: u64,
}

impl RecentBatches {
    /// A batch was written at the end of `segment`.
    pub(super) fn push(&mut self, segment: SegmentId, base_offset: Offset, position: u64, end: (Offset, u64)) {
        let continues = self.segment == segment && self.end.is_some_and(|end| end.position == position);
        if !continues {
            self.tail.clear();
            self.segment = segment;
        }
        if self.tail.len() == TAIL_BATCHES {
            self.tail.pop_front();
        }
        self.tail.push_back(Mark { offset: base_offset, position });
        self.end = Some(Mark { offset: end.0, position: end.1 });
    }

    /// Where the batch that holds `offset` begins; the end of the log for the offset behind its last.
    pub(super) fn position_of(&self, segment: SegmentId, offset: Offset) -> Option<u64> {
        if segment == self.segment
            && let Some(end) = self.end
            && self.tail.front().is_some_and(|first| first.offset <= offset)
            && offset <= end.offset
        {
            if offset == end.offset {
                return Some(end.position);
            }
            let beyond = self.tail.partition_point(|mark| mark.offset <= offset);
            return Some(self.tail[beyond - 1].position);
        }
        let mut read_ends = self.read_ends.iter().flatten();
        read_ends.find(|(of, mark)| *of == segment && mark.offset == offset).map(|(_, mark)| mark.position)
    }

    /// A read ended before `offset`, which the next one will probably ask for.
    pub(super) fn note_read_end(&mut self, segment: SegmentId, offset: Offset, position: u64) {
        self.read_ends[self.next_read_end] = Some((segment, Mark { offset, position }));
        self.next_read_end = (self.next_read_end + 1) % READ_ENDS;
    }

    /// Positions have changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(base_offset: i64) -> SegmentId {
        SegmentId { base_offset: Offset(base_offset), revision: 0 }
    }

    #[test]
    fn finds_what_it_knows() {
        let mut recent = RecentBatches::default();
        for at in 0..100_i64 {
            recent.push(segment(0), Offset(at * 10), at as u64 * 100, (Offset(at * 10 + 10), at as u64 * 100 + 100));
        }
        let position_of = |offset| recent.position_of(segment(0), Offset(offset));
        assert_eq!(position_of(1000), Some(10_000));
        assert_eq!(position_of(1001), None);
        assert_eq!(position_of(995), Some(9900));
        assert_eq!(position_of(360), Some(3600));
        assert_eq!(position_of(359), None);
        assert_eq!(recent.position_of(segment(5), Offset(995)), None);
    }

    #[test]
    fn a_new_segment_begins_anew() {
        let mut recent = RecentBatches::default();
        recent.push(segment(0), Offset(0), 0, (Offset(10), 100));
        recent.push(segment(10), Offset(10), 0, (Offset(20), 70));
        assert_eq!(recent.position_of(segment(0), Offset(5)), None);
        assert_eq!(recent.position_of(segment(10), Offset(19)), Some(0));
        recent.note_read_end(segment(0), Offset(7), 33);
        assert_eq!(recent.position_of(segment(0), Offset(7)), Some(33));
    }

    #[test]
    fn positions_say_nothing_about_what_a_segment_was_replaced_by() {
        let mut recent = RecentBatches::default();
        recent.push(segment(0), Offset(0), 0, (Offset(10), 100));
        // A reader of the old files may note its place even after the new ones are there.
        recent.note_read_end(segment(0), Offset(7), 33);
        let cleaned = SegmentId { revision: 1, ..segment(0) };
        assert_eq!(recent.position_of(cleaned, Offset(5)), None);
        assert_eq!(recent.position_of(cleaned, Offset(7)), None);
    }
}
