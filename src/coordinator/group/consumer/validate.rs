//! What is wrong with a `ConsumerGroupHeartbeat`, whatever the group says.

use super::error::GroupError;
use super::member::{JOINING_EPOCH, LEAVING_EPOCH, STATIC_LEAVING_EPOCH};
use crate::coordinator::group::assignor::Assignor;
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;

/// Checks a request by itself. `member_id_required`: the version lets no member join without an id of its own (1 on).
/// `assignors`: those that are offered.
pub fn check_heartbeat(
    request: &ConsumerGroupHeartbeatRequest,
    member_id_required: bool,
    assignors: &[Assignor],
) -> Result<(), GroupError> {
    let invalid = |problem: &str| Err(GroupError::InvalidRequest(problem.to_owned()));
    let epoch = request.member_epoch;
    if (member_id_required || epoch > 0 || epoch == LEAVING_EPOCH) && is_blank(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_deref().is_some_and(is_blank) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_deref().is_some_and(is_blank) {
        return invalid("RackId can't be empty.");
    }
    match epoch {
        JOINING_EPOCH => {
            if request.rebalance_timeout_ms == -1 {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if request.topic_partitions.as_ref().is_none_or(|partitions| !partitions.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
        }
        STATIC_LEAVING_EPOCH if request.instance_id.is_none() => return invalid("InstanceId can't be null."),
        epoch if epoch < STATIC_LEAVING_EPOCH => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    let is_offered = |name: &&str| assignors.iter().any(|assignor| assignor.name() == *name);
    if let Some(name) = request.server_assignor.as_deref().filter(|name| !is_offered(name)) {
        let offered: Vec<&str> = assignors.iter().map(|assignor| assignor.name()).collect();
        return Err(GroupError::UnsupportedAssignor(format!(
            "ServerAssignor {name} is not supported. Supported assignors: {}.",
            offered.join(", ")
        )));
    }
    Ok(())
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
