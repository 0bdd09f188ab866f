//! What happens when nothing comes: members that do not join, sync or send heartbeats.
//!
//! A group has at most one timer of a kind. The moments lie in the group; the timer is set to one that is no later, and
//! finds out when it goes off.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::group::{ClassicGroup, Phase};
use super::member::{MemberId, timeout};
use super::turn::{ClassicDecision, ClassicSettings, Turn};
use crate::coordinator::decision::Now;

/// What a group waits for, beside requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClassicTimer {
    /// The initial delay, or the rebalance timeout.
    Join,
    /// The rebalance timeout again, for members that know of the generation and do not ask for their assignment.
    Sync,
    /// Sessions that may have ended, and ids that were given out and not used.
    Session,
}

impl ClassicTimer {
    pub(super) const ALL: [Self; 3] = [Self::Join, Self::Sync, Self::Session];
}

/// A timer has gone off.
pub fn on_timer(
    group_id: &str,
    group: &ClassicGroup,
    settings: &ClassicSettings,
    now: Now,
    timer: ClassicTimer,
) -> ClassicDecision {
    let mut turn = Turn::new(group_id, settings, now, group.clone()).after_timer(timer);
    if group.deadline(timer).is_some_and(|deadline| deadline <= now.monotonic) {
        match timer {
            ClassicTimer::Join => turn.join_deadline_passed(),
            ClassicTimer::Sync => turn.remove_members_without_sync(),
            ClassicTimer::Session => turn.remove_silent_members(),
        }
    }
    turn.decide()
}

/// The group was read from the log: everybody has a whole session to show up again. If it is larger than allowed now, a
/// rebalance lets members commit before the last ones to join again have to go.
pub fn on_loaded(group_id: &str, group: &ClassicGroup, settings: &ClassicSettings, now: Now) -> ClassicDecision {
    let mut turn = Turn::new(group_id, settings, now, group.clone()).after_loading();
    turn.group.members.for_each_mut(|_, member| {
        let session = timeout(member.session_timeout_ms);
        Arc::make_mut(member).session_deadline = now.monotonic.saturating_add(session);
    });
    turn.watch_all_sessions();
    if turn.group.member_count() > settings.max_size {
        turn.prepare_rebalance("the group is over capacity");
    }
    turn.decide()
}

impl Turn<'_> {
    fn remove_members_without_sync(&mut self) {
        self.group.sync_deadline = None;
        let missing: Vec<MemberId> = self.group.pending_syncs.keys().cloned().collect();
        if missing.is_empty() || !matches!(self.group.phase, Phase::CompletingRebalance | Phase::Stable) {
            return;
        }
        info!(group_id = self.group_id, ?missing, "removing members that did not sync in time");
        for member_id in missing {
            self.remove_member(&member_id);
        }
        self.prepare_rebalance("members did not sync in time");
    }

    fn remove_silent_members(&mut self) {
        let now = self.now.monotonic;
        let has_ended = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        let unused = self.group.pending_joins.iter().filter(|(_, deadline)| has_ended(Some(**deadline)));
        let unused: Vec<MemberId> = unused.map(|(member_id, _)| Arc::clone(member_id)).collect();
        let silent = self.group.members.values().filter(|member| has_ended(member.expires_at()));
        let silent: Vec<MemberId> = silent.map(|member| Arc::clone(&member.member_id)).collect();
        for member_id in unused.iter().chain(&silent) {
            info!(group_id = self.group_id, %member_id, "a member's session has ended");
            self.remove_member(member_id);
        }
        // Before a rebalance answers joins, which moves deadlines too.
        self.watch_all_sessions();
        match self.group.phase {
            Phase::CompletingRebalance | Phase::Stable if !silent.is_empty() => {
                self.prepare_rebalance("members' sessions have ended");
            }
            Phase::PreparingRebalance { .. }
                if !(unused.is_empty() && silent.is_empty()) && self.group.has_all_members_joined() =>
            {
                self.complete_join();
            }
            _ => {}
        }
    }

    /// Looks for the moment when the first session may end.
    fn watch_all_sessions(&mut self) {
        let group = &mut self.group;
        let members = group.members.values().filter_map(|member| member.expires_at());
        group.session_check = members.chain(group.pending_joins.values().copied()).min();
    }
}
