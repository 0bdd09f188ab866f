//! What tools are told of a classic group.

use std::sync::Arc;

use bytes::Bytes;

use super::group::{ClassicGroup, ClassicGroupState};
use super::member::{InstanceId, MemberId};
use crate::error::ErrorCode;

/// A group, as DescribeGroups tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedClassicGroup {
    pub state: ClassicGroupState,
    pub protocol_type: Option<Arc<str>>,
    /// Only of a stable group.
    pub protocol_name: Option<Arc<str>>,
    pub members: Vec<DescribedClassicMember>,
}

/// One of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedClassicMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// Only of a stable group.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl ClassicGroup {
    pub fn describe(&self) -> DescribedClassicGroup {
        let state = self.state();
        let protocol_name = self.protocol_name.clone().filter(|_| state == ClassicGroupState::Stable);
        let members = self.members.values().map(|member| {
            let metadata = protocol_name.as_deref().and_then(|name| member.protocols.metadata(name));
            DescribedClassicMember {
                member_id: Arc::clone(&member.member_id),
                instance_id: member.instance_id.clone(),
                client_id: Arc::clone(&member.client_id),
                client_host: Arc::clone(&member.client_host),
                metadata: metadata.cloned().unwrap_or_default(),
                assignment: member.assignment.clone(),
            }
        });
        let members = members.collect();
        DescribedClassicGroup { state, protocol_type: self.protocol_type.clone(), protocol_name, members }
    }

    /// Only a group without members can be deleted.
    pub fn validate_delete(&self) -> Result<(), ErrorCode> {
        if self.is_empty() { Ok(()) } else { Err(ErrorCode::NonEmptyGroup) }
    }
}
