//! Why a coordinator does not answer, and what clients are told then.

use crate::error::ErrorCode;
use crate::replication::PartitionError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    #[error("this broker does not coordinate it")]
    NotCoordinator,
    #[error("the coordinator reads its state")]
    Loading,
    #[error("what the coordinator wrote is not committed")]
    NotCommitted,
    #[error("the coordinator cannot write: {0:?}")]
    NotWritten(ErrorCode),
    /// The log has a part of what was decided: the state is read from it again.
    #[error("the coordinator has written in part: {0:?}")]
    WrittenInPart(ErrorCode),
}

impl CoordinatorError {
    /// Kafka's translation: clients look for the coordinator again, or try again, as the case may be.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NotCoordinator => ErrorCode::NotCoordinator,
            Self::Loading => ErrorCode::CoordinatorLoadInProgress,
            Self::NotCommitted => ErrorCode::CoordinatorNotAvailable,
            Self::NotWritten(cause) | Self::WrittenInPart(cause) => match cause {
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::NotEnoughReplicas
                | ErrorCode::NotEnoughReplicasAfterAppend
                | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
                ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
                ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
                other => other,
            },
        }
    }
}

impl From<PartitionError> for CoordinatorError {
    fn from(error: PartitionError) -> Self {
        Self::NotWritten(error.code())
    }
}
