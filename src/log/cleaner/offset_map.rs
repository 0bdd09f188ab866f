//! Which offset is the latest of each key, in a bounded amount of memory.
//!
//! ```text
//!  slot, 24 bytes: │ hash of the key, 128 bits │ offset + 1; 0: the slot is free │
//! ```
//! Keys themselves are not kept: two of one hash would count as one, which 128 bits rule out. Open addressing with
//! linear probing; nothing is ever removed.

use twox_hash::XxHash3_128;

use crate::ids::Offset;

/// Bytes of one slot.
pub(super) const SLOT_BYTES: u64 = 24;

type Slot = [u64; 3];

/// The latest offset of each key of a stretch of the log.
#[derive(Debug)]
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    /// More are not taken: a search in a full map would go through all of it.
    max_keys: usize,
    keys: usize,
    /// Mixed into the hash, so that nobody can prepare keys that share one.
    seed: u64,
    /// Up to here the map knows all records.
    latest_offset: Offset,
}

impl OffsetMap {
    /// Room for `records` keys, or for as many as fit into `memory_bytes` of which `load_factor` is used. Memory that
    /// no key comes to lie in is never touched.
    pub(super) fn new(memory_bytes: u64, load_factor: f64, records: u64, seed: u64) -> Self {
        let load_factor = load_factor.clamp(0.01, 0.99);
        let affordable = (memory_bytes / SLOT_BYTES).max(2);
        let needed = ((records as f64 / load_factor).ceil() as u64).saturating_add(1);
        let slots = affordable.min(needed).max(2) as usize;
        // One slot at least stays free: it ends the search for a key that is not there.
        let max_keys = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        Self { slots: vec![[0; 3]; slots], max_keys, keys: 0, seed, latest_offset: Offset::NONE }
    }

    /// Takes in a record; false where there is no room for one more key.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let (at, hash) = self.find(key);
        let slot = &mut self.slots[at];
        if slot[2] == 0 {
            if self.keys >= self.max_keys {
                return false;
            }
            self.keys += 1;
        }
        *slot = [hash[0], hash[1], offset.0 as u64 + 1];
        self.latest_offset = offset;
        true
    }

    /// The latest offset of a key; `None`: it is not in the mapped stretch.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let (at, _) = self.find(key);
        self.slots[at][2].checked_sub(1).map(|offset| Offset(offset as i64))
    }

    /// The last offset that the map has taken into account.
    pub(super) fn latest_offset(&self) -> Offset {
        self.latest_offset
    }

    /// All records up to `offset` are taken into account, those without a key too.
    pub(super) fn advance_to(&mut self, offset: Offset) {
        self.latest_offset = self.latest_offset.max(offset);
    }

    /// The part of the slots (0 to 1) that is in use.
    pub(super) fn utilization(&self) -> f64 {
        self.keys as f64 / self.slots.len() as f64
    }

    /// The slot that holds the key, or the free one where it would go.
    fn find(&self, key: &[u8]) -> (usize, [u64; 2]) {
        let hash = XxHash3_128::oneshot_with_seed(self.seed, key);
        let hash = [(hash >> 64) as u64, hash as u64];
        let mut at = ((u128::from(hash[0]) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || slot[..2] == hash {
                return (at, hash);
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(10 * SLOT_BYTES, 0.5, u64::MAX, 1);
        for at in 0..5 {
            assert!(map.put(&[at], Offset(i64::from(at))));
        }
        assert!(!map.put(&[5], Offset(5)));
        assert_eq!((map.get(&[5]), map.latest_offset()), (None, Offset(4)));
        assert!(map.put(&[2], Offset(6)));
        assert_eq!((map.get(&[2]), map.latest_offset()), (Some(Offset(6)), Offset(6)));
        assert!((map.utilization() - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn the_smallest_of_maps_makes_headway() {
        for (bytes, load_factor, records) in [(0, 0.9, 100), (24, 0.0, 100), (1 << 20, 1.0, 0), (48, f64::NAN, 7)] {
            let mut map = OffsetMap::new(bytes, load_factor, records, 0);
            assert!(map.put(b"key", Offset(3)), "{bytes} {load_factor}");
            assert_eq!(map.get(b"other"), None);
        }
    }

    #[test]
    fn a_short_stretch_takes_little_memory() {
        let map = OffsetMap::new(128 << 20, 0.9, 90, 0);
        assert_eq!(map.slots.len(), 101);
        assert!(map.max_keys >= 90);
    }

    proptest! {
        #[test]
        fn knows_what_a_plain_map_knows(
            puts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..300),
            slots in 2u64..200,
            seed: u64,
        ) {
            let mut map = OffsetMap::new(slots * SLOT_BYTES, 0.9, u64::MAX, seed);
            let mut plain = BTreeMap::new();
            for (offset, key) in puts.iter().enumerate() {
                let offset = Offset(offset as i64);
                if map.put(key, offset) {
                    plain.insert(key.clone(), offset);
                } else {
                    prop_assert!(!plain.contains_key(key) && plain.len() == map.max_keys);
                }
            }
            for key in &puts {
                prop_assert_eq!(map.get(key), plain.get(key).copied());
            }
        }
    }
}
