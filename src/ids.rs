//! The identities and positions that every part of the broker speaks of.
//!
//! Each is a type of its own, so that an offset never meets an epoch in an addition. Inner values
//! are public: the wire and the disk hold plain integers and convert at their edge.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Add, Sub};
use std::sync::Arc;

use uuid::Uuid;

/// The position of a record in a partition. The first record ever written has offset 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    pub const ZERO: Self = Self(0);
    /// What the wire says where there is no offset.
    pub const NONE: Self = Self(-1);

    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Add<i64> for Offset {
    type Output = Self;
    fn add(self, records: i64) -> Self {
        Self(self.0.saturating_add(records))
    }
}

/// The number of offsets between two positions.
impl Sub for Offset {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One term of one leader of a partition; grows with every election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// What the wire says where the epoch is unknown.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `node.id` of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

impl BrokerId {
    /// What the wire says where there is no broker (no leader, no controller).
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One registration of a broker: the create revision of its key in the metadata store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(pub i64);

/// The id that an idempotent or transactional producer writes under (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// A batch with this id carries no sequence numbers.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fences older instances of one [`ProducerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub i16);

impl ProducerEpoch {
    pub const NONE: Self = Self(-1);
}

/// A topic's name; cheap to clone.
pub type TopicName = Arc<str>;

/// Which partition of a topic, from 0.
pub type PartitionIndex = i32;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&uuid_to_base64(self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadUuid;
            fn from_str(text: &str) -> Result<Self, BadUuid> {
                uuid_from_base64(text).map(Self).ok_or_else(|| BadUuid(text.to_owned()))
            }
        }
    };
}

uuid_id!(
    /// A topic's identity for its whole life (KIP-516); a topic created anew under an old name has another.
    TopicId
);
uuid_id!(
    /// The identity of one log directory of one broker (KIP-858), kept in its `meta.properties`.
    DirectoryId
);

/// A text that is not Kafka's form of a UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a base64 UUID of 22 characters")]
pub struct BadUuid(pub String);

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Kafka's text form of a UUID: 22 characters of unpadded URL-safe base64.
pub fn uuid_to_base64(uuid: Uuid) -> String {
    let mut bits = uuid.as_u128();
    // 22 characters hold 132 bits; the last character carries 4 zero bits at its end.
    let mut text = [0_u8; 22];
    text[21] = BASE64_URL[((bits << 4) & 63) as usize];
    bits >>= 2;
    for place in text[..21].iter_mut().rev() {
        *place = BASE64_URL[(bits & 63) as usize];
        bits >>= 6;
    }
    text.iter().map(|&byte| char::from(byte)).collect()
}

/// The inverse of [`uuid_to_base64`]; padding is accepted, as Kafka does.
pub fn uuid_from_base64(text: &str) -> Option<Uuid> {
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() != 22 {
        return None;
    }
    let digit = |byte: u8| BASE64_URL.iter().position(|&known| known == byte).map(|at| at as u128);
    let mut bits = 0_u128;
    for &byte in &text[..21] {
        bits = (bits << 6) | digit(byte)?;
    }
    Some(Uuid::from_u128((bits << 2) | (digit(text[21])? >> 4)))
}

/// A new random UUID that Kafka's tools accept: never a reserved one, never one whose text begins with a dash.
pub fn random_uuid() -> Uuid {
    loop {
        let uuid = Uuid::new_v4();
        if !uuid_to_base64(uuid).starts_with('-') {
            return uuid;
        }
    }
}

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: PartitionIndex,
}

impl TopicPartition {
    pub fn new(topic: impl Into<TopicName>, partition: PartitionIndex) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// The partition whose folder is called `name` (`topic-partition`), if it is such a name.
    pub fn from_directory_name(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        let canonical = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
        if topic.is_empty() || !canonical {
            return None;
        }
        Some(Self::new(topic, partition.parse().ok()?))
    }
}

/// `topic-partition`, the name of its folder.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Bytes of the longest name that [`short_name`] leaves as it is.
const SHORT_NAME_BYTES: usize = 256;

/// What is kept of a name that a client makes up, such as its client id, where many are kept: the wire allows 32 KiB.
/// Of a long one that is its beginning and a hash of all.
pub fn short_name(name: &str) -> Cow<'_, str> {
    if name.len() <= SHORT_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let hash = format!("...{:016x}", hasher.finish());
    let mut end = SHORT_NAME_BYTES - hash.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}{hash}", &name[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_told_apart() {
        let longest = "x".repeat(SHORT_NAME_BYTES);
        assert_eq!(short_name(&longest), longest);
        let long = |last: &str| short_name(&("ä".repeat(20_000) + last)).into_owned();
        assert!(long("a").len() <= SHORT_NAME_BYTES && long("a").starts_with("äää"));
        assert_eq!(long("a"), long("a"));
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn uuid_text_is_kafkas() {
        // From Kafka's own UuidTest: the metadata topic's id and one with every kind of digit.
        assert_eq!(uuid_to_base64(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        for _ in 0..100 {
            let uuid = random_uuid();
            assert_eq!(uuid_from_base64(&uuid_to_base64(uuid)), Some(uuid));
        }
        assert_eq!(uuid_from_base64("too short"), None);
    }

    #[test]
    fn directory_names() {
        let parsed = TopicPartition::from_directory_name("a-b-12").unwrap();
        assert_eq!((&*parsed.topic, parsed.partition), ("a-b", 12));
        for foreign in ["a", "a-", "-1", "a-x", "a-1.abc-delete", "a-99999999999"] {
            assert_eq!(TopicPartition::from_directory_name(foreign), None, "{foreign}");
        }
    }
}
