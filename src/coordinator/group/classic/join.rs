//! JoinGroup: becoming a member, or taking part in the next generation.

use std::sync::Arc;

use bytes::Bytes;
use tracing::info;

use super::group::{ClassicGroup, Phase};
use super::member::{InstanceId, Member, MemberId, Protocols, timeout};
use super::reply::{ClassicReply, JoinReply};
use super::turn::{ClassicDecision, ClassicSettings, Turn};
use crate::coordinator::{Now, ReplyTo};
use crate::error::ErrorCode;

/// A request to join. What it holds is its own: it outlives the frame it came in.
#[derive(Clone, Debug)]
pub struct Join {
    /// Empty: a member that has no id yet.
    pub member_id: MemberId,
    /// What such a member is called from now on ([`new_member_id`]).
    pub new_member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub protocol_type: Arc<str>,
    pub protocols: Protocols,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// The client joins a second time, with the id that it is given (KIP-394).
    pub requires_known_member_id: bool,
    /// The client knows of leaders that must not assign (KIP-814).
    pub supports_skipping_assignment: bool,
    /// Why, for the log (KIP-800).
    pub reason: Option<String>,
}

impl Join {
    fn reason(&self) -> &str {
        self.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("not provided")
    }
}

/// The longest text that records and older replies can hold.
const MAX_TEXT_BYTES: usize = i16::MAX as usize;
const UUID_TEXT_BYTES: usize = 36;

