//! The records of Kafka's `__cluster_metadata` topic, as KRaft of 3.3 to 4.3 writes them.
//!
//! ```text
//!  ┌──────────────┬──────────┬─────────┬─────────────────────────────────────────┐
//!  │ frame version│ api key  │ version │ fields, flexible in all versions        │
//!  │ uvarint, 1   │ uvarint  │ uvarint │                                         │
//!  └──────────────┴──────────┴─────────┴─────────────────────────────────────────┘
//! ```
//! Source: Kafka's schemas of metadata records; KIP-631, KIP-858 (directories), KIP-868 (transactions), KIP-966 (ELR).
//!
//! A type or version that is not known stops the reading: whoever wrote it knew of something that is not understood here.

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::record_codec::{Field, Reader, RecordError, schema};
use crate::ids::{PartitionIndex, TopicId};

/// The only frame there has been since KRaft was released.
const FRAME_VERSION: u32 = 1;

/// Why the value of a record is no metadata record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataRecordError {
    #[error("a metadata record without a value")]
    NoValue,
    #[error("the frame of a metadata record can't be read: {0}")]
    Frame(RecordError),
    #[error("a metadata record of frame version {0}, and 1 is the only one known")]
    FrameVersion(u32),
    #[error("a metadata record of type {0}, which is not known: a newer Kafka wrote it")]
    UnknownType(u32),
    #[error("a {name} of version {version}, and {newest} is the newest known: a newer Kafka wrote it")]
    UnknownVersion { name: &'static str, version: u32, newest: u32 },
    #[error("a {name} that can't be read: {source}")]
    Fields { name: &'static str, source: RecordError },
    #[error("a {name} with {bytes} bytes behind its last field")]
    Trailing { name: &'static str, bytes: usize },
}

/// One change of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord {
    Topic(TopicRecord),
    RemoveTopic(RemoveTopicRecord),
    Partition(PartitionRecord),
    PartitionChange(PartitionChangeRecord),
    Config(ConfigRecord),
    ClientQuota(ClientQuotaRecord),
    ProducerIds(ProducerIdsRecord),
    FeatureLevel(FeatureLevelRecord),
    UserScramCredential(ScramRecord),
    RemoveUserScramCredential(RemoveScramRecord),
    AccessControlEntry(AclRecord),
    RemoveAccessControlEntry(RemoveAclRecord),
    DelegationToken(TokenRecord),
    RemoveDelegationToken(RemoveTokenRecord),
    ZkMigrationState(ZkMigrationRecord),
    BeginTransaction,
    EndTransaction,
    AbortTransaction,
    ClearElr(ClearElrRecord),
    /// About brokers and controllers that come and go, or about nothing: none of it outlives the cluster that ran.
    Passing,
}

schema! {
    /// A topic came to be.
    pub struct TopicRecord {
        name: String,
        id: TopicId,
    }
}

schema! {
    /// A topic went, with its partitions and its configuration.
    pub struct RemoveTopicRecord {
        id: TopicId,
    }
}

/// A partition as it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    pub partition: PartitionIndex,
    pub topic: TopicId,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub removing: Vec<i32>,
    pub adding: Vec<i32>,
    /// -1: none.
    pub leader: i32,
    pub leader_epoch: i32,
    /// By replica; none before version 1.
    pub directories: Vec<Uuid>,
    /// 1: the leader was elected uncleanly and is not done with it.
    pub leader_recovery_state: i8,
    pub elr: Vec<i32>,
    pub last_known_elr: Vec<i32>,
}

schema! {
    /// What of a partition changed; what is null stayed.
    pub struct PartitionChangeRecord {
        partition: PartitionIndex,
        topic: TopicId,
    }
    tags {
        0 => isr: Option<Vec<i32>> = None,
        /// -2: stayed; -1: none any more.
        1 => leader: i32 = -2,
        2 => replicas: Option<Vec<i32>> = None,
        3 => removing: Option<Vec<i32>> = None,
        4 => adding: Option<Vec<i32>> = None,
        /// -1: stayed.
        5 => leader_recovery_state: i8 = -1,
        6 => elr: Option<Vec<i32>> = None,
        7 => last_known_elr: Option<Vec<i32>> = None,
        8 => directories: Option<Vec<Uuid>> = None,
    }
}

