//! What a consumer group has to know of the cluster's topics.

use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::ids::{PartitionIndex, TopicId, TopicName};

/// The topics as of one metadata image.
pub trait Topics {
    fn id(&self, name: &str) -> Option<TopicId>;
    fn name(&self, id: TopicId) -> Option<TopicName>;
    fn partition_count(&self, id: TopicId) -> Option<PartitionIndex>;
    /// [`topic_hash`] of an existing topic.
    fn hash(&self, name: &str) -> Option<i64>;
    /// All names, in their order.
    fn names(&self) -> Box<dyn Iterator<Item = &TopicName> + '_>;
    /// Grows with every change.
    fn version(&self) -> i64;
}

/// The first byte that is hashed: the version of the layout.
const TOPIC_HASH_MAGIC: u8 = 0;

/// The hash of all that makes a group reassign a topic's partitions when it changes: the topic's identity, its number
/// of partitions and the racks of their replicas (KIP-1101). The same bytes as Kafka's, so that a group that moves
/// between the two is not rebalanced for nothing.
///
/// ```text
///  0 u8 | id high i64 | id low i64 | name | partitions i32 | for each: index i32, for each rack: length i32, rack
/// ```
/// Integers are little-endian; a text is its UTF-16 units and then their number.
pub fn topic_hash<'a>(
    id: TopicId,
    name: &str,
    partition_count: PartitionIndex,
    racks: impl Fn(PartitionIndex) -> Vec<&'a str>,
) -> i64 {
    let mut bytes = vec![TOPIC_HASH_MAGIC];
    let (high, low) = id.0.as_u64_pair();
    bytes.extend_from_slice(&high.to_le_bytes());
    bytes.extend_from_slice(&low.to_le_bytes());
    put_text(&mut bytes, name);
    bytes.extend_from_slice(&partition_count.to_le_bytes());
    for partition in 0..partition_count {
        bytes.extend_from_slice(&partition.to_le_bytes());
        let mut racks = racks(partition);
        racks.sort_unstable();
        for rack in racks {
            bytes.extend_from_slice(&(rack.encode_utf16().count() as i32).to_le_bytes());
            put_text(&mut bytes, rack);
        }
    }
    XxHash3_64::oneshot(&bytes) as i64
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut units = 0_i32;
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
        units += 1;
    }
    bytes.extend_from_slice(&units.to_le_bytes());
}

/// The hash of all topics that a group subscribes to, in the order of their names; those that do not exist are left
/// out. 0: there are none.
pub(in crate::coordinator::group) fn group_hash<'a>(
    names: impl Iterator<Item = &'a TopicName>,
    topics: &dyn Topics,
) -> i64 {
    let mut bytes = Vec::new();
    for hash in names.filter_map(|name| topics.hash(name)) {
        bytes.extend_from_slice(&hash.to_le_bytes());
    }
    if bytes.is_empty() { 0 } else { XxHash3_64::oneshot(&bytes) as i64 }
}

/// The existing topics among `names`, by id, ascending.
pub(in crate::coordinator::group) fn existing<'a>(
    names: impl Iterator<Item = &'a TopicName>,
    topics: &dyn Topics,
) -> Arc<[TopicId]> {
    let mut ids: Vec<TopicId> = names.filter_map(|name| topics.id(name)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Computed by hash4j 0.22, Kafka's library, in the order of Kafka's calls.
    #[test]
    fn hashes_are_kafkas() {
        let orders = TopicId(Uuid::from_u64_pair(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210));
        assert_eq!(topic_hash(orders, "orders", 3, |_| Vec::new()), 9_017_009_200_229_395_283);
        let racks = |partition| if partition == 0 { vec!["b", "a"] } else { vec!["rack-1"] };
        let small = TopicId(Uuid::from_u64_pair(1, 2));
        assert_eq!(topic_hash(small, "t", 2, racks), 4_071_695_276_365_709_870);
        let large = TopicId(Uuid::from_u64_pair(5, 6));
        let name = "a-topic-name-that-is-longer-than-a-block-of-the-hash";
        assert_eq!(topic_hash(large, name, 100, |_| Vec::new()), 7_646_117_305_696_469_589);
    }
}
