//! A sorted map whose copy shares everything, and whose change copies little.
//!
//! A machine that looks ahead works on a copy of what it may change. A `BTreeMap` would be copied whole for every join of
//! a group of 1,000 members: quadratic work for one rebalance. Here a copy is one pointer, and a change of a copy costs a
//! list of chunks and one chunk: about twice the square root of the size. What is not shared changes in place.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A chunk above this size is split.
const CHUNK_MAX: usize = 32;

type Chunk<K, V> = Vec<(K, V)>;

/// By key, in chunks that are never empty.
#[derive(Clone)]
pub struct CowMap<K, V> {
    chunks: Arc<Vec<Arc<Chunk<K, V>>>>,
    len: usize,
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<K, V> CowMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> CowMap<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.find(key)?;
        Some(&self.chunks[chunk][at].1)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_some()
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(usize, usize)>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunk_of(key);
        let at = self.chunks.get(chunk)?.binary_search_by(|(at, _)| at.borrow().cmp(key)).ok()?;
        Some((chunk, at))
    }

    /// The chunk that holds the key, if any does: the last one that begins at or before it.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key).saturating_sub(1)
    }
}

impl<K: Ord + Clone, V: Clone> CowMap<K, V> {
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.find(key)?;
        Some(&mut Arc::make_mut(&mut Arc::make_mut(&mut self.chunks)[chunk])[at].1)
    }

    /// Sets the value of a key, and returns what it was.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let index = self.chunk_of(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(index) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return None;
        };
        let chunk = Arc::make_mut(chunk);
        let place = match chunk.binary_search_by(|(at, _)| at.cmp(&key)) {
            Ok(at) => return Some(std::mem::replace(&mut chunk[at].1, value)),
            Err(place) => place,
        };
        chunk.insert(place, (key, value));
        self.len += 1;
        if chunk.len() > CHUNK_MAX {
            let upper = chunk.split_off(CHUNK_MAX / 2);
            chunks.insert(index + 1, Arc::new(upper));
        }
        None
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (index, at) = self.find(key)?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[index]);
        let (_, value) = chunk.remove(at);
        self.len -= 1;
        if chunk.is_empty() {
            chunks.remove(index);
        } else if index > 0 && chunk.len() + chunks[index - 1].len() <= CHUNK_MAX / 2 {
            let upper = chunks.remove(index);
            Arc::make_mut(&mut chunks[index - 1]).extend(upper.iter().cloned());
        }
        Some(value)
    }

    /// Changes every value.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&K, &mut V)) {
        for chunk in Arc::make_mut(&mut self.chunks) {
            for (key, value) in Arc::make_mut(chunk) {
                change(key, value);
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for CowMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = Self::default();
        for (key, value) in items {
            map.insert(key, value);
        }
        map
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for CowMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for CowMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for CowMap<K, V> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, u32),
        Remove(u16),
        Change(u16),
        Copy,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 0..300u16;
        prop_oneof![
            4 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
            3 => key.clone().prop_map(Step::Remove),
            1 => key.prop_map(Step::Change),
            1 => Just(Step::Copy),
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_map_it_claims_to_be_and_copies_stay(steps in prop::collection::vec(step(), 0..600)) {
            let (mut map, mut model) = (CowMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Step::Change(key) => {
                        let changed = map.get_mut(&key).map(|value| *value ^= 1).is_some();
                        prop_assert_eq!(changed, model.get_mut(&key).map(|value| *value ^= 1).is_some());
                    }
                    Step::Copy => copies.push((map.clone(), model.clone())),
                }
                prop_assert_eq!(map.len(), model.len());
            }
            copies.push((map, model));
            for (map, model) in copies {
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!(map.chunks.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len())));
                prop_assert!(model.keys().all(|key| map.get(key) == model.get(key)));
            }
        }
    }

    #[test]
    fn a_change_of_a_copy_leaves_nearly_everything_shared() {
        let map: CowMap<u32, u32> = (0..1000).map(|number| (number, number)).collect();
        let mut copy = map.clone();
        copy.insert(500, 0);
        let own =
            copy.chunks.iter().zip(map.chunks.iter()).filter(|(ours, theirs)| !Arc::ptr_eq(ours, theirs)).count();
        assert_eq!(own, 1);
    }
}
