//! Members of classic groups, made by hand: every field of every version is the test's own.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use crate::Node;
use crate::wait::eventually;
use crate::wire::{Wire, text};

pub const JOIN_VERSION: i16 = 9;
pub const SYNC_VERSION: i16 = 5;
pub const HEARTBEAT_VERSION: i16 = 4;
pub const LEAVE_VERSION: i16 = 5;
pub const DESCRIBE_VERSION: i16 = 6;

const MEMBER_ID_REQUIRED: i16 = 79;
/// Passing: the coordinator's topic is being created, or read.
const NOT_READY: [i16; 3] = [14, 15, 16];

pub fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

/// A connection to the coordinator of a group, once that serves.
pub fn coordinator(node: &Node, group: &str) -> Wire {
    let mut wire = node.wire();
    let request = FindCoordinatorRequest::default().with_key(text(group)).with_key_type(0);
    eventually("the group's coordinator", || {
        let found = wire.call(3, &request).ok()?;
        (found.error_code == 0).then_some(())
    });
    let heartbeat = HeartbeatRequest::default().with_group_id(group_id(group)).with_member_id(text("nobody"));
    eventually("the coordinator serves", || {
        let answer = wire.call(HEARTBEAT_VERSION, &heartbeat).ok()?;
        (!NOT_READY.contains(&answer.error_code) && answer.error_code != 0).then_some(())
    });
    wire
}

/// A request to join as a consumer with the protocol `range`.
pub fn join_request(group: &str, member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol("range", b"")])
}

pub fn protocol(name: &str, metadata: &[u8]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(Bytes::copy_from_slice(metadata))
}

pub fn sync_request(group: &str, member_id: &str, generation: i32) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(text(member_id))
        .with_generation_id(generation)
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
}

pub fn assignment(member_id: &str, bytes: &[u8]) -> SyncGroupRequestAssignment {
    SyncGroupRequestAssignment::default()
        .with_member_id(text(member_id))
        .with_assignment(Bytes::copy_from_slice(bytes))
}

pub fn heartbeat_request(group: &str, member_id: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(text(member_id))
        .with_generation_id(generation)
}

pub fn leave_request(group: &str, members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let members = members.iter().map(|(member_id, instance_id)| {
        MemberIdentity::default().with_member_id(text(member_id)).with_group_instance_id(instance_id.map(text))
    });
    LeaveGroupRequest::default().with_group_id(group_id(group)).with_members(members.collect())
}

/// The state of one group.
pub fn describe(wire: &mut Wire, group: &str) -> Result<DescribedGroup> {
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
    let mut response = wire.call(DESCRIBE_VERSION, &request)?;
    ensure!(response.groups.len() == 1, "{} groups", response.groups.len());
    Ok(response.groups.remove(0))
}

/// One member on a connection of its own, that does what clients do.
pub struct ClassicMember {
    pub wire: Wire,
    pub group: String,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    /// As a leader: all members' ids.
    pub members: Vec<String>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
}

impl ClassicMember {
    /// Not joined yet.
    pub fn new(node: &Node, group: &str) -> Self {
        Self::on(node.wire(), group)
    }

