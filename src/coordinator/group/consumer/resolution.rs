//! What regular expressions stand for has been found out: what follows for the group.

use std::sync::Arc;

use super::change::metadata_checked;
use super::context::{Context, Outcome};
use super::group::ConsumerGroup;
use super::records;
use super::regex::RegexesResolved;
use super::sessions::SoftChange;
use super::topics::group_hash;

/// Writes down the topics of those expressions that members still subscribe to. Where they are others than before, a new
/// target assignment is due.
pub fn on_resolved(group: &ConsumerGroup, resolved: &RegexesResolved, context: &Context<'_>) -> Outcome<()> {
    let mut outcome = Outcome::reply(());
    outcome.soft.push(SoftChange::Resolving(false));
    let mut subscriptions = group.subscriptions.clone();
    let mut changed = false;
    for (pattern, new) in &resolved.resolved {
        if group.subscriptions.members_with_regex(pattern) == 0 {
            continue;
        }
        let topics_before = group.subscriptions.resolved(pattern).map(|before| &before.topics);
        if topics_before.map_or(!new.topics.is_empty(), |before| *before != new.topics) {
            changed = true;
            subscriptions.resolve(pattern, Some(Arc::clone(new)));
        }
        outcome.records.push(records::regex(&group.group_id, pattern, new));
    }
    let hash = group_hash(subscriptions.topics(), context.topics);
    if changed || hash != group.metadata_hash {
        let epoch = group.group_epoch + 1;
        outcome.records.push(records::group_epoch(&group.group_id, epoch, hash));
        outcome.soft.push(metadata_checked(context.now, epoch));
    }
    outcome
}
