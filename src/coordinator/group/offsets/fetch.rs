//! Fetching committed offsets.

use super::{CommittedOffset, CommittingGroup, Offsets};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::messages::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use crate::protocol::wire::messages::TopicName as WireTopicName;
use crate::protocol::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use crate::protocol::wire::protocol::StrBytes;

/// What is said of a partition that nothing is committed for.
pub fn nothing_committed(partition: PartitionIndex) -> OffsetFetchResponsePartitions {
    let mut answer = OffsetFetchResponsePartitions::default();
    answer.partition_index = partition;
    answer.committed_offset = -1;
    answer.committed_leader_epoch = -1;
    answer.metadata = Some(StrBytes::default());
    answer
}

impl Offsets {
    /// The offsets that a request asks for, or all. Topics that are asked for carry both name and id, where it is
    /// known.
    ///
    /// With `require_stable` a partition that an open transaction is about to commit an offset for has the error
    /// UNSTABLE_OFFSET_COMMIT (KIP-447). A group that does not exist has committed nothing.
    pub fn fetch(
        &self,
        group: Option<&dyn CommittingGroup>,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> Result<OffsetFetchResponseGroup, ErrorCode> {
        let checked = group
            .map_or(Ok(()), |group| group.check_fetch(request.base.member_id.as_deref(), request.base.member_epoch));
        let exists = match checked {
            Ok(()) => true,
            Err(ErrorCode::GroupIdNotFound) => false,
            Err(error) => return Err(error),
        };
        let fetch = Fetch { offsets: self, group_id: &request.base.group_id, exists, require_stable };
        let mut answer = OffsetFetchResponseGroup::default();
        answer.group_id = request.base.group_id.clone();
        answer.topics = match &request.topics {
            Some(topics) => topics.iter().map(|topic| fetch.topic(topic)).collect(),
            None => fetch.all(),
        };
        Ok(answer)
    }
}

struct Fetch<'a> {
    offsets: &'a Offsets,
    group_id: &'a str,
    exists: bool,
    require_stable: bool,
}

impl Fetch<'_> {
    fn topic(&self, asked: &OffsetFetchRequestTopic) -> OffsetFetchResponseTopics {
        let topic_id = TopicId(asked.topic_id);
        let mut answer = OffsetFetchResponseTopics::default();
        answer.name = asked.base.name.clone();
        answer.topic_id = asked.topic_id;
        let partitions = asked.base.partition_indexes.iter().map(|&partition| {
            let committed = self.offsets.get(self.group_id, &asked.base.name, partition);
            let committed = committed.filter(|offset| self.exists && is_of_topic(offset, topic_id));
            self.partition(&asked.base.name, partition, committed)
        });
        answer.partitions = partitions.collect();
        answer
    }

    fn all(&self) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        let committed = self.offsets.of_group(self.group_id).filter(|_| self.exists);
        for (topic, partition, offset) in committed.into_iter().flat_map(super::GroupOffsets::iter) {
            let answer = self.partition(topic, partition, Some(offset));
            match topics.last_mut() {
                Some(last) if *last.name.0 == **topic => last.partitions.push(answer),
                _ => {
                    let mut first = OffsetFetchResponseTopics::default();
                    first.name = WireTopicName(StrBytes::from_string(topic.to_string()));
                    first.partitions.push(answer);
                    topics.push(first);
                }
            }
        }
        topics
    }

    fn partition(
        &self,
        topic: &str,
        partition: PartitionIndex,
        committed: Option<&CommittedOffset>,
    ) -> OffsetFetchResponsePartitions {
        let mut answer = nothing_committed(partition);
        if self.require_stable && self.offsets.is_unstable(self.group_id, topic, partition) {
            answer.error_code = ErrorCode::UnstableOffsetCommit.code();
        } else if let Some(committed) = committed {
            answer.committed_offset = committed.offset;
            answer.committed_leader_epoch = committed.leader_epoch;
            answer.metadata = Some(StrBytes::from_string(committed.metadata.to_string()));
        }
        answer
    }
}

/// Whether the offset was committed for this topic, and not for one of the same name that is deleted since. Where one of
/// the ids is unknown, the name decides.
fn is_of_topic(offset: &CommittedOffset, topic_id: TopicId) -> bool {
    let unknown = TopicId::default();
    offset.topic_id == unknown || topic_id == unknown || offset.topic_id == topic_id
}