schema! {
    /// A setting; no value: back to the default.
    pub struct ConfigRecord {
        /// Of AdminClient's resource types: 2 topic, 4 broker, 16 client metrics, 32 group.
        resource_type: i8,
        resource_name: String,
        key: String,
        value: Option<String>,
    }
}

schema! {
    /// One part of whom a quota is for; no name: all without a quota of their own.
    pub struct QuotaEntityPart {
        kind: String,
        name: Option<String>,
    }
}

/// A limit of some clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientQuotaRecord {
    pub entity: Vec<QuotaEntityPart>,
    pub key: String,
    /// `None`: no longer limited.
    pub value: Option<f64>,
}

schema! {
    /// A block of producer ids was handed out.
    pub struct ProducerIdsRecord {
        broker: i32,
        broker_epoch: i64,
        /// The first id behind the block.
        next_producer_id: i64,
    }
}

schema! {
    /// A feature was finalized; level 0: no longer.
    pub struct FeatureLevelRecord {
        name: String,
        level: i16,
    }
}

schema! {
    /// A user's SCRAM credential (KIP-554, KIP-900).
    pub struct ScramRecord {
        user: String,
        /// 1: SCRAM-SHA-256, 2: SCRAM-SHA-512.
        mechanism: i8,
        salt: Bytes,
        stored_key: Bytes,
        server_key: Bytes,
        iterations: i32,
    }
}

schema! {
    /// A credential went.
    pub struct RemoveScramRecord {
        user: String,
        mechanism: i8,
    }
}

schema! {
    /// One access control entry, in the numbers of Kafka's protocol.
    pub struct AclRecord {
        id: Uuid,
        resource_type: i8,
        resource_name: String,
        pattern_type: i8,
        principal: String,
        host: String,
        operation: i8,
        permission_type: i8,
    }
}

schema! {
    /// An access control entry went.
    pub struct RemoveAclRecord {
        id: Uuid,
    }
}

schema! {
    /// A delegation token (KIP-900).
    pub struct TokenRecord {
        owner: String,
        requester: String,
        renewers: Vec<String>,
        issue_timestamp: i64,
        max_timestamp: i64,
        expiration_timestamp: i64,
        id: String,
    }
}

schema! {
    /// A delegation token went.
    pub struct RemoveTokenRecord {
        id: String,
    }
}

schema! {
    /// How far a migration from ZooKeeper has come (KIP-866).
    pub struct ZkMigrationRecord {
        state: i8,
    }
}

schema! {
    /// The eligible leader replicas of a topic's partitions count no more; an empty name: of all topics.
    pub struct ClearElrRecord {
        topic: String,
    }
}

/// The types that Kafka 3.3 to 4.3 write: number, name, newest version.
const TYPES: [(u32, &str, u32); 26] = [
    (0, "RegisterBrokerRecord", 4),
    (1, "UnregisterBrokerRecord", 0),
    (2, "TopicRecord", 0),
    (3, "PartitionRecord", 2),
    (4, "ConfigRecord", 0),
    (5, "PartitionChangeRecord", 2),
    (7, "FenceBrokerRecord", 0),
    (8, "UnfenceBrokerRecord", 0),
    (9, "RemoveTopicRecord", 0),
    (10, "DelegationTokenRecord", 0),
    (11, "UserScramCredentialRecord", 0),
    (12, "FeatureLevelRecord", 0),
    (14, "ClientQuotaRecord", 0),
    (15, "ProducerIdsRecord", 0),
    (17, "BrokerRegistrationChangeRecord", 3),
    (18, "AccessControlEntryRecord", 0),
    (19, "RemoveAccessControlEntryRecord", 0),
    (20, "NoOpRecord", 0),
    (21, "ZkMigrationStateRecord", 0),
    (22, "RemoveUserScramCredentialRecord", 0),
    (23, "BeginTransactionRecord", 0),
    (24, "EndTransactionRecord", 0),
    (25, "AbortTransactionRecord", 0),
    (26, "RemoveDelegationTokenRecord", 0),
    (27, "RegisterControllerRecord", 0),
    (28, "ClearElrRecord", 0),
];

