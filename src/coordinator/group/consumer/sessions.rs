//! Deadlines of members and of the group: soft state, which no record keeps.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::member::MemberId;

/// What a timer of a consumer group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// A member has not been heard of for its session timeout.
    Session,
    /// A member has not given its partitions up within its rebalance timeout.
    Rebalance,
    /// A classic member has been told to join again and has not.
    Join,
    /// A classic member has joined and has not asked for its assignment.
    Sync,
}

/// Names one timer of one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberTimer {
    pub member_id: MemberId,
    pub kind: TimerKind,
}

/// A timer to set, or (`None`) to take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerChange {
    pub timer: MemberTimer,
    pub deadline: Option<Duration>,
}

/// The deadlines of one member.
#[derive(Clone, Debug, Default)]
struct MemberSession {
    /// Moves with every heartbeat, most of which change nothing else: hence a cell, and no soft change. Harmless when a
    /// heartbeat comes to nothing in the end: the member was heard of all the same. The timer looks here when it fires.
    session: Cell<Duration>,
    /// The member epoch that the member has to leave behind, and by when.
    rebalance: Option<(i32, Duration)>,
    join: Option<Duration>,
    sync: Option<Duration>,
}

/// The deadlines of one member, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deadlines {
    pub(super) session: Duration,
    /// The member epoch that the member has to leave behind, and by when.
    pub(super) rebalance: Option<(i32, Duration)>,
    pub(super) join: Option<Duration>,
    pub(super) sync: Option<Duration>,
}

/// Soft state of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    members: BTreeMap<MemberId, MemberSession>,
    /// Until when the metadata hash need not be looked at again, and the group epoch that this was decided in: it does
    /// not hold for an epoch whose records were lost.
    pub(super) metadata_checked: Option<(Duration, i32)>,
    /// Regular expressions are being resolved.
    pub(super) resolving: bool,
    /// The metadata version that brought the last new topic: what was resolved before may lack it.
    pub(super) new_topics_version: i64,
}

/// A change of soft state: made when the records that came with it are written, dropped when that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoftChange {
    /// A member was heard of.
    Session {
        member_id: MemberId,
        deadline: Duration,
    },
    Rebalance {
        member_id: MemberId,
        deadline: Option<(i32, Duration)>,
    },
    Join {
        member_id: MemberId,
        deadline: Option<Duration>,
    },
    Sync {
        member_id: MemberId,
        deadline: Option<Duration>,
    },
    MetadataChecked {
        until: Duration,
        group_epoch: i32,
    },
    Resolving(bool),
    /// Subscribed topics came, changed or went.
    TopicsChanged,
    /// Topics came, in that version of the metadata.
    TopicsCreated {
        metadata_version: i64,
    },
}

impl Sessions {
    pub(super) fn deadlines(&self, member_id: &str) -> Deadlines {
        self.members.get(member_id).map_or_else(Deadlines::default, |member| Deadlines {
            session: member.session.get(),
            rebalance: member.rebalance,
            join: member.join,
            sync: member.sync,
        })
    }

    pub(super) fn forget(&mut self, member_id: &str) {
        self.members.remove(member_id);
    }

    pub(super) fn apply(&mut self, change: SoftChange) {
        match change {
            SoftChange::Session { member_id, deadline } => self.of(member_id).session.set(deadline),
            SoftChange::Rebalance { member_id, deadline } => self.of(member_id).rebalance = deadline,
            SoftChange::Join { member_id, deadline } => self.of(member_id).join = deadline,
            SoftChange::Sync { member_id, deadline } => self.of(member_id).sync = deadline,
            SoftChange::MetadataChecked { until, group_epoch } => self.metadata_checked = Some((until, group_epoch)),
            SoftChange::Resolving(resolving) => self.resolving = resolving,
            SoftChange::TopicsChanged => self.metadata_checked = None,
            SoftChange::TopicsCreated { metadata_version } => self.new_topics_version = metadata_version,
        }
    }

    /// Moves the deadline of a member's session, where it has one.
    pub(super) fn extend(&self, member_id: &str, deadline: Duration) {
        if let Some(member) = self.members.get(member_id) {
            member.session.set(deadline);
        }
    }

    fn of(&mut self, member_id: MemberId) -> &mut MemberSession {
        self.members.entry(member_id).or_default()
    }
}

impl MemberTimer {
    pub(super) fn new(member_id: &MemberId, kind: TimerKind) -> Self {
        Self { member_id: Arc::clone(member_id), kind }
    }
}