    /// As [`new`](Self::new), on a connection that others have used before.
    pub fn on(wire: Wire, group: &str) -> Self {
        Self {
            wire,
            group: group.to_owned(),
            member_id: String::new(),
            instance_id: None,
            generation: -1,
            members: Vec::new(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
        }
    }

    pub fn join_request(&self) -> JoinGroupRequest {
        join_request(&self.group, &self.member_id)
            .with_group_instance_id(self.instance_id.as_deref().map(text))
            .with_session_timeout_ms(self.session_timeout_ms)
            .with_rebalance_timeout_ms(self.rebalance_timeout_ms)
    }

    /// Gets an id, if need be, and sends the join that waits for the others.
    pub fn send_join(&mut self) -> Result<()> {
        if self.member_id.is_empty() && self.instance_id.is_none() {
            let request = self.join_request();
            // The group's partition may still be read, though that of another group is served.
            let given = eventually("a member id", || match self.wire.call(JOIN_VERSION, &request) {
                Ok(answer) if NOT_READY.contains(&answer.error_code) => None,
                answer => Some(answer),
            })?;
            ensure!(given.error_code == MEMBER_ID_REQUIRED, "error {}", given.error_code);
            self.member_id = given.member_id.to_string();
        }
        self.wire.send(JOIN_VERSION, &self.join_request())
    }

    /// The answer to [`send_join`](Self::send_join).
    pub fn receive_join(&mut self) -> Result<JoinGroupResponse> {
        let joined = self.wire.receive::<JoinGroupRequest>(JOIN_VERSION)?;
        if joined.error_code == 0 {
            self.member_id = joined.member_id.to_string();
            self.generation = joined.generation_id;
            self.members = joined.members.iter().map(|member| member.member_id.to_string()).collect();
        }
        Ok(joined)
    }

    pub fn leads(&self) -> bool {
        !self.members.is_empty()
    }

    /// Sends the sync; a leader assigns to each member its own id.
    pub fn send_sync(&mut self) -> Result<()> {
        let assignments = self.members.iter().map(|member| assignment(member, member.as_bytes())).collect();
        let request = sync_request(&self.group, &self.member_id, self.generation)
            .with_group_instance_id(self.instance_id.as_deref().map(text))
            .with_assignments(assignments);
        self.wire.send(SYNC_VERSION, &request)
    }

    pub fn receive_sync(&mut self) -> Result<SyncGroupResponse> {
        self.wire.receive::<SyncGroupRequest>(SYNC_VERSION)
    }

    /// The error of a heartbeat.
    pub fn heartbeat(&mut self) -> Result<i16> {
        let request = heartbeat_request(&self.group, &self.member_id, self.generation)
            .with_group_instance_id(self.instance_id.as_deref().map(text));
        Ok(self.wire.call(HEARTBEAT_VERSION, &request)?.error_code)
    }

    pub fn leave(&mut self) -> Result<LeaveGroupResponse> {
        let request = leave_request(&self.group, &[(&self.member_id, self.instance_id.as_deref())]);
        self.wire.call(LEAVE_VERSION, &request)
    }
}

/// Lets members form a group (whose broker has no initial delay), until each has what was assigned to it.
pub fn form(members: &mut [ClassicMember]) -> Result<()> {
    let (first, others) = members.split_first_mut().context("members")?;
    first.send_join()?;
    ensure!(first.receive_join()?.error_code == 0, "the first member does not join");
    if !others.is_empty() {
        // The others wait until the first one joins again.
        for member in others.iter_mut() {
            member.send_join()?;
        }
        let group = first.group.clone();
        let wire = &mut first.wire;
        eventually("all others wait", || {
            let described = describe(wire, &group).ok()?;
            (described.members.len() == others.len() + 1).then_some(())
        });
        first.send_join()?;
        for member in std::iter::once(first).chain(others) {
            let joined = member.receive_join()?;
            ensure!(joined.error_code == 0, "join: error {}", joined.error_code);
        }
    }
    sync(members)
}

/// Lets members of a group that rebalances join again; one that has no id asks for it first.
pub fn form_again(members: &mut [ClassicMember]) -> Result<()> {
    members.sort_by_key(|member| !member.member_id.is_empty());
    for member in members.iter_mut() {
        member.send_join()?;
    }
    for member in members.iter_mut() {
        let joined = member.receive_join()?;
        ensure!(joined.error_code == 0, "join: error {}", joined.error_code);
    }
    sync(members)
}

/// Lets members that joined the same generation sync.
pub fn sync(members: &mut [ClassicMember]) -> Result<()> {
    for member in members.iter_mut() {
        member.send_sync()?;
    }
    for member in members.iter_mut() {
        let synced = member.receive_sync()?;
        ensure!(synced.error_code == 0, "sync: error {}", synced.error_code);
        ensure!(synced.assignment == member.member_id.as_bytes(), "another member's assignment");
    }
    Ok(())
}