impl MetadataRecord {
    /// Reads the value of a record of the topic.
    pub fn decode(value: &[u8]) -> Result<Self, MetadataRecordError> {
        let mut from = Reader::new(value);
        from.flexible(true);
        let mut number = || from.unsigned().map_err(MetadataRecordError::Frame);
        let (frame_version, kind, version) = (number()?, number()?, number()?);
        if frame_version != FRAME_VERSION {
            return Err(MetadataRecordError::FrameVersion(frame_version));
        }
        let known = TYPES.iter().find(|(known, ..)| *known == kind);
        let &(_, name, newest) = known.ok_or(MetadataRecordError::UnknownType(kind))?;
        if version > newest {
            return Err(MetadataRecordError::UnknownVersion { name, version, newest });
        }
        let record =
            Self::take(&mut from, kind, version).map_err(|source| MetadataRecordError::Fields { name, source })?;
        match from.rest().len() {
            bytes if bytes > 0 && record != Self::Passing => Err(MetadataRecordError::Trailing { name, bytes }),
            _ => Ok(record),
        }
    }

    fn take(from: &mut Reader<'_>, kind: u32, version: u32) -> Result<Self, RecordError> {
        // The tagged fields of transactions say in words why they were begun or aborted.
        let mut without_fields = |record| from.tags(|_, _| Ok(())).map(|()| record);
        Ok(match kind {
            23 => return without_fields(Self::BeginTransaction),
            24 => return without_fields(Self::EndTransaction),
            25 => return without_fields(Self::AbortTransaction),
            2 => Self::Topic(Field::take(from)?),
            3 => Self::Partition(PartitionRecord::take(from, version)?),
            4 => Self::Config(Field::take(from)?),
            5 => Self::PartitionChange(Field::take(from)?),
            9 => Self::RemoveTopic(Field::take(from)?),
            10 => Self::DelegationToken(Field::take(from)?),
            11 => Self::UserScramCredential(Field::take(from)?),
            12 => Self::FeatureLevel(Field::take(from)?),
            14 => Self::ClientQuota(ClientQuotaRecord::take(from)?),
            15 => Self::ProducerIds(Field::take(from)?),
            18 => Self::AccessControlEntry(Field::take(from)?),
            19 => Self::RemoveAccessControlEntry(Field::take(from)?),
            21 => Self::ZkMigrationState(Field::take(from)?),
            22 => Self::RemoveUserScramCredential(Field::take(from)?),
            26 => Self::RemoveDelegationToken(Field::take(from)?),
            28 => Self::ClearElr(Field::take(from)?),
            _ => Self::Passing,
        })
    }
}

