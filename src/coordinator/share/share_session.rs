//! Share sessions: which partitions a member of a share group fetches from this broker, kept between its requests.
//!
//! ```text
//!  epoch 0 ──▶ a new session ──▶ 1, 2, 3 ... ──▶ -1: closed, what the member holds is given back
//!                                    └── the connection ends: the same
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexSet;
use parking_lot::Mutex;

use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};

/// Opens a session.
pub const INITIAL_EPOCH: i32 = 0;
/// Closes a session.
pub const FINAL_EPOCH: i32 = -1;
/// Partitions of one session; a client that names more is told that there is no room.
const MAX_SESSION_PARTITIONS: usize = 10_000;

/// A partition as share requests name it.
pub type SharedTopicPartition = (TopicId, PartitionIndex);

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    pub group_id: Arc<str>,
    pub member_id: Arc<str>,
}

#[derive(Debug)]
struct ShareSession {
    /// What the next request has to say.
    next_epoch: i32,
    partitions: IndexSet<SharedTopicPartition>,
    /// Names the connection that the session lives with.
    connection: u64,
}

/// All share sessions of a broker, at most `group.share.max.share.sessions`.
#[derive(Debug)]
pub struct ShareSessions {
    max_sessions: usize,
    sessions: Mutex<HashMap<SessionKey, ShareSession>>,
}

impl ShareSessions {
    pub fn new(max_sessions: usize) -> Self {
        Self { max_sessions, sessions: Mutex::default() }
    }

    /// Opens a session, in place of the one that the member may have had.
    pub fn open(
        &self,
        key: &SessionKey,
        partitions: impl IntoIterator<Item = SharedTopicPartition>,
        connection: u64,
    ) -> Result<Vec<SharedTopicPartition>, ErrorCode> {
        let partitions: IndexSet<_> = partitions.into_iter().collect();
        let mut sessions = self.sessions.lock();
        let has_room = sessions.len() < self.max_sessions || sessions.contains_key(key);
        if !has_room || partitions.len() > MAX_SESSION_PARTITIONS {
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        let fetched = partitions.iter().copied().collect();
        sessions.insert(key.clone(), ShareSession { next_epoch: 1, partitions, connection });
        Ok(fetched)
    }

    /// Goes on with a session, with the partitions added and forgotten; answers what it fetches now. Who is first
    /// changes from one request to the next, so that no partition starves.
    pub fn resume(
        &self,
        key: &SessionKey,
        epoch: i32,
        added: impl IntoIterator<Item = SharedTopicPartition>,
        forgotten: impl IntoIterator<Item = SharedTopicPartition>,
    ) -> Result<Vec<SharedTopicPartition>, ErrorCode> {
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(key).ok_or(ErrorCode::ShareSessionNotFound)?;
        if session.next_epoch != epoch {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        let mut partitions = session.partitions.clone();
        for partition in forgotten {
            partitions.shift_remove(&partition);
        }
        partitions.extend(added);
        if partitions.len() > MAX_SESSION_PARTITIONS {
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        session.partitions = partitions;
        session.next_epoch = next_epoch(epoch);
        let mut fetched: Vec<_> = session.partitions.iter().copied().collect();
        if !fetched.is_empty() {
            let first = epoch.unsigned_abs() as usize % fetched.len();
            fetched.rotate_left(first);
        }
        Ok(fetched)
    }

    /// The session is there, whatever its epoch.
    pub fn check(&self, key: &SessionKey) -> Result<(), ErrorCode> {
        self.sessions.lock().contains_key(key).then_some(()).ok_or(ErrorCode::ShareSessionNotFound)
    }

    /// Closes a session; answers whether there was one.
    pub fn close(&self, key: &SessionKey) -> bool {
        self.sessions.lock().remove(key).is_some()
    }

    /// Closes the sessions that live with a connection; whose they were.
    pub fn close_of(&self, connection: u64) -> Vec<SessionKey> {
        let mut sessions = self.sessions.lock();
        sessions.extract_if(|_, session| session.connection == connection).map(|(key, _)| key).collect()
    }
}

/// The epoch that follows; wraps to 1, since 0 and -1 have a meaning of their own.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(member: &str) -> SessionKey {
        SessionKey { group_id: "g".into(), member_id: member.into() }
    }

    fn partition(index: PartitionIndex) -> SharedTopicPartition {
        (TopicId(Uuid::nil()), index)
    }

    #[test]
    fn epochs_and_room_are_checked() {
        let sessions = ShareSessions::new(1);
        assert_eq!(sessions.resume(&key("a"), 1, [], []), Err(ErrorCode::ShareSessionNotFound));
        assert_eq!(sessions.open(&key("a"), [partition(0)], 7), Ok(vec![partition(0)]));
        assert_eq!(sessions.open(&key("b"), [], 7), Err(ErrorCode::ShareSessionLimitReached));
        assert_eq!(sessions.resume(&key("a"), 2, [], []), Err(ErrorCode::InvalidShareSessionEpoch));
        assert_eq!(sessions.resume(&key("a"), 1, [], []), Ok(vec![partition(0)]));
        assert_eq!(sessions.resume(&key("a"), 1, [], []), Err(ErrorCode::InvalidShareSessionEpoch));
        assert_eq!(sessions.open(&key("a"), [], 8), Ok(vec![]), "its own place");
        assert_eq!(sessions.close_of(7), [], "it has moved");
        assert_eq!(sessions.close_of(8), [key("a")]);
        assert!(!sessions.close(&key("a")));
    }

    #[test]
    fn partitions_come_go_and_take_turns() {
        let sessions = ShareSessions::new(1);
        sessions.open(&key("a"), [partition(0), partition(1), partition(2)], 7).unwrap();
        let first: Vec<_> = (1..=3).map(|epoch| sessions.resume(&key("a"), epoch, [], []).unwrap()[0].1).collect();
        assert_eq!(first, [1, 2, 0]);
        let mut left = sessions.resume(&key("a"), 4, [partition(9)], [partition(1), partition(2)]).unwrap();
        left.sort_unstable();
        assert_eq!(left, [partition(0), partition(9)]);
        assert_eq!(next_epoch(i32::MAX), 1);
    }
}