/// A member's id: what the client calls itself and what nobody can guess.
pub fn new_member_id(client_id: &str, instance_id: Option<&str>, unique: uuid::Uuid) -> MemberId {
    let name = instance_id.unwrap_or(client_id);
    let mut end = name.len().min(MAX_TEXT_BYTES - 1 - UUID_TEXT_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{unique}", &name[..end]).into()
}

/// `group`: the group of this id, if there is one; it begins with the first member that asks for an id.
pub fn join(
    group_id: &str,
    group: Option<&ClassicGroup>,
    settings: &ClassicSettings,
    now: Now,
    join: &Join,
    reply_to: ReplyTo,
) -> ClassicDecision {
    let refusal = |error, member_id: &str| {
        ClassicDecision::answer(reply_to, ClassicReply::Join(JoinReply::refused(error, member_id)))
    };
    let is_unknown = join.member_id.is_empty();
    if group.is_none() && !is_unknown {
        return refusal(ErrorCode::UnknownMemberId, &join.member_id);
    }
    let begins = group.is_none();
    let group = group.cloned().unwrap_or_else(|| ClassicGroup::new(now.wall_ms));
    if !accepts(&group, &join.member_id, settings.max_size) {
        return refuse_excess_member(Turn::new(group_id, settings, now, group), join, reply_to);
    }
    if !group.supports(&join.protocol_type, &join.protocols) {
        return refusal(ErrorCode::InconsistentGroupProtocol, &join.member_id);
    }
    let mut turn = Turn::new(group_id, settings, now, group);
    if is_unknown {
        turn.join_without_id(join, reply_to);
    } else if let Err(error) = turn.join_with_id(join, reply_to) {
        return refusal(error, &join.member_id);
    }
    if begins && !turn.has_record() {
        turn.persist_new_group();
    }
    turn.decide()
}

/// Whether there is room. While a rebalance gathers its members, those count that have joined: of a group that is
/// already too large (the limit was lowered), the last ones to join have to go.
fn accepts(group: &ClassicGroup, member_id: &str, max_size: usize) -> bool {
    match group.phase {
        Phase::Empty => true,
        Phase::PreparingRebalance { .. } => {
            group.awaiting_join() < max_size || group.member(member_id).is_some_and(|member| member.awaits_join())
        }
        Phase::CompletingRebalance | Phase::Stable => {
            group.member_count() < max_size || group.member(member_id).is_some()
        }
    }
}

fn refuse_excess_member(mut turn: Turn<'_>, join: &Join, reply_to: ReplyTo) -> ClassicDecision {
    let reply = ClassicReply::Join(JoinReply::refused(ErrorCode::GroupMaxSizeReached, ""));
    turn.remove_member(&join.member_id);
    // It may have been the last one that the others waited for.
    turn.complete_join_if_all_joined();
    turn.reply(reply_to, reply);
    turn.decide()
}

impl Turn<'_> {
    fn join_without_id(&mut self, join: &Join, reply_to: ReplyTo) {
        let member_id = Arc::clone(&join.new_member_id);
        let current = join.instance_id.as_deref().and_then(|id| self.group.static_member_id(id)).cloned();
        match current {
            Some(current) => self.replace_static_member(join, &current, reply_to),
            None if join.instance_id.is_some() || !join.requires_known_member_id => {
                self.add_member(join, &member_id, reply_to);
            }
            None => self.give_out_id(join, member_id, reply_to),
        }
    }

    /// The client has to show that the answer reached it, before others wait for it (KIP-394).
    fn give_out_id(&mut self, join: &Join, member_id: MemberId, reply_to: ReplyTo) {
        let deadline = self.deadline_in(timeout(join.session_timeout_ms));
        self.group.watch_session(Some(deadline));
        self.group.pending_joins.insert(Arc::clone(&member_id), deadline);
        let reply = JoinReply::refused(ErrorCode::MemberIdRequired, member_id);
        self.reply(reply_to, ClassicReply::Join(reply));
    }

    fn add_member(&mut self, join: &Join, member_id: &MemberId, reply_to: ReplyTo) {
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(Arc::clone(&join.protocol_type));
        }
        if let Phase::PreparingRebalance { initial: Some(initial), .. } = &mut self.group.phase {
            initial.new_member_added = true;
        }
        self.group.add_member(Member {
            member_id: Arc::clone(member_id),
            instance_id: join.instance_id.clone(),
            client_id: Arc::clone(&join.client_id),
            client_host: Arc::clone(&join.client_host),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            join_waiter: Some(reply_to),
            sync_waiter: None,
            is_new: true,
            session_deadline: self.deadline_in(self.settings.new_member_join_timeout),
        });
        self.rebalance_or_complete_join(&format!("new member {member_id} ({})", join.reason()));
    }

    fn join_with_id(&mut self, join: &Join, reply_to: ReplyTo) -> Result<(), ErrorCode> {
        let member_id = &join.member_id;
        if self.group.pending_joins.contains_key(member_id) {
            if join.instance_id.is_some() {
                // Ids are given out to dynamic members only; Kafka takes this for a fault of its own.
                return Err(ErrorCode::UnknownServerError);
            }
            self.add_member(join, member_id, reply_to);
            return Ok(());
        }
        self.group.validate_member(member_id, join.instance_id.as_deref())?;
        let member = self.group.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let is_unchanged = member.protocols == join.protocols;
        let is_answered_at_once = match self.group.phase {
            // Its answer may have been lost.
            Phase::CompletingRebalance => is_unchanged,
            // A leader joins again where topics changed, which its own subscription does not show.
            Phase::Stable => is_unchanged && !self.group.is_leader(member_id),
            Phase::PreparingRebalance { .. } | Phase::Empty => false,
        };
        if is_answered_at_once {
            let reply = self.join_reply(member_id);
            self.reply(reply_to, ClassicReply::Join(reply));
            return Ok(());
        }
        self.update_member(join, member_id);
        self.park_join(member_id, reply_to);
        self.rebalance_or_complete_join(&format!("member {member_id} joins again ({})", join.reason()));
        Ok(())
    }

    fn update_member(&mut self, join: &Join, member_id: &str) {
        self.group.change_member(member_id, |member| {
            member.protocols = join.protocols.clone();
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.session_timeout_ms = join.session_timeout_ms;
        });
    }

    /// A static member came back without its id: it takes the place, the assignment included, of whom it was (KIP-345).
    fn replace_static_member(&mut self, join: &Join, old_id: &MemberId, reply_to: ReplyTo) {
        let new_id = &join.new_member_id;
        info!(group_id = self.group_id, %old_id, %new_id, "a static member came back");
        let old_leader = self.group.leader_id.clone();
        self.rename_member(old_id, new_id);
        self.update_member(join, new_id);
        let deadline = self.deadline_in(timeout(join.session_timeout_ms));
        self.group.change_member(new_id, |member| member.session_deadline = deadline);
        let keeps_protocol = self.group.select_protocol() == self.group.protocol_name;
        if matches!(self.group.phase, Phase::Stable) && keeps_protocol {
            self.persist();
            let reply = self.reply_to_returned_member(join, old_leader);
            self.reply(reply_to, ClassicReply::Join(reply));
            return;
        }
        self.park_join(new_id, reply_to);
        // While syncs are awaited too: the leader may be assigning to the old id.
        self.rebalance_or_complete_join(&format!("static member {new_id} came back ({})", join.reason()));
    }

    /// Whoever still waits in the old name is another process with the same instance id.
    fn rename_member(&mut self, old_id: &MemberId, new_id: &MemberId) {
        let was_leader = self.group.is_leader(old_id);
        let Some(old) = self.group.take_member(old_id) else { return };
        let fenced = ErrorCode::FencedInstanceId;
        if let Some(waiter) = old.join_waiter {
            self.reply(waiter, ClassicReply::Join(JoinReply::refused(fenced, Arc::clone(old_id))));
        }
        if let Some(waiter) = old.sync_waiter {
            self.reply(waiter, ClassicReply::Sync(super::SyncReply::refused(fenced)));
        }
        self.group.add_member(Member {
            member_id: Arc::clone(new_id),
            join_waiter: None,
            sync_waiter: None,
            is_new: false,
            ..Arc::unwrap_or_clone(old)
        });
        if self.group.pending_syncs.is_empty() {
            self.group.sync_deadline = None;
        }
        if was_leader {
            self.group.leader_id = Some(Arc::clone(new_id));
        }
    }

    /// The generation goes on. A client that cannot be told to skip the assignment is told the leader's old id instead,
    /// so that it does not take itself for the leader.
    fn reply_to_returned_member(&self, join: &Join, old_leader: Option<MemberId>) -> JoinReply {
        let reply = self.join_reply(&join.new_member_id);
        if join.supports_skipping_assignment {
            JoinReply { skip_assignment: self.group.is_leader(&join.new_member_id), ..reply }
        } else {
            JoinReply { leader: old_leader, members: Vec::new(), ..reply }
        }
    }

    /// Makes the group known before anybody hears of it. Its first generation has not begun, so the record says nothing of
    /// the members that are joining.
    fn persist_new_group(&mut self) {
        self.persist_value(ClassicGroup::new(self.now.wall_ms).to_record());
    }
}
