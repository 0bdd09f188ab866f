//! What every decision about a consumer group is given, and what it gives.

use std::sync::Arc;
use std::time::Duration;

use super::regex::ResolveRegexes;
use super::sessions::{SoftChange, TimerChange};
use super::topics::Topics;
use crate::config::ConsumerMigrationPolicy;
use crate::coordinator::group::assignor::Assignor;
use crate::coordinator::group::records::GroupRecord;
use crate::time::TimestampMs;

/// How groups of the consumer protocol are run: the broker's configuration, with what is set for the one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub session_timeout: Duration,
    pub heartbeat_interval_ms: i32,
    /// The least time between two target assignments: many members that join at once make one.
    pub assignment_interval_ms: i64,
    pub regex_refresh_interval_ms: i64,
    pub max_size: usize,
    /// A larger group does not become a classic one.
    pub classic_max_size: usize,
    /// What members may ask for; the first is taken if none of them asks. Never empty.
    pub assignors: Vec<Assignor>,
    pub migration_policy: ConsumerMigrationPolicy,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval_ms: 5_000,
            assignment_interval_ms: 1_000,
            regex_refresh_interval_ms: 600_000,
            max_size: i32::MAX as usize,
            classic_max_size: i32::MAX as usize,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            migration_policy: ConsumerMigrationPolicy::Bidirectional,
        }
    }
}

impl Settings {
    pub(super) fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }

    /// The assignor of that name, if it is offered.
    pub(super) fn assignor(&self, name: &str) -> Option<Assignor> {
        Assignor::from_name(name).filter(|assignor| self.assignors.contains(assignor))
    }
}

/// What a decision depends on, beside the group and the request.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub now: Duration,
    pub now_ms: TimestampMs,
    pub topics: &'a dyn Topics,
    pub settings: &'a Settings,
}

/// What a decision comes to: the records first, and only if they are written the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    pub records: Vec<GroupRecord>,
    pub soft: Vec<SoftChange>,
    pub timers: Vec<TimerChange>,
    /// Work to be done beside the group.
    pub resolve: Option<ResolveRegexes>,
    pub reply: R,
}

impl<R> Outcome<R> {
    /// Nothing but an answer.
    pub fn reply(reply: R) -> Self {
        Self { records: Vec::new(), soft: Vec::new(), timers: Vec::new(), resolve: None, reply }
    }

    pub fn map<S>(self, reply: impl FnOnce(R) -> S) -> Outcome<S> {
        let Self { records, soft, timers, resolve, reply: before } = self;
        Outcome { records, soft, timers, resolve, reply: reply(before) }
    }
}

/// A client as its requests show it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub id: &'a str,
    /// Its address, as Kafka writes it: `/127.0.0.1`.
    pub host: &'a str,
}

/// The same text as before where it is the same, so that members share it.
pub(super) fn shared(before: &Arc<str>, text: &str) -> Arc<str> {
    if **before == *text { Arc::clone(before) } else { text.into() }
}
