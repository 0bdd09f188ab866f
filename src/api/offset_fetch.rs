//! OffsetFetch (key 9), versions 1-10: how far groups have read.
//!
//! - 2: all topics; errors of the group at the top, no longer with each partition
//! - 3: the throttle time
//! - 5: the leader epoch (KIP-320)
//! - 6: flexible
//! - 7: only offsets that no open transaction is about to change (KIP-447)
//! - 8: several groups at once (KIP-709)
//! - 9: member id and epoch (KIP-848)
//! - 10: topic ids in the place of names (KIP-848)
//!
//! A group, a topic or a partition that is asked for twice is answered once: an answer may be a thousand times longer
//! than its question.

mod answer;

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{Outcome, RequestContext};
use crate::coordinator::{CoordinatorError, Pending};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::metadata::MetadataImage;
use crate::protocol::messages::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use crate::protocol::wire::messages::offset_fetch_response::{OffsetFetchResponseGroup, OffsetFetchResponseTopics};
use crate::protocol::wire::messages::{GroupId, TopicName};
use crate::protocol::wire::protocol::StrBytes;

const SEVERAL_GROUPS_SINCE: i16 = 8;
const TOPIC_IDS_SINCE: i16 = 10;

pub(super) fn handle(cx: RequestContext, request: OffsetFetchRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let require_stable = request.base.require_stable;
    let fetches: Vec<_> = groups_of(cx.version, request)
        .into_iter()
        .map(|group| {
            let (group, unknown) = resolve(cx.version, &image, group);
            let fetching = cx.services().groups.fetch_offsets(&group, require_stable);
            Fetch { group, unknown, fetching }
        })
        .collect();
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let mut answers = Vec::with_capacity(fetches.len());
        for fetch in fetches {
            answers.push(fetch.done(&reply_context, &image).await);
        }
        answer::in_version(reply_context.version, answers)
    })
}

/// One group's offsets on their way.
struct Fetch {
    group: OffsetFetchRequestGroup,
    /// Topics whose ids are not known.
    unknown: Vec<OffsetFetchResponseTopics>,
    fetching: Result<Pending<Result<OffsetFetchResponseGroup, ErrorCode>>, CoordinatorError>,
}

impl Fetch {
    async fn done(self, cx: &RequestContext, image: &MetadataImage) -> OffsetFetchResponseGroup {
        let fetched = match self.fetching {
            Ok(fetching) => fetching.done().await.unwrap_or_else(|error| Err(code_of(error))),
            Err(error) => Err(code_of(error)),
        };
        match fetched {
            Ok(mut answer) => {
                if cx.version >= TOPIC_IDS_SINCE {
                    // Who knows ids only can't be told of a topic that is gone.
                    answer.topics.retain_mut(|topic| {
                        if topic.topic_id.is_nil() {
                            topic.topic_id = image.topic(&topic.name).map_or(uuid::Uuid::nil(), |known| known.id.0);
                        }
                        !topic.topic_id.is_nil()
                    });
                }
                self.unknown.iter().for_each(|_| cx.count_error(ErrorCode::UnknownTopicId));
                answer.topics.extend(self.unknown);
                answer
            }
            Err(error) => {
                cx.count_error(error);
                answer::refusal(&self.group, error)
            }
        }
    }
}

/// Old consumers take COORDINATOR_NOT_AVAILABLE for fatal here; looking for the coordinator again, all of them can.
fn code_of(error: CoordinatorError) -> ErrorCode {
    match error.code() {
        ErrorCode::CoordinatorNotAvailable => ErrorCode::NotCoordinator,
        code => code,
    }
}

/// The groups that are asked for, each once.
fn groups_of(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchRequestGroup> {
    if version >= SEVERAL_GROUPS_SINCE {
        let mut groups: IndexMap<GroupId, OffsetFetchRequestGroup> = IndexMap::new();
        for group in request.groups {
            groups.entry(group.base.group_id.clone()).or_insert(group);
        }
        return groups.into_values().collect();
    }
    let mut group = OffsetFetchRequestGroup::default();
    group.base.group_id = request.base.group_id;
    group.base.member_epoch = -1;
    group.topics = request.base.topics.map(|topics| {
        let topics = topics.into_iter().map(|asked| {
            let mut topic = OffsetFetchRequestTopic::default();
            topic.base.name = asked.name;
            topic.base.partition_indexes = asked.partition_indexes;
            topic
        });
        topics.collect()
    });
    vec![group]
}

/// Gives each topic name and id, and takes out those that are named by an id that is not known. Each topic and each
/// partition once.
fn resolve(
    version: i16,
    image: &MetadataImage,
    mut group: OffsetFetchRequestGroup,
) -> (OffsetFetchRequestGroup, Vec<OffsetFetchResponseTopics>) {
    let Some(topics) = group.topics.take() else { return (group, Vec::new()) };
    let mut known: IndexMap<TopicName, OffsetFetchRequestTopic> = IndexMap::new();
    let mut unknown = Vec::new();
    for mut topic in topics {
        if version >= TOPIC_IDS_SINCE {
            let Some(found) = image.topic_by_id(TopicId(topic.topic_id)) else {
                unknown.push(answer::unknown_topic(&topic));
                continue;
            };
            topic.base.name = TopicName(StrBytes::from_string(found.name.to_string()));
        } else {
            topic.topic_id = image.topic(&topic.base.name).map_or(uuid::Uuid::nil(), |found| found.id.0);
        }
        let partitions = std::mem::take(&mut topic.base.partition_indexes);
        let once = known.entry(topic.base.name.clone()).or_insert(topic);
        once.base.partition_indexes.extend(partitions);
    }
    for topic in known.values_mut() {
        let mut seen = BTreeSet::new();
        topic.base.partition_indexes.retain(|&partition| seen.insert(partition));
    }
    group.topics = Some(known.into_values().collect());
    (group, unknown)
}
