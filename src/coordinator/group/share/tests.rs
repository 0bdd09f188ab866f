use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::coordinator::Now;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::consumer::Topics;
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicId, TopicName};

/// Topics that a test makes up.
#[derive(Default)]
struct Cluster {
    topics: BTreeMap<TopicName, (TopicId, PartitionIndex)>,
    version: i64,
}

impl Topics for Cluster {
    fn id(&self, name: &str) -> Option<TopicId> {
        self.topics.get(name).map(|(id, _)| *id)
    }

    fn name(&self, id: TopicId) -> Option<TopicName> {
        self.topics.iter().find(|(_, (known, _))| *known == id).map(|(name, _)| Arc::clone(name))
    }

    fn partition_count(&self, id: TopicId) -> Option<PartitionIndex> {
        self.topics.values().find(|(known, _)| *known == id).map(|(_, count)| *count)
    }

    fn hash(&self, name: &str) -> Option<i64> {
        self.topics.get(name).map(|(id, count)| id.0.as_u128() as i64 * 1000 + i64::from(*count))
    }

    fn names(&self) -> Box<dyn Iterator<Item = &TopicName> + '_> {
        Box::new(self.topics.keys())
    }

    fn version(&self) -> i64 {
        self.version
    }
}

fn id(topic: u8) -> TopicId {
    TopicId(Uuid::from_u128(u128::from(topic)))
}

struct World {
    group: ShareGroup,
    cluster: Cluster,
    settings: ShareSettings,
    seconds: u64,
    log: Vec<GroupRecord>,
}

impl World {
    /// Topics `a` (id 1) and `b` (id 2) of two partitions each.
    fn new() -> Self {
        let mut world = Self {
            group: ShareGroup::new("group".into()),
            cluster: Cluster::default(),
            settings: ShareSettings { max_size: 3, assignment_interval_ms: 0, ..ShareSettings::default() },
            seconds: 1000,
            log: Vec::new(),
        };
        world.set_topic("a", 1, 2);
        world.set_topic("b", 2, 2);
        world
    }

    fn set_topic(&mut self, name: &str, topic: u8, partitions: PartitionIndex) {
        self.cluster.topics.insert(name.into(), (id(topic), partitions));
        self.cluster.version += 1;
    }

    fn context(&self) -> ShareContext<'_> {
        let now = Now { monotonic: Duration::from_secs(self.seconds), wall_ms: self.seconds as i64 * 1000 };
        ShareContext { now, topics: &self.cluster, settings: &self.settings }
    }

    fn take<R>(&mut self, outcome: ShareOutcome<R>) -> R {
        for record in outcome.records {
            self.group.apply(&record);
            self.log.push(record);
        }
        outcome.soft.into_iter().for_each(|change| self.group.apply_soft(change));
        outcome.reply
    }

    fn heartbeat(
        &mut self,
        member: &str,
        epoch: i32,
        topics: Option<&[&str]>,
    ) -> Result<ShareHeartbeatReply, ErrorCode> {
        let heartbeat = ShareHeartbeat {
            member_id: member,
            member_epoch: epoch,
            rack_id: None,
            client_id: "client",
            client_host: "/127.0.0.1",
            subscribed_topic_names: topics.map(<[&str]>::to_vec),
        };
        heartbeat.check("group").map_err(|error| error.code())?;
        let outcome = self.group.heartbeat(&self.context(), &heartbeat).map_err(|error| error.code())?;
        Ok(self.take(outcome))
    }

    /// Joins, and has what is to be initialized initialized: the assignment comes with the next heartbeat.
    fn join(&mut self, member: &str, topics: &[&str]) -> ShareHeartbeatReply {
        let joined = self.heartbeat(member, 0, Some(topics)).expect("joins");
        if joined.initialize.is_empty() {
            return joined;
        }
        let outcome = self.group.initialized_now(&joined.initialize);
        self.take(outcome);
        self.heartbeat(member, joined.member_epoch, None).expect("is a member")
    }

    /// What the log tells, as a new coordinator would read it.
    fn replayed(&self) -> ShareGroup {
        let mut group = ShareGroup::new("group".into());
        self.log.iter().for_each(|record| group.apply(record));
        group
    }
}

fn partitions(assignment: &Assignment) -> Vec<(TopicId, PartitionIndex)> {
    assignment.iter().collect()
}

