//! Many small conditional changes, packed into few transactions.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use crate::metadata::store::{
    Compare, MAX_TXN_BYTES, MAX_TXN_OPERATIONS, MetadataStore, Operation, Revision, StoreError, Txn,
};

/// Transactions under way at once: enough to share syncs, or to hide the way to etcd.
const MAX_TXNS_AT_ONCE: usize = 16;

/// One change that happens as a whole, if its compares hold.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) compares: Vec<Compare>,
    pub(super) operations: Vec<Operation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(Revision),
    /// A compare did not hold: the store is not what it was thought to be.
    Conflict,
    Failed(StoreError),
}

/// Runs steps that are independent of each other: in any order, several to a transaction. A transaction that
/// conflicts is split, so that one bad step holds up no other. One outcome for each step.
pub(super) async fn run(store: &dyn MetadataStore, steps: Vec<Step>) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Conflict; steps.len()];
    let mut waiting = pack(steps.into_iter().enumerate());
    while !waiting.is_empty() {
        let attempts = waiting.into_iter().map(|batch| async move {
            let result = store.txn(transaction(&batch)).await;
            (batch, result)
        });
        let results: Vec<_> = stream::iter(attempts).buffer_unordered(MAX_TXNS_AT_ONCE).collect().await;
        waiting = Vec::new();
        for (mut batch, result) in results {
            match result {
                Ok(response) if !response.succeeded && batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    waiting.extend([batch, second]);
                }
                result => {
                    let outcome = match result {
                        Ok(response) if response.succeeded => Outcome::Done(response.revision),
                        Ok(_) => Outcome::Conflict,
                        Err(error) => Outcome::Failed(error),
                    };
                    for (number, _) in batch {
                        outcomes[number] = outcome.clone();
                    }
                }
            }
        }
    }
    outcomes
}

type Numbered = (usize, Step);

fn transaction(batch: &[Numbered]) -> Txn {
    let mut compares: Vec<Compare> = Vec::new();
    let mut seen: BTreeSet<&Bytes> = BTreeSet::new();
    for compare in batch.iter().flat_map(|(_, step)| &step.compares) {
        // Steps of one batch share compares, of their broker's registration for one.
        if seen.insert(compare.key()) || !compares.contains(compare) {
            compares.push(compare.clone());
        }
    }
    let operations = batch.iter().flat_map(|(_, step)| step.operations.iter().cloned()).collect();
    Txn::when(compares, operations)
}

/// As many steps to a batch as its limits allow.
fn pack(steps: impl Iterator<Item = Numbered>) -> Vec<Vec<Numbered>> {
    let mut batches = Vec::new();
    let mut batch: Vec<Numbered> = Vec::new();
    let (mut compares, mut operations, mut size_bytes) = (BTreeSet::new(), 0, 0);
    for (number, step) in steps {
        let own_bytes = Txn::when(step.compares.clone(), step.operations.clone()).size_bytes();
        let new: Vec<Bytes> =
            step.compares.iter().map(Compare::key).filter(|key| !compares.contains(*key)).cloned().collect();
        let fits = compares.len() + new.len() <= MAX_TXN_OPERATIONS
            && operations + step.operations.len() <= MAX_TXN_OPERATIONS
            && size_bytes + own_bytes <= MAX_TXN_BYTES;
        if !fits && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            compares.clear();
            (operations, size_bytes) = (0, 0);
        }
        compares.extend(step.compares.iter().map(|compare| compare.key().clone()));
        operations += step.operations.len();
        size_bytes += own_bytes;
        batch.push((number, step));
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::MemoryStore;
    use crate::time::ManualClock;

    fn create(key: usize) -> Step {
        let key = Bytes::from(format!("{key:05}"));
        Step { compares: vec![Compare::Absent(key.clone())], operations: vec![Operation::put(key, "")] }
    }

    #[tokio::test]
    async fn one_conflict_holds_up_no_other_step() {
        let store = MemoryStore::new(ManualClock::at(0));
        for taken in [0, 77, 300] {
            run(&store, vec![create(taken)]).await;
        }
        let outcomes = run(&store, (0..500).map(create).collect()).await;
        let conflicts: Vec<usize> = (0..500).filter(|&number| outcomes[number] == Outcome::Conflict).collect();
        assert_eq!(conflicts, [0, 77, 300]);
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count(), 497);
    }

    #[test]
    fn steps_share_compares_and_fill_transactions() {
        let shared = Compare::Present("broker".into());
        let step = |number: usize| {
            let mut step = create(number);
            step.compares.push(shared.clone());
            step
        };
        let batches = pack((0..1000).map(step).enumerate());
        assert_eq!(batches.len(), 1000_usize.div_ceil(127));
        for batch in &batches {
            let txn = transaction(batch);
            assert_eq!(txn.compares.len(), batch.len() + 1);
            txn.validate().unwrap();
        }
        let large = |number: usize| Step {
            compares: vec![],
            operations: vec![Operation::put(number.to_string(), vec![0; 500_000])],
        };
        let batches = pack((0..10).map(large).enumerate());
        assert_eq!(batches.len(), 4);
    }
}
