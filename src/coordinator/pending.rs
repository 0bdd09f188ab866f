//! An answer on its way: decided, or yet to be, and not to be told before it is committed.

use std::time::Duration;

use tokio::sync::oneshot;

use super::error::CoordinatorError;
use crate::replication::HighWatermarkWait;

/// An answer, and the commit that it waits for.
#[derive(Debug)]
pub(super) struct Answer<R> {
    pub(super) reply: R,
    pub(super) committed: HighWatermarkWait,
}

/// What a request of a coordinator gets.
#[derive(Debug)]
pub struct Pending<R> {
    state: State<R>,
    commit_timeout: Duration,
}

#[derive(Debug)]
enum State<R> {
    Decided(Answer<R>),
    /// A later decision answers; the coordinator may be lost before.
    Waiting(oneshot::Receiver<Answer<R>>),
}

impl<R> Pending<R> {
    pub(super) fn decided(answer: Answer<R>, commit_timeout: Duration) -> Self {
        Self { state: State::Decided(answer), commit_timeout }
    }

    pub(super) fn waiting(receiver: oneshot::Receiver<Answer<R>>, commit_timeout: Duration) -> Self {
        Self { state: State::Waiting(receiver), commit_timeout }
    }

    /// The answer, once everything that it may tell of is committed.
    pub async fn done(self) -> Result<R, CoordinatorError> {
        let answer = match self.state {
            State::Decided(answer) => answer,
            State::Waiting(receiver) => receiver.await.map_err(|_| CoordinatorError::NotCoordinator)?,
        };
        if answer.committed.is_reached() {
            return Ok(answer.reply);
        }
        match tokio::time::timeout(self.commit_timeout, answer.committed.done()).await {
            Ok(Ok(())) => Ok(answer.reply),
            Ok(Err(code)) => Err(CoordinatorError::NotWritten(code)),
            Err(_elapsed) => Err(CoordinatorError::NotCommitted),
        }
    }
}