#[test]
fn partitions_are_initialized_before_they_are_assigned() {
    let mut world = World::new();
    let joined = world.heartbeat("m1", 0, Some(&["a"])).unwrap();
    assert_eq!(joined.assignment.as_deref(), Some(&Assignment::new()));
    assert_eq!(joined.initialize, BTreeMap::from([(id(1), ("a".into(), BTreeSet::from([0, 1])))]));
    assert_eq!(joined.state_epoch, world.group.group_epoch());
    let again = world.heartbeat("m1", joined.member_epoch, None).unwrap();
    assert!(again.initialize.is_empty(), "it is under way");
    assert_eq!((again.member_epoch, again.assignment), (joined.member_epoch, None));

    let outcome = world.group.initialized_now(&joined.initialize);
    world.take(outcome);
    let assigned = world.heartbeat("m1", joined.member_epoch, None).unwrap();
    assert_eq!(assigned.member_epoch, joined.member_epoch + 1);
    assert_eq!(partitions(&assigned.assignment.unwrap()), [(id(1), 0), (id(1), 1)]);
    let quiet = world.log.len();
    let next = world.heartbeat("m1", assigned.member_epoch, None).unwrap();
    assert_eq!((next.assignment, world.log.len()), (None, quiet), "nothing new is written");
}

#[test]
fn an_initialisation_that_was_not_heard_of_is_tried_again() {
    let mut world = World::new();
    let joined = world.heartbeat("m1", 0, Some(&["a"])).unwrap();
    world.seconds += 31;
    let again = world.heartbeat("m1", joined.member_epoch, None).unwrap();
    assert_eq!(again.initialize, joined.initialize);
    let mut reloaded = World { group: world.replayed(), ..world };
    let again = reloaded.heartbeat("m1", joined.member_epoch, None).unwrap();
    assert_eq!(again.initialize, joined.initialize, "a new coordinator does not know whether it was done");
}

#[test]
fn members_share_what_there_is() {
    let mut world = World::new();
    let first = world.join("m1", &["a"]);
    assert_eq!(first.assignment.as_ref().map(|all| all.len()), Some(2));
    let second = world.join("m2", &["a"]);
    assert_eq!(second.assignment.map(|all| all.len()), Some(1));
    let first = world.heartbeat("m1", first.member_epoch, None).unwrap();
    assert_eq!(first.assignment.map(|all| all.len()), Some(1));
    world.join("m3", &["a"]);
    let shared: usize = world.group.members().map(|member| world.group.target[&member.member_id].len()).sum();
    assert_eq!(shared, 4, "two members each");
    assert_eq!(world.heartbeat("m4", 0, Some(&["a"])), Err(ErrorCode::GroupMaxSizeReached));
}

#[test]
fn assignments_keep_their_distance() {
    let mut world = World::new();
    world.settings.assignment_interval_ms = 2_000;
    let first = world.join("m1", &["a"]);
    assert_eq!(first.assignment.map(|all| all.len()), Some(2), "the first takes nothing from anybody");
    let second = world.heartbeat("m2", 0, Some(&["a"])).unwrap();
    assert_eq!((second.member_epoch, second.assignment.map(|all| all.len())), (first.member_epoch, Some(0)));
    let narrowed = world.heartbeat("m1", first.member_epoch, Some(&["b"])).unwrap();
    assert_eq!(narrowed.assignment.map(|all| all.len()), Some(0), "what it wants no more it loses at once");
    world.seconds += 2;
    let second = world.heartbeat("m2", second.member_epoch, None).unwrap();
    assert_eq!(second.assignment.map(|all| all.len()), Some(2));
}

#[test]
fn epochs_are_checked() {
    let mut world = World::new();
    let joined = world.join("m1", &["a"]);
    let epoch = joined.member_epoch;
    assert!(world.heartbeat("m1", epoch - 1, None).is_ok(), "the last reply may have been lost");
    assert_eq!(world.heartbeat("m1", epoch + 1, None), Err(ErrorCode::FencedMemberEpoch));
    assert_eq!(world.heartbeat("m2", 1, None), Err(ErrorCode::UnknownMemberId));
    assert_eq!(world.heartbeat("m2", -1, None), Err(ErrorCode::UnknownMemberId));
    let rejoined = world.heartbeat("m1", 0, Some(&["a"])).unwrap();
    assert_eq!((rejoined.member_epoch, rejoined.assignment.is_some()), (epoch, true));
    world.join("m3", &["a"]);
    world.heartbeat("m1", epoch, None).unwrap();
    assert_eq!(world.heartbeat("m1", epoch - 1, None), Err(ErrorCode::FencedMemberEpoch));
}

#[test]
fn bad_requests_are_refused() {
    let mut world = World::new();
    let invalid = Err(ErrorCode::InvalidRequest);
    assert_eq!(world.heartbeat("", 0, Some(&["a"])), invalid);
    assert_eq!(world.heartbeat("m1", 0, None), invalid);
    assert_eq!(world.heartbeat("m1", 0, Some(&[])), invalid);
    assert_eq!(world.heartbeat("m1", -2, Some(&["a"])), invalid);
    assert!(world.log.is_empty());
}

