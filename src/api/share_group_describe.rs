//! ShareGroupDescribe (key 77), version 1: share groups with their members (KIP-932).

use std::collections::BTreeSet;

use super::describe_groups::GROUP_OPERATIONS;
use super::groups::text;
use super::{Outcome, RequestContext};
use crate::coordinator::group::share::{DescribedShareGroup, DescribedShareMember, ShareGroup};
use crate::error::ErrorCode;
use crate::metadata::MetadataImage;
use crate::protocol::wire::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use crate::protocol::wire::messages::{GroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: ShareGroupDescribeRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let cx = reply_context;
        let mut response = ShareGroupDescribeResponse::default();
        // Each once: the answer is many times longer than the question.
        let group_ids: BTreeSet<GroupId> = request.group_ids.into_iter().collect();
        for group_id in group_ids {
            let mut group = describe(&cx, group_id).await;
            if request.include_authorized_operations {
                group.authorized_operations = GROUP_OPERATIONS;
            }
            response.groups.push(group);
        }
        response
    })
}

async fn describe(cx: &RequestContext, group_id: GroupId) -> DescribedGroup {
    let mut on_wire = DescribedGroup::default();
    if group_id.is_empty() {
        on_wire.error_code = ErrorCode::InvalidGroupId.code();
        return on_wire;
    }
    match cx.services().share_groups.read(&group_id, ShareGroup::describe).await {
        Ok(described) => fill(&mut on_wire, described, &cx.services().metadata.current()),
        Err(error) => {
            cx.count_error(error.code());
            on_wire.error_code = error.code().code();
            on_wire.error_message = error.message().map(StrBytes::from_string);
        }
    }
    on_wire.group_id = group_id;
    on_wire
}

fn fill(on_wire: &mut DescribedGroup, described: DescribedShareGroup, image: &MetadataImage) {
    on_wire.group_state = StrBytes::from_static_str(described.state.name());
    on_wire.group_epoch = described.group_epoch;
    on_wire.assignment_epoch = described.assignment_epoch;
    on_wire.assignor_name = StrBytes::from_static_str(described.assignor);
    on_wire.members = described.members.iter().map(|one| member(one, image)).collect();
}

fn member(member: &DescribedShareMember, image: &MetadataImage) -> Member {
    let mut on_wire = Member::default();
    on_wire.member_id = text(&member.member_id);
    on_wire.rack_id = member.rack_id.as_deref().map(text);
    on_wire.member_epoch = member.member_epoch;
    on_wire.client_id = text(&member.client_id);
    on_wire.client_host = text(&member.client_host);
    on_wire.subscribed_topic_names = member.subscribed_topic_names.iter().map(|name| TopicName(text(name))).collect();
    let topics = member.assigned.topics().filter_map(|(id, partitions)| {
        let mut topic = TopicPartitions::default();
        topic.topic_id = id.0;
        topic.topic_name = TopicName(text(&image.topic_by_id(id)?.name));
        topic.partitions = partitions.to_vec();
        Some(topic)
    });
    let mut assignment = Assignment::default();
    assignment.topic_partitions = topics.collect();
    on_wire.assignment = assignment;
    on_wire
}
