//! Why a group refuses a request.

use crate::error::ErrorCode;

/// What is wrong with a request, in words for the client where its API carries them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    UnsupportedAssignor(String),
    #[error("{0}")]
    InvalidRegularExpression(String),
    #[error("the group has its maximum of {0} members")]
    GroupMaxSizeReached(usize),
    #[error("{0}")]
    GroupIdNotFound(String),
    #[error("{0}")]
    UnknownMemberId(String),
    #[error("{0}")]
    FencedMemberEpoch(String),
    #[error("{0}")]
    StaleMemberEpoch(String),
    #[error("instance id {instance_id} is held by member {holder}")]
    UnreleasedInstanceId { instance_id: String, holder: String },
    #[error("instance id {instance_id} now belongs to member {holder}")]
    FencedInstanceId { instance_id: String, holder: String },
    #[error("{0}")]
    InconsistentGroupProtocol(String),
    #[error("{0}")]
    IllegalGeneration(String),
    #[error("{0}")]
    UnsupportedVersion(String),
    #[error("the group rebalances and the member has to join again")]
    RebalanceInProgress,
}

impl GroupError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Self::UnsupportedAssignor(_) => ErrorCode::UnsupportedAssignor,
            Self::InvalidRegularExpression(_) => ErrorCode::InvalidRegularExpression,
            Self::GroupMaxSizeReached(_) => ErrorCode::GroupMaxSizeReached,
            Self::GroupIdNotFound(_) => ErrorCode::GroupIdNotFound,
            Self::UnknownMemberId(_) => ErrorCode::UnknownMemberId,
            Self::FencedMemberEpoch(_) => ErrorCode::FencedMemberEpoch,
            Self::StaleMemberEpoch(_) => ErrorCode::StaleMemberEpoch,
            Self::UnreleasedInstanceId { .. } => ErrorCode::UnreleasedInstanceId,
            Self::FencedInstanceId { .. } => ErrorCode::FencedInstanceId,
            Self::InconsistentGroupProtocol(_) => ErrorCode::InconsistentGroupProtocol,
            Self::IllegalGeneration(_) => ErrorCode::IllegalGeneration,
            Self::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        }
    }
}
