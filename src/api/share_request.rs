//! What ShareFetch and ShareAcknowledge have in common: whose request it is, and the acknowledgements that it brings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::RequestContext;
use crate::coordinator::share::share_partition::{AckType, AcknowledgeError, Acknowledgement, Span};
use crate::coordinator::share::{Acknowledging, FINAL_EPOCH, SessionKey, SharePartitions, SharedTopicPartition};
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::protocol::share_fetch_response::ShareError;
use crate::protocol::wire::protocol::StrBytes;

/// The text form of a UUID; what clients make is as long.
const MAX_MEMBER_ID_BYTES: usize = 36;

/// The share sessions that live with a connection. When it is gone, what their members hold is given back.
#[derive(Debug)]
pub(super) struct ConnectionShareSessions {
    shares: Arc<SharePartitions>,
    connection: u64,
    has_opened: AtomicBool,
}

impl ConnectionShareSessions {
    pub(super) fn new(shares: &Arc<SharePartitions>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let connection = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { shares: Arc::clone(shares), connection, has_opened: AtomicBool::new(false) }
    }

    /// Opens a session that lives with this connection.
    pub(super) fn open(
        &self,
        key: &SessionKey,
        partitions: Vec<SharedTopicPartition>,
    ) -> Result<Vec<SharedTopicPartition>, ErrorCode> {
        self.has_opened.store(true, Ordering::Relaxed);
        self.shares.sessions.open(key, partitions, self.connection)
    }
}

impl Drop for ConnectionShareSessions {
    fn drop(&mut self) {
        if *self.has_opened.get_mut() {
            self.shares.connection_closed(self.connection);
        }
    }
}

/// Whose session a request speaks of.
pub(super) fn session_key(group_id: Option<&str>, member_id: Option<&StrBytes>) -> Result<SessionKey, ShareError> {
    let member_id = member_id.map_or("", |id| id.as_str());
    if member_id.is_empty() || member_id.len() > MAX_MEMBER_ID_BYTES {
        return Err(ShareError::new(ErrorCode::InvalidRequest, "Member ID is invalid."));
    }
    Ok(SessionKey { group_id: group_id.unwrap_or_default().into(), member_id: member_id.into() })
}

/// One batch of acknowledgements as it comes: first offset, last offset, types.
pub(super) type RawAcknowledgement = (i64, i64, Vec<i8>);

/// The acknowledgements of one partition, checked for what makes no sense whatever the state.
pub(super) fn parse(
    batches: Vec<RawAcknowledgement>,
    allows_renew: bool,
) -> Result<Vec<Acknowledgement>, ShareError> {
    let invalid = |text: String| Err(ShareError::new(ErrorCode::InvalidRequest, text));
    let mut parsed: Vec<Acknowledgement> = Vec::with_capacity(batches.len());
    let mut behind = Offset(i64::MIN);
    for (first, last, types) in batches {
        if first < 0 || first > last {
            return invalid(format!("Invalid acknowledge range: {first} to {last}"));
        }
        if Offset(first) < behind {
            return invalid(format!("Acknowledge batches are not in order at offset {first}"));
        }
        if Offset(first) == behind {
            // Kafka takes the first word on the record, after which it is acquired no more.
            return Err(ShareError::new(ErrorCode::InvalidRecordState, AcknowledgeError::NotAcquired.to_string()));
        }
        if types.is_empty() {
            return invalid("No acknowledge types".to_owned());
        }
        let span = Span::new(Offset(first), Offset(last));
        if types.len() > 1 && types.len() as i64 != span.count() {
            return invalid(format!("{} acknowledge types for {} offsets", types.len(), span.count()));
        }
        behind = span.last;
        let mut known = Vec::with_capacity(types.len());
        for id in types {
            match AckType::from_id(id) {
                Some(AckType::Renew) if !allows_renew => return invalid(format!("Invalid acknowledge type: {id}")),
                Some(ack) => known.push(ack),
                None => return invalid(format!("Invalid acknowledge type: {id}")),
            }
        }
        parsed.push(Acknowledgement { span, types: known });
    }
    Ok(parsed)
}

/// Acknowledgements by partition, as a request brings them.
pub(super) type Acknowledgements = Vec<(SharedTopicPartition, Vec<RawAcknowledgement>)>;

/// Acknowledgements on their way, by partition.
pub(super) type UnderWay = Vec<(SharedTopicPartition, Acknowledging)>;

/// Takes the acknowledgements of a request; with its last epoch, the session is closed too and what is still held is given
/// back.
pub(super) fn acknowledge(
    cx: &RequestContext,
    session: &SessionKey,
    epoch: i32,
    acknowledgements: Acknowledgements,
    allows_renew: bool,
) -> UnderWay {
    let shares = &cx.services().shares;
    let mut under_way: UnderWay = Vec::new();
    for (partition, batches) in acknowledgements {
        let taken = match parse(batches, allows_renew) {
            Err(error) => Acknowledging::Done(Err(error)),
            Ok(parsed) => match shares.in_use(&session.group_id, partition) {
                Some(led) => shares.acknowledge(&led, &session.member_id, &parsed),
                None => Acknowledging::Done(Err(not_in_use(shares, partition).into())),
            },
        };
        under_way.push((partition, taken));
    }
    if epoch == FINAL_EPOCH {
        shares.sessions.close(session);
        under_way.extend(shares.release(session));
    }
    under_way
}

/// Why there is nothing of a partition that could be acknowledged.
fn not_in_use(shares: &SharePartitions, partition: SharedTopicPartition) -> ErrorCode {
    match shares.replica(partition) {
        Ok(replica) if replica.is_leader() => ErrorCode::UnknownTopicOrPartition,
        Ok(_) => ErrorCode::NotLeaderOrFollower,
        Err(code) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_whatever_the_state() {
        let refused = |batches: &[(i64, i64, &[i8])], renew| {
            let batches = batches.iter().map(|&(first, last, types)| (first, last, types.to_vec())).collect();
            parse(batches, renew).err().map(|error| error.code)
        };
        let invalid = Some(ErrorCode::InvalidRequest);
        assert_eq!(refused(&[(0, 9, &[1]), (10, 11, &[2, 3])], false), None);
        assert_eq!(refused(&[(5, 4, &[1])], false), invalid);
        assert_eq!(refused(&[(-1, 4, &[1])], false), invalid);
        assert_eq!(refused(&[(0, 4, &[])], false), invalid);
        assert_eq!(refused(&[(0, 4, &[1, 1])], false), invalid);
        assert_eq!(refused(&[(0, 4, &[1]), (3, 5, &[1])], false), invalid);
        assert_eq!(refused(&[(0, 4, &[1]), (4, 5, &[1])], false), Some(ErrorCode::InvalidRecordState));
        assert_eq!(refused(&[(0, 4, &[5])], true), invalid);
        assert_eq!(refused(&[(0, 4, &[-1])], true), invalid);
        assert_eq!(refused(&[(0, 4, &[4])], false), invalid);
        assert_eq!(refused(&[(0, i64::MAX, &[4])], true), None);
    }
}
