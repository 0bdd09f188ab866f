//! Which shards of a topic are here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::decision::Machine;
use super::shard::Shard;
use crate::ids::PartitionIndex;

/// Shards by partition.
pub(super) type Shards<M> = BTreeMap<PartitionIndex, Arc<Shard<M>>>;

/// The shards that are here at the moment. Requests look without waiting for anybody. Whoever changes which there are waits
/// for its turn: a shard that another one has given up would come back otherwise, and never serve again.
#[derive(Debug)]
pub(super) struct ShardMap<M: Machine> {
    shards: ArcSwap<Shards<M>>,
    changing: Mutex<()>,
}

impl<M: Machine> Default for ShardMap<M> {
    fn default() -> Self {
        Self { shards: ArcSwap::default(), changing: Mutex::new(()) }
    }
}

impl<M: Machine> ShardMap<M> {
    pub(super) fn current(&self) -> Arc<Shards<M>> {
        self.shards.load_full()
    }

    pub(super) fn get(&self, partition: PartitionIndex) -> Option<Arc<Shard<M>>> {
        self.shards.load().get(&partition).cloned()
    }

    /// Makes `change` of what is here. The shards that are here no longer have given up when this returns; the new ones
    /// are for the caller to load.
    pub(super) fn change(&self, change: impl FnOnce(&Shards<M>) -> Shards<M>) -> Shards<M> {
        let _turn = self.changing.lock();
        let before = self.current();
        let after = change(&before);
        self.shards.store(Arc::new(after.clone()));
        for (_, gone) in without(&before, &after) {
            gone.give_up();
        }
        without(&after, &before).map(|(index, new)| (*index, Arc::clone(new))).collect()
    }
}

/// The shards of `shards` that are not the same in `others`.
fn without<'a, M: Machine>(
    shards: &'a Shards<M>,
    others: &Shards<M>,
) -> impl Iterator<Item = (&'a PartitionIndex, &'a Arc<Shard<M>>)> {
    shards.iter().filter(|(index, shard)| !others.get(index).is_some_and(|other| Arc::ptr_eq(other, shard)))
}