impl PartitionRecord {
    fn take(from: &mut Reader<'_>, version: u32) -> Result<Self, RecordError> {
        let mut record = Self {
            partition: Field::take(from)?,
            topic: Field::take(from)?,
            replicas: Field::take(from)?,
            isr: Field::take(from)?,
            removing: Field::take(from)?,
            adding: Field::take(from)?,
            leader: Field::take(from)?,
            leader_epoch: Field::take(from)?,
            directories: Vec::new(),
            leader_recovery_state: 0,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
        };
        let _partition_epoch = i32::take(from)?;
        if version >= 1 {
            record.directories = Field::take(from)?;
        }
        from.tags(|tag, field| {
            match tag {
                0 => record.leader_recovery_state = Field::take(field)?,
                1 => record.elr = or_none(field)?,
                2 => record.last_known_elr = or_none(field)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }
}

/// A list that may be null.
fn or_none(from: &mut Reader<'_>) -> Result<Vec<i32>, RecordError> {
    let list: Option<Vec<i32>> = Field::take(from)?;
    Ok(list.unwrap_or_default())
}

impl ClientQuotaRecord {
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        let (entity, key, value) = (Field::take(from)?, Field::take(from)?, f64::take(from)?);
        let is_removed = i8::take(from)? != 0;
        from.tags(|_, _| Ok(()))?;
        Ok(Self { entity, key, value: (!is_removed).then_some(value) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coordinator::record_codec::testing::goldens;

    /// As Kafka 4.3.1's classes write them, random values in every version.
    const GOLDENS: &str = include_str!("testdata/metadata-records.txt");

    fn framed(name: &str, version: i16, body: &[u8]) -> Vec<u8> {
        let alias = if name == "ZkMigrationStateRecord" { "ZkMigrationStateRecord" } else { name };
        let (kind, ..) = TYPES.iter().find(|(_, known, _)| *known == alias).unwrap();
        [&[1, *kind as u8, version as u8], body].concat()
    }

    #[test]
    fn every_version_of_every_type_is_read_to_its_end() {
        let mut seen = std::collections::BTreeSet::new();
        for golden in goldens(GOLDENS) {
            let value = framed(golden.name, golden.version, &golden.bytes);
            let record = MetadataRecord::decode(&value);
            assert!(record.is_ok(), "{} {}: {record:?}", golden.name, golden.version);
            seen.insert((golden.name, golden.version as u32));
            for end in 0..value.len() {
                // A record that is passed over is not read.
                let cut = MetadataRecord::decode(&value[..end]);
                assert!(cut.is_err() || cut == Ok(MetadataRecord::Passing), "{} cut at {end}", golden.name);
            }
        }
        for (_, name, newest) in TYPES {
            assert!((0..=newest).all(|version| seen.contains(&(name, version))), "{name} has no golden bytes");
        }
    }

    #[test]
    fn fields_are_where_kafka_has_them() {
        let topic = TopicId("cJxEX1nhTAyKBCrSuMaHEw".parse::<TopicId>().unwrap().0);
        let id = topic.0.as_bytes();
        let decode = |parts: &[&[u8]]| MetadataRecord::decode(&parts.concat()).unwrap();
        assert_eq!(
            decode(&[&[1, 2, 0, 7], b"orders", id, &[0]]),
            MetadataRecord::Topic(TopicRecord { name: "orders".to_owned(), id: topic })
        );
        let mut replicas = vec![3, 0, 0, 0, 1, 0, 0, 0, 2];
        replicas.extend([2, 0, 0, 0, 1, 1, 1, 255, 255, 255, 255, 0, 0, 0, 9, 0, 0, 0, 11]);
        let MetadataRecord::Partition(partition) = decode(&[
            &[1, 3, 2, 0, 0, 0, 5],
            id,
            &replicas,
            &[3],
            &[7; 16],
            &[8; 16],
            &[2, 0, 1, 1, 1, 5, 2, 0, 0, 0, 2],
        ]) else {
            panic!("a partition");
        };
        assert_eq!((partition.partition, partition.topic), (5, topic));
        assert_eq!((&partition.replicas[..], &partition.isr[..]), (&[1, 2][..], &[1][..]));
        assert_eq!((partition.leader, partition.leader_epoch, partition.leader_recovery_state), (-1, 9, 1));
        assert_eq!(partition.directories, [Uuid::from_bytes([7; 16]), Uuid::from_bytes([8; 16])]);
        assert_eq!((partition.elr, partition.last_known_elr), (vec![2], vec![]));
        let MetadataRecord::PartitionChange(change) =
            decode(&[&[1, 5, 0, 0, 0, 0, 5], id, &[2, 0, 5, 2, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1]])
        else {
            panic!("a change");
        };
        assert_eq!((change.isr, change.leader, change.replicas), (Some(vec![1]), 1, None));
        let half = 0.5_f64.to_be_bytes();
        let MetadataRecord::ClientQuota(quota) =
            decode(&[&[1, 14, 0, 2, 5], b"user", &[0, 0, 2], b"k", &half, &[0, 0]])
        else {
            panic!("a quota");
        };
        assert_eq!(quota.entity, [QuotaEntityPart { kind: "user".to_owned(), name: None }]);
        assert_eq!((quota.key.as_str(), quota.value), ("k", Some(0.5)));
    }

    #[track_caller]
    fn check_refused(value: &[u8], error: &str) {
        assert_eq!(MetadataRecord::decode(value).unwrap_err().to_string(), error);
    }

    #[test]
    fn what_is_not_known_is_named() {
        check_refused(&[0, 2, 0], "a metadata record of frame version 0, and 1 is the only one known");
        check_refused(&[1, 99, 0], "a metadata record of type 99, which is not known: a newer Kafka wrote it");
        check_refused(
            &[1, 3, 3],
            "a PartitionRecord of version 3, and 2 is the newest known: a newer Kafka wrote it",
        );
        check_refused(&[1, 2, 0, 1, 2, 3], "a TopicRecord that can't be read: the bytes end within a field");
        check_refused(&[1, 24, 0, 0, 9], "a EndTransactionRecord with 1 bytes behind its last field");
        check_refused(&[1], "the frame of a metadata record can't be read: the bytes end within a field");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(kind in 0_u8..30, version in 0_u8..5, body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = MetadataRecord::decode(&[&[1, kind, version], &body[..]].concat());
        }
    }
}
