//! The APIs: one table row and one file each.
//!
//! Owns: which versions are served, decoding a request, one call into a service, building the response.
//! Never does: touch a socket; and no service ever sees an API version.
//!
//! A handler is called in the order of the requests of a connection and answers with an [`Outcome`]: at once, later
//! (requests behind it start meanwhile), or later and exclusively (they do not).

#![expect(clippy::needless_pass_by_value, reason = "a handler owns its request, also where it only reads it")]

mod context;
mod groups;
mod leaders;
mod loggers;
mod reply;
mod table;
mod throttle;

mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_share_group_offsets;
mod api_versions;
mod configs;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod push_telemetry;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_request;
mod sync_group;
mod unregister_broker;
mod update_features;

pub use context::{ConnectionContext, ListenerInfo, RequestContext, RequestTimer, Services, Waiting};
pub use fetch::FetchSessionCache;
pub use init_producer_id::ProducerIds;
pub use loggers::{LevelChange, Loggers};
pub use reply::{Outcome, PendingReply, Reply, ResponseBody};
pub use table::{ApiRow, TABLE};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::protocol::header::{HeaderError, RequestPrefix, read_request_header};
use crate::protocol::parts::{MAX_PARTS, has_too_many_parts};
use crate::protocol::wire::ProtoError;
use crate::protocol::wire::protocol::{Decodable, HeaderVersion, StrBytes};

/// What became of a request that was read.
pub enum Started {
    Pending(PendingReply),
    /// Produce with acks=0. The connection is not to be read for so long.
    NoReply {
        mute: Duration,
    },
}

/// Why a request makes the broker close its connection, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the frame is too short for a request header")]
    NoHeader,
    #[error("API key {0} is not served")]
    UnknownApi(i16),
    #[error("{api} version {version} is not served")]
    UnsupportedVersion { api: &'static str, version: i16 },
    #[error("a request of more than {MAX_PARTS} elements and tagged fields")]
    TooManyParts,
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("{api} version {version} does not decode: {source}")]
    Body { api: &'static str, version: i16, source: ProtoError },
    /// The only way to tell a producer with acks=0 that something went wrong.
    #[error("a request without reply failed")]
    FailedWithoutReply,
}

/// Decodes one request and starts it.
pub fn start(connection: &Arc<ConnectionContext>, frame: Bytes) -> Result<(Started, RequestTimer), Refusal> {
    let prefix = RequestPrefix::read(&frame).ok_or(Refusal::NoHeader)?;
    let row = table::row(prefix.api_key).ok_or(Refusal::UnknownApi(prefix.api_key))?;
    let mut times = RequestTimer::received(row, prefix.api_version, frame.len(), connection);
    if !row.versions.contains(&prefix.api_version) {
        if row.key == api_versions::KEY {
            return Ok((Started::Pending(api_versions::reply_to_unsupported_version(prefix.correlation_id)), times));
        }
        return Err(Refusal::UnsupportedVersion { api: row.name, version: prefix.api_version });
    }
    if frame.len() > MAX_PARTS && has_too_many_parts(&frame, row.key, prefix.api_version) {
        return Err(Refusal::TooManyParts);
    }
    let outcome = (row.start)(row, connection, prefix, frame)?;
    times.started(connection);
    match outcome {
        Outcome::Reply(reply) => Ok((Started::Pending(reply), times)),
        Outcome::NoReply { mute } => {
            times.sent(connection);
            Ok((Started::NoReply { mute }, times))
        }
        Outcome::Close => Err(Refusal::FailedWithoutReply),
    }
}

/// The part of a table row that is the same for every API: header, body, handler.
fn decode<R: Decodable + HeaderVersion>(
    row: &'static ApiRow,
    connection: &Arc<ConnectionContext>,
    prefix: RequestPrefix,
    mut frame: Bytes,
    handler: fn(RequestContext, R) -> Outcome,
) -> Result<Outcome, Refusal> {
    let version = prefix.api_version;
    let received = connection.services.quotas.limits_clients().then(|| connection.services.clock.monotonic());
    let frame_bytes = frame.len();
    let client_id = read_request_header(&mut frame, R::header_version(version) >= 2)?;
    // A copy: as a slice it would keep the whole frame for as long as the request waits.
    let client_id = client_id.map(|id| StrBytes::from_string(id.as_str().to_owned()));
    let request =
        R::decode(&mut frame, version).map_err(|source| Refusal::Body { api: row.name, version, source })?;
    let context = RequestContext {
        connection: Arc::clone(connection),
        api: row,
        version,
        correlation_id: prefix.correlation_id,
        client_id,
        frame_bytes,
        received,
    };
    if received.is_none() {
        return Ok(handler(context, request));
    }
    let outcome = handler(context.clone(), request);
    Ok(throttle::settle(&context, R::header_version(version) >= 2, outcome))
}
