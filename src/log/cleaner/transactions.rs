//! Which data belongs to aborted transactions, and which markers have outlived their transactions (KIP-98).
//!
//! The cleaner shows it the batches in the order of the log. Pure: aborted transactions come in from the transaction
//! index, verdicts go out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::txn_index::AbortedTxn;
use crate::ids::{Offset, ProducerId};
use crate::protocol::batch::BatchHeader;
use crate::protocol::records::TransactionOutcome;

/// The transactions under way at one place of the log.
#[derive(Debug, Default)]
pub(super) struct CleanedTransactions {
    /// Producers of whose committed transactions a batch was seen, and no marker yet.
    committed: HashSet<ProducerId>,
    aborted: HashMap<ProducerId, Aborted>,
    /// Aborted transactions that begin behind this place, or where it is.
    upcoming: BTreeMap<(Offset, ProducerId), AbortedTxn>,
}

#[derive(Debug)]
struct Aborted {
    transaction: AbortedTxn,
    /// A batch of it was seen.
    has_data: bool,
}

/// What a control batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// It ends a transaction.
    End(TransactionOutcome),
    /// Its record was removed by an earlier cleaning.
    Empty,
    /// Nothing that is known here.
    Other,
}

/// What becomes of a control batch as far as its transaction is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkerVerdict {
    /// Nothing of the transaction is left.
    Outlived,
    Needed,
    /// Needed, and so is the entry in the transaction index.
    NeededWithEntry(AbortedTxn),
}

impl CleanedTransactions {
    /// Takes in what the transaction index knows of the stretch that comes next; what is known already may come again.
    pub(super) fn add_aborted(&mut self, transactions: impl IntoIterator<Item = AbortedTxn>) {
        let keyed = transactions.into_iter().map(|txn| ((txn.first_offset, txn.producer_id), txn));
        self.upcoming.extend(keyed);
    }

    /// Whether a data batch belongs to an aborted transaction: no reader may see it.
    pub(super) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.advance_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some(aborted) = self.aborted.get_mut(&header.producer_id) {
            aborted.has_data = true;
            return true;
        }
        self.committed.insert(header.producer_id);
        false
    }

    /// What becomes of a control batch: a marker stays while there is data of its transaction.
    pub(super) fn on_control(&mut self, header: &BatchHeader, control: Control) -> MarkerVerdict {
        self.advance_to(header.last_offset());
        let producer_id = header.producer_id;
        match control {
            Control::Empty => MarkerVerdict::Outlived,
            Control::Other => MarkerVerdict::Needed,
            Control::End(TransactionOutcome::Abort) => match self.aborted.remove(&producer_id) {
                Some(aborted) if aborted.has_data => MarkerVerdict::NeededWithEntry(aborted.transaction),
                _ => MarkerVerdict::Outlived,
            },
            Control::End(TransactionOutcome::Commit) => {
                if self.committed.remove(&producer_id) {
                    MarkerVerdict::Needed
                } else {
                    MarkerVerdict::Outlived
                }
            }
        }
    }

    fn advance_to(&mut self, offset: Offset) {
        while let Some(first) = self.upcoming.first_entry() {
            if first.key().0 > offset {
                break;
            }
            let transaction = first.remove();
            self.aborted.entry(transaction.producer_id).or_insert(Aborted { transaction, has_data: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, ProducerEpoch};
    use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder};

    const ABORT: Control = Control::End(TransactionOutcome::Abort);
    const COMMIT: Control = Control::End(TransactionOutcome::Commit);

    fn data(offset: i64, producer: i64) -> BatchHeader {
        let mut builder = RecordBatchBuilder::new(Offset(offset)).transactional().producer(
            ProducerId(producer),
            ProducerEpoch(0),
            0,
        );
        builder.append(&NewRecord::default());
        BatchHeader::read(&builder.build().unwrap()).unwrap()
    }

    fn marker(offset: i64, producer: i64) -> BatchHeader {
        let marker = EndTransactionMarker { outcome: TransactionOutcome::Abort, coordinator_epoch: 0 };
        let batch = marker.batch(Offset(offset), LeaderEpoch(0), 0, ProducerId(producer), ProducerEpoch(0));
        BatchHeader::read(&batch).unwrap()
    }

    fn aborted(producer: i64, first: i64, last: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last + 1),
        }
    }

    #[test]
    fn data_goes_before_its_marker() {
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted([aborted(1, 10, 14)]);
        assert!(!transactions.is_aborted(&data(9, 1)), "an earlier one that was committed");
        assert_eq!(transactions.on_control(&marker(9, 1), COMMIT), MarkerVerdict::Needed);
        assert!(transactions.is_aborted(&data(10, 1)));
        assert!(!transactions.is_aborted(&data(11, 2)));
        // A stretch that overlaps tells of it once more.
        transactions.add_aborted([aborted(1, 10, 14)]);
        assert!(transactions.is_aborted(&data(12, 1)));
        let verdict = transactions.on_control(&marker(14, 1), ABORT);
        assert_eq!(verdict, MarkerVerdict::NeededWithEntry(aborted(1, 10, 14)));
        assert!(!transactions.is_aborted(&data(15, 1)), "the next one of the same producer");
        assert_eq!(transactions.on_control(&marker(16, 2), COMMIT), MarkerVerdict::Needed);
    }

    #[test]
    fn a_marker_without_data_has_outlived_its_transaction() {
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted([aborted(1, 10, 14)]);
        assert_eq!(transactions.on_control(&marker(14, 1), ABORT), MarkerVerdict::Outlived);
        assert_eq!(transactions.on_control(&marker(15, 2), COMMIT), MarkerVerdict::Outlived);
        assert_eq!(transactions.on_control(&marker(16, 3), ABORT), MarkerVerdict::Outlived, "not even in the index");
        assert_eq!(transactions.on_control(&marker(17, 3), Control::Empty), MarkerVerdict::Outlived);
        assert_eq!(transactions.on_control(&marker(18, 3), Control::Other), MarkerVerdict::Needed);
    }
}
