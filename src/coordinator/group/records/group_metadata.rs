//! A group of the classic protocol: type 2.

use bytes::Bytes;

use crate::coordinator::record_codec::{Field, Reader, RecordError, RecordValue, Tags, Writer};

const REBALANCE_TIMEOUT_FROM: i16 = 1;
const STATE_TIMESTAMP_FROM: i16 = 2;
const INSTANCE_ID_FROM: i16 = 3;
/// Kafka writes the last version that is not flexible, which every broker since 2.3 reads.
const WRITTEN_VERSION: i16 = 3;
const NEWEST_VERSION: i16 = 4;
/// Stand for what the version does not have.
const NO_TIMESTAMP_MS: i64 = -1;
const NO_TIMEOUT_MS: i32 = -1;

/// A group of the classic protocol as it was when a generation began, versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// `consumer`, `connect`, or whatever else the members called it; empty without any.
    pub protocol_type: String,
    pub generation: i32,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// When the group came into its state, or -1; version 2 on.
    pub current_state_timestamp_ms: i64,
    pub members: Vec<GroupMember>,
}

/// A member of a group of the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member_id: String,
    /// The name of a static member; version 3 on.
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Version 1 on; before, the session timeout holds for rebalances as well, and here is -1.
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The metadata that the member gave for the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl RecordValue for GroupMetadataValue {
    const NEWEST: i16 = NEWEST_VERSION;
    const FLEXIBLE_FROM: i16 = 4;

    fn version(&self) -> i16 {
        WRITTEN_VERSION
    }

    fn put_version(&self, out: &mut Writer, version: i16) {
        self.protocol_type.put(out);
        self.generation.put(out);
        self.protocol.put(out);
        self.leader.put(out);
        if version >= STATE_TIMESTAMP_FROM {
            self.current_state_timestamp_ms.put(out);
        }
        out.count(self.members.len());
        for member in &self.members {
            member.put(out, version);
        }
        out.tags(&Tags::default());
    }

    fn take_version(from: &mut Reader<'_>, version: i16) -> Result<Self, RecordError> {
        let protocol_type = Field::take(from)?;
        let generation = Field::take(from)?;
        let protocol = Field::take(from)?;
        let leader = Field::take(from)?;
        let current_state_timestamp_ms =
            if version >= STATE_TIMESTAMP_FROM { Field::take(from)? } else { NO_TIMESTAMP_MS };
        let mut members = Vec::new();
        for _ in 0..from.count()? {
            members.push(GroupMember::take(from, version)?);
        }
        from.tags(|_, _| Ok(()))?;
        Ok(Self { protocol_type, generation, protocol, leader, current_state_timestamp_ms, members })
    }
}

impl GroupMember {
    fn put(&self, out: &mut Writer, version: i16) {
        self.member_id.put(out);
        if version >= INSTANCE_ID_FROM {
            self.group_instance_id.put(out);
        }
        self.client_id.put(out);
        self.client_host.put(out);
        if version >= REBALANCE_TIMEOUT_FROM {
            self.rebalance_timeout_ms.put(out);
        }
        self.session_timeout_ms.put(out);
        self.subscription.put(out);
        self.assignment.put(out);
        out.tags(&Tags::default());
    }

    fn take(from: &mut Reader<'_>, version: i16) -> Result<Self, RecordError> {
        let member_id = Field::take(from)?;
        let group_instance_id = if version >= INSTANCE_ID_FROM { Field::take(from)? } else { None };
        let client_id = Field::take(from)?;
        let client_host = Field::take(from)?;
        let rebalance_timeout_ms = if version >= REBALANCE_TIMEOUT_FROM { Field::take(from)? } else { NO_TIMEOUT_MS };
        let session_timeout_ms = Field::take(from)?;
        let subscription = Field::take(from)?;
        let assignment = Field::take(from)?;
        from.tags(|_, _| Ok(()))?;
        Ok(Self {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        })
    }
}
