//! The state batches of a share partition, newer ones laid over older ones.

use std::collections::BTreeMap;

use super::share_partition::{Span, StateBatch};
use crate::ids::Offset;

/// What is known after `newer` was written over `older`, from `start` on: sorted, without overlap, neighbours of one
/// state in one batch.
pub(super) fn overlay(older: &[StateBatch], newer: &[StateBatch], start: Offset) -> Vec<StateBatch> {
    let mut by_first = BTreeMap::new();
    for batch in older.iter().chain(newer) {
        let span = Span::new(batch.span.first.max(start), batch.span.last);
        if span.count() > 0 {
            cut_out(&mut by_first, span);
            by_first.insert(span.first, StateBatch { span, ..*batch });
        }
    }
    join_neighbours(by_first.into_values())
}

/// Neighbours of one state become one batch.
pub(super) fn join_neighbours(batches: impl IntoIterator<Item = StateBatch>) -> Vec<StateBatch> {
    let mut joined: Vec<StateBatch> = Vec::new();
    for batch in batches {
        match joined.last_mut() {
            Some(last)
                if last.span.last.next() == batch.span.first
                    && (last.state, last.delivery_count) == (batch.state, batch.delivery_count) =>
            {
                last.span.last = batch.span.last;
            }
            _ => joined.push(batch),
        }
    }
    joined
}

/// Leaves of the batches what lies outside of `span`.
fn cut_out(by_first: &mut BTreeMap<Offset, StateBatch>, span: Span) {
    let before = by_first.range(..span.first).next_back().map(|(_, batch)| *batch);
    if let Some(before) = before.filter(|before| before.span.last >= span.first) {
        let head = Span::new(before.span.first, Offset(span.first.0 - 1));
        by_first.insert(head.first, StateBatch { span: head, ..before });
        put_tail(by_first, before, span.last);
    }
    while let Some(covered) = by_first.range(span.first..=span.last).next().map(|(_, batch)| *batch) {
        by_first.remove(&covered.span.first);
        put_tail(by_first, covered, span.last);
    }
}

/// Puts back what of `batch` lies behind `last`.
fn put_tail(by_first: &mut BTreeMap<Offset, StateBatch>, batch: StateBatch, last: Offset) {
    if batch.span.last > last {
        let tail = Span::new(last.next(), batch.span.last);
        by_first.insert(tail.first, StateBatch { span: tail, ..batch });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coordinator::share::share_partition::DeliveryState;

    fn batch(first: i64, last: i64, state: DeliveryState, delivery_count: i16) -> StateBatch {
        StateBatch { span: Span::new(Offset(first), Offset(last)), state, delivery_count }
    }

    #[test]
    fn newer_batches_hide_older_ones() {
        use DeliveryState::{Acknowledged, Available};
        let older = [batch(0, 9, Available, 1)];
        let newer = [batch(3, 5, Acknowledged, 1)];
        let expected = [batch(1, 2, Available, 1), batch(3, 5, Acknowledged, 1), batch(6, 9, Available, 1)];
        assert_eq!(overlay(&older, &newer, Offset(1)), expected);
        let rest = [batch(0, 2, Acknowledged, 1), batch(6, 12, Acknowledged, 1)];
        assert_eq!(overlay(&expected, &rest, Offset(0)), [batch(0, 12, Acknowledged, 1)]);
        assert_eq!(overlay(&expected, &rest, Offset(13)), []);
    }

    fn any_batch() -> impl Strategy<Value = StateBatch> {
        let state = prop::sample::select(vec![
            DeliveryState::Available,
            DeliveryState::Acknowledged,
            DeliveryState::Archived,
        ]);
        (0..40i64, -2..12i64, state, 1..3i16)
            .prop_map(|(first, more, state, count)| batch(first, first + more, state, count))
    }

    proptest! {
        /// Offset by offset, the last batch that speaks of it counts.
        #[test]
        fn the_last_word_counts(batches in prop::collection::vec(any_batch(), 0..20), cut in 0..20usize, start in 0..40i64) {
            let (older, newer) = batches.split_at(cut.min(batches.len()));
            let laid = overlay(&overlay(&[], older, Offset(0)), newer, Offset(start));
            prop_assert!(laid.windows(2).all(|pair| pair[0].span.last < pair[1].span.first));
            for offset in (0..60).map(Offset) {
                let speaks = |batch: &&StateBatch| batch.span.first <= offset && offset <= batch.span.last;
                let expected = batches.iter().rfind(speaks).filter(|_| offset.0 >= start);
                let found = laid.iter().find(speaks);
                let says = |batch: Option<&StateBatch>| batch.map(|batch| (batch.state, batch.delivery_count));
                prop_assert_eq!(says(found), says(expected), "{}", offset);
            }
        }
    }
}
