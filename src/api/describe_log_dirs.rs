//! DescribeLogDirs (key 35), versions 1-5: what lies in which directory, and how much room is left (KIP-113).
//!
//! - 2: flexible
//! - 3: a top-level error
//! - 4: total and usable bytes of the volume (KIP-827)
//! - 5: whether a directory is cordoned (KIP-1066); none is here

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicName, TopicPartition};
use crate::log::log_manager::DirectoryStatus;
use crate::protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult};
use crate::protocol::wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult as ResultBase, DescribeLogDirsTopic,
};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DescribeLogDirsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move {
        // Asks the file systems for their free space.
        let describing = tokio::task::spawn_blocking(move || describe(&reply_context, &request));
        describing.await.unwrap_or_default()
    })
}

/// Which partitions the client asks for; none: all.
type Asked = Option<HashMap<String, HashSet<PartitionIndex>>>;

fn describe(cx: &RequestContext, request: &DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked: Asked = request.topics.as_ref().map(|topics| {
        let mut by_topic: HashMap<_, HashSet<_>> = HashMap::new();
        for topic in topics {
            by_topic.entry(topic.topic.to_string()).or_default().extend(&topic.partitions);
        }
        by_topic
    });
    let mut partitions = partitions_by_directory(cx, &asked);
    let results = cx.services().logs.directories().into_iter().map(|directory| {
        let topics = partitions.remove(&directory.path).unwrap_or_default();
        directory_result(cx, &directory, topics)
    });
    let results = results.collect();
    DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
}

type Topics = BTreeMap<TopicName, Vec<DescribeLogDirsPartition>>;

fn partitions_by_directory(cx: &RequestContext, asked: &Asked) -> HashMap<PathBuf, Topics> {
    let mut directories: HashMap<PathBuf, Topics> = HashMap::new();
    for topic in cx.services().replicas.topics() {
        let wanted = match asked {
            None => None,
            Some(asked) => match asked.get(&*topic.name) {
                Some(partitions) => Some(partitions),
                None => continue,
            },
        };
        for replica in topic.replicas() {
            if wanted.is_some_and(|wanted| !wanted.contains(&replica.id.partition)) {
                continue;
            }
            let log = replica.log();
            let folder = log.directory().path();
            let directory = folder.parent().unwrap_or(Path::new("")).to_path_buf();
            let mut on_wire = DescribeLogDirsPartition::default();
            on_wire.partition_index = replica.id.partition;
            on_wire.partition_size = log.size_bytes() as i64;
            on_wire.offset_lag = (log.high_watermark() - log.log_end_offset()).max(0);
            directories.entry(directory).or_default().entry(topic.name.clone()).or_default().push(on_wire);
        }
    }
    for (future, directory) in cx.services().logs.futures() {
        let TopicPartition { topic, partition } = future.topic_partition();
        let is_asked = asked
            .as_ref()
            .is_none_or(|asked| asked.get(&**topic).is_some_and(|partitions| partitions.contains(partition)));
        if let (true, Some(log)) = (is_asked, cx.services().logs.get(future.topic_partition())) {
            let mut on_wire = DescribeLogDirsPartition::default();
            on_wire.partition_index = *partition;
            on_wire.partition_size = future.size_bytes() as i64;
            on_wire.offset_lag = (log.log_end_offset() - future.log_end_offset()).max(0);
            on_wire.is_future_key = true;
            directories.entry(directory).or_default().entry(topic.clone()).or_default().push(on_wire);
        }
    }
    directories
}

fn directory_result(cx: &RequestContext, directory: &DirectoryStatus, topics: Topics) -> DescribeLogDirsResult {
    let mut base = ResultBase::default();
    base.log_dir = StrBytes::from_string(crate::io::absolute(&directory.path).display().to_string());
    if directory.failure.is_some() {
        cx.count_error(ErrorCode::KafkaStorageError);
        base.error_code = ErrorCode::KafkaStorageError.code();
        return base.into();
    }
    base.topics = topics
        .into_iter()
        .map(|(name, partitions)| {
            let mut topic = DescribeLogDirsTopic::default();
            topic.name = StrBytes::from_string(name.to_string()).into();
            topic.partitions = partitions;
            topic
        })
        .collect();
    if let Some(space) = directory.space {
        base.total_bytes = space.total_bytes as i64;
        base.usable_bytes = space.usable_bytes as i64;
    }
    base.into()
}
