//! Whether a member may commit or fetch offsets.

use super::error::GroupError;
use super::group::ConsumerGroup;
use super::member::Member;
use crate::coordinator::group::offsets::{CommitCheck, CommittingGroup, OffsetExpiry};
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};

/// What a commit says of who commits.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    /// The member epoch, or the generation of a classic member; -1: none.
    pub member_epoch: i32,
    pub is_transactional: bool,
    /// The request is of a version that can carry member epochs (`OffsetCommit` 9 on).
    pub knows_member_epochs: bool,
}

/// Which partitions a commit is good for.
#[derive(Clone, Copy, Debug)]
pub enum CommitScope<'a> {
    All,
    /// The commit is of an earlier epoch of the member: good for what it had then and still has (KIP-1251).
    Since {
        member: &'a Member,
        epoch: i32,
    },
}

impl CommitScope<'_> {
    /// Checks one partition; `None`: a topic that is not known.
    pub fn check(&self, topic: Option<TopicId>, partition: PartitionIndex) -> Result<(), GroupError> {
        let Self::Since { member, epoch } = self else { return Ok(()) };
        let since = topic.and_then(|topic| {
            member
                .assigned
                .epoch_of(topic, partition)
                .or_else(|| member.pending_revocation.epoch_of(topic, partition))
        });
        match since {
            Some(since) if *epoch >= since => Ok(()),
            Some(since) => {
                Err(stale(member, format!("partition {partition} was assigned in epoch {since}, after {epoch}")))
            }
            None => Err(stale(member, format!("partition {partition} is not the member's"))),
        }
    }
}

impl ConsumerGroup {
    /// Checks an `OffsetCommit` or `TxnOffsetCommit`.
    pub fn check_commit(&self, committer: &Committer<'_>) -> Result<CommitScope<'_>, GroupError> {
        let Committer { member_id, instance_id, member_epoch, is_transactional, knows_member_epochs } = *committer;
        if member_epoch < 0 && self.is_empty() {
            return Ok(CommitScope::All);
        }
        // A transactional producer need not say for whom it commits.
        if is_transactional && member_epoch == -1 && member_id.is_empty() && instance_id.is_none() {
            return Ok(CommitScope::All);
        }
        let member = self.member(member_id).ok_or_else(|| self.unknown_member(member_id))?;
        if !is_transactional && !member.uses_classic_protocol() && !knows_member_epochs {
            return Err(GroupError::UnsupportedVersion(
                "members of the consumer protocol commit with OffsetCommit version 9 or above".to_owned(),
            ));
        }
        if member_epoch == member.member_epoch {
            return Ok(CommitScope::All);
        }
        if member_epoch > member.member_epoch {
            return Err(stale(member, format!("epoch {member_epoch} is newer than {}", member.member_epoch)));
        }
        Ok(CommitScope::Since { member, epoch: member_epoch })
    }

    /// Checks an `OffsetFetch`; without member id and epoch it comes from a tool or an older client.
    pub fn check_fetch(&self, member_id: Option<&str>, member_epoch: i32) -> Result<(), GroupError> {
        let Some(member_id) = member_id else {
            return if member_epoch < 0 { Ok(()) } else { Err(self.unknown_member("null")) };
        };
        let member = self.member(member_id).ok_or_else(|| self.unknown_member(member_id))?;
        if member_epoch != member.member_epoch {
            return Err(stale(member, format!("epoch {member_epoch} is not {}", member.member_epoch)));
        }
        Ok(())
    }
}

impl CommittingGroup for ConsumerGroup {
    /// One partition that the commit is not good for spoils it all, as in Kafka.
    fn check_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        let committer = Committer {
            member_id: commit.member_id,
            instance_id: commit.group_instance_id,
            member_epoch: commit.generation_or_epoch,
            is_transactional: false,
            knows_member_epochs: commit.knows_member_epochs,
        };
        let scope = Self::check_commit(self, &committer).map_err(|error| error.code())?;
        let mut checked = commit.partitions.iter().map(|&(topic, partition)| scope.check(Some(topic), partition));
        checked.try_for_each(|checked| checked.map_err(|error| error.code()))
    }

    fn check_fetch(&self, member_id: Option<&str>, member_epoch: i32) -> Result<(), ErrorCode> {
        Self::check_fetch(self, member_id, member_epoch).map_err(|error| error.code())
    }

    fn check_delete(&self) -> Result<(), ErrorCode> {
        Ok(())
    }

    fn is_subscribed_to(&self, topic: &str) -> bool {
        Self::is_subscribed_to(self, topic)
    }

    fn offset_expiry(&self) -> Option<OffsetExpiry> {
        Some(OffsetExpiry::SinceCommit)
    }

    fn tombstones_if_unused(&self, _: &str) -> Vec<GroupRecord> {
        if self.is_empty() { self.tombstones() } else { Vec::new() }
    }
}

/// Each protocol has its own word for it.
fn stale(member: &Member, problem: String) -> GroupError {
    if member.uses_classic_protocol() {
        GroupError::IllegalGeneration(problem)
    } else {
        GroupError::StaleMemberEpoch(problem)
    }
}