#[test]
fn those_who_leave_make_room() {
    let mut world = World::new();
    let first = world.join("m1", &["a"]);
    world.join("m2", &["a"]);
    assert_eq!(world.heartbeat("m2", -1, None).unwrap().member_epoch, -1);
    assert_eq!(world.group.members().len(), 1);
    let first = world.heartbeat("m1", first.member_epoch, None).unwrap();
    assert!(first.assignment.is_none_or(|all| all.len() == 2));
    world.heartbeat("m1", -1, None).unwrap();
    assert_eq!(world.group.state(), ShareGroupState::Empty);
}

#[test]
fn silent_members_are_given_up() {
    let mut world = World::new();
    let joined = world.join("m1", &["a"]);
    world.seconds += 40;
    world.heartbeat("m1", joined.member_epoch, None).unwrap();
    world.seconds += 10;
    let outcome = world.group.on_session_timer(Duration::from_secs(world.seconds), "m1");
    assert_eq!(outcome.timers.len(), 1, "it was heard of since");
    world.take(outcome);
    world.seconds += 40;
    let outcome = world.group.on_session_timer(Duration::from_secs(world.seconds), "m1");
    world.take(outcome);
    assert!(world.group.is_empty());
}

#[test]
fn new_partitions_and_topics_are_noticed() {
    let mut world = World::new();
    let joined = world.join("m1", &["a", "later"]);
    world.set_topic("a", 1, 3);
    let more = world.heartbeat("m1", joined.member_epoch, None).unwrap();
    assert_eq!(more.initialize, BTreeMap::from([(id(1), ("a".into(), BTreeSet::from([2])))]));
    world.set_topic("later", 3, 1);
    let later = world.heartbeat("m1", more.member_epoch, None).unwrap();
    assert!(later.initialize.contains_key(&id(3)));
    for initialized in [more.initialize, later.initialize.clone()] {
        let outcome = world.group.initialized_now(&initialized);
        world.take(outcome);
    }
    let assigned = world.heartbeat("m1", later.member_epoch, None).unwrap();
    assert_eq!(assigned.assignment.map(|all| all.len()), Some(4));
    world.cluster.topics.remove("later");
    world.cluster.version += 1;
    let gone = world.heartbeat("m1", assigned.member_epoch, None).unwrap();
    assert_eq!(gone.assignment.map(|all| all.len()), Some(3));
    assert!(!world.group.initialized().contains_key(&id(3)));
}

#[test]
fn offsets_are_altered_and_deleted_while_nobody_is_there() {
    let mut world = World::new();
    world.join("m1", &["a"]);
    let offsets = [(id(1), "a".into(), vec![(0, Offset(5))])];
    assert_eq!(world.group.alter_offsets(&offsets, &world.context()).unwrap_err().code(), ErrorCode::NonEmptyGroup);
    let refused = world.group.delete_offsets(&[id(1)], &world.context()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NonEmptyGroup);
    world.heartbeat("m1", -1, None).unwrap();

    let outcome = world.group.alter_offsets(&offsets, &world.context()).unwrap();
    let altered = world.take(outcome);
    assert_eq!(altered.offsets, BTreeMap::from([((id(1), 0), Offset(5))]));
    assert_eq!(altered.state_epoch, world.group.group_epoch());
    for _first_and_again in 0..2 {
        let outcome = world.group.delete_offsets(&[id(1), id(2)], &world.context()).unwrap();
        let to_delete = world.take(outcome);
        assert_eq!(to_delete, BTreeMap::from([(id(1), ("a".into(), BTreeSet::from([0, 1])))]));
        assert!(world.group.initialized().is_empty());
    }
    let outcome = world.group.deleted_now(&[id(1)]);
    world.take(outcome);
    let outcome = world.group.delete_all_offsets(&world.context()).unwrap();
    assert!(world.take(outcome).is_empty());
    let outcome = ShareOutcome { records: world.group.tombstones(), ..ShareOutcome::reply(()) };
    world.take(outcome);
    assert!(world.group.is_gone() && world.replayed().is_gone());
}

#[test]
fn the_log_tells_the_same() {
    let mut world = World::new();
    let first = world.join("m1", &["a"]);
    world.join("m2", &["a", "b"]);
    world.heartbeat("m1", first.member_epoch, Some(&["b"])).unwrap();
    let (group, replayed) = (&world.group, world.replayed());
    assert_eq!(replayed.members, group.members);
    assert_eq!(replayed.target, group.target);
    assert_eq!(replayed.partitions, group.partitions);
    assert_eq!(
        (replayed.group_epoch, replayed.assignment_epoch, replayed.metadata_hash),
        (group.group_epoch, group.assignment_epoch, group.metadata_hash)
    );
}
