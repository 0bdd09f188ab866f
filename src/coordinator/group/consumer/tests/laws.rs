//! What holds whatever members do: clients that follow the protocol, at random, with failures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::harness::{World, joining, names, owned, request, text};
use crate::coordinator::group::consumer::*;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;

/// A client that does what the protocol asks of it, in its own time.
#[derive(Clone, Debug)]
struct TestClient {
    topics: BTreeSet<usize>,
    regex: Option<&'static str>,
    instance: bool,
    epoch: i32,
    joined: bool,
    /// The last answer did not come: the client then says everything again.
    lost_reply: bool,
    /// What it may use at this moment.
    owned: BTreeSet<(TopicId, PartitionIndex)>,
    /// What the coordinator gave it last.
    assigned: BTreeSet<(TopicId, PartitionIndex)>,
}

const TOPICS: [&str; 4] = ["t0", "t1", "t2", "u0"];
const REGEXES: [&str; 3] = ["t.*", ".*0", "none"];

#[derive(Clone, Debug)]
enum Step {
    Join {
        client: usize,
        topics: BTreeSet<usize>,
        regex: Option<usize>,
        is_static: bool,
    },
    /// A heartbeat; `follows`: the client does before what it was told last. `lost`: the reply does not arrive.
    Beat {
        client: usize,
        follows: bool,
        lost: bool,
    },
    Subscribe {
        client: usize,
        topics: BTreeSet<usize>,
        regex: Option<usize>,
    },
    Leave {
        client: usize,
        for_now: bool,
    },
    SetTopic {
        topic: usize,
        partitions: PartitionIndex,
    },
    DeleteTopic {
        topic: usize,
    },
    Wait {
        ms: u64,
    },
    Resolve,
    FailAppend,
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let topics = || prop::collection::btree_set(0..TOPICS.len(), 0..4);
    let regex = || prop::option::weighted(0.2, 0..REGEXES.len());
    let client = 0..4_usize;
    let step = prop_oneof![
        4 => (client.clone(), topics(), regex(), prop::bool::weighted(0.3))
            .prop_map(|(client, topics, regex, is_static)| Step::Join { client, topics, regex, is_static }),
        12 => (client.clone(), prop::bool::weighted(0.8), prop::bool::weighted(0.1))
            .prop_map(|(client, follows, lost)| Step::Beat { client, follows, lost }),
        2 => (client.clone(), topics(), regex()).prop_map(|(client, topics, regex)| Step::Subscribe { client, topics, regex }),
        1 => (client, any::<bool>()).prop_map(|(client, for_now)| Step::Leave { client, for_now }),
        2 => (0..TOPICS.len(), 1..6_i32).prop_map(|(topic, partitions)| Step::SetTopic { topic, partitions }),
        1 => (0..TOPICS.len()).prop_map(|topic| Step::DeleteTopic { topic }),
        2 => (1..12_000_u64).prop_map(|ms| Step::Wait { ms }),
        3 => Just(Step::Resolve),
        1 => Just(Step::FailAppend),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 1..60)
}

struct Run {
    world: World,
    clients: BTreeMap<usize, TestClient>,
}

impl Run {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Join { client, topics, regex, is_static } => {
                let regex = regex.map(|at| REGEXES[at]);
                // A client has one identity for its life, and is in the group once.
                if self.clients.get(client).is_some_and(|client| client.joined) {
                    return;
                }
                let joining = TestClient {
                    topics: topics.clone(),
                    regex,
                    instance: *is_static,
                    epoch: 0,
                    joined: false,
                    lost_reply: false,
                    owned: BTreeSet::new(),
                    assigned: BTreeSet::new(),
                };
                self.clients.insert(*client, joining);
                self.join(*client);
            }
            Step::Beat { client, follows, lost } => self.beat(*client, *follows, *lost),
            Step::Subscribe { client, topics, regex } => self.subscribe(*client, topics, regex.map(|at| REGEXES[at])),
            Step::Leave { client, for_now } => self.leave(*client, *for_now),
            Step::SetTopic { topic, partitions } => {
                let name = TOPICS[*topic];
                let now =
                    self.world.topics.id(name).and_then(|id| self.world.topics.partition_count(id)).unwrap_or(0);
                self.world.set_topic(name, now.max(*partitions));
            }
            Step::DeleteTopic { topic } => self.world.delete_topic(TOPICS[*topic]),
            Step::Wait { ms } => {
                self.world.wait(Duration::from_millis(*ms));
                self.forget_fenced();
            }
            Step::Resolve => {
                self.world.append_fails = false;
                self.world.resolve();
            }
            Step::FailAppend => self.world.append_fails = true,
            Step::Reload => self.world.reload(),
        }
        self.check();
    }

    fn id(client: usize) -> String {
        format!("m{client}")
    }

    fn join(&mut self, at: usize) {
        let client = self.clients[&at].clone();
        let topics: Vec<&str> = client.topics.iter().map(|&topic| TOPICS[topic]).collect();
        let mut request = joining(&Self::id(at), &topics);
        request.subscribed_topic_regex = client.regex.and_then(text);
        request.instance_id = if client.instance { text(&format!("i{at}")) } else { None };
        self.send(at, &request, false);
    }

    fn beat(&mut self, at: usize, follows: bool, lost: bool) {
        let Some(client) = self.clients.get_mut(&at) else { return };
        if !client.joined {
            return self.join(at);
        }
        if follows {
            // Gives up first, then takes: as the consumer's callbacks do.
            client.owned = client.assigned.clone();
        }
        let mut request = request(&Self::id(at), client.epoch);
        request.instance_id = if client.instance { text(&format!("i{at}")) } else { None };
        request.topic_partitions = Some(owned(&client.owned));
        if client.lost_reply {
            Self::say_all(client, &mut request);
        }
        self.send(at, &request, lost);
    }

    fn say_all(client: &TestClient, request: &mut ConsumerGroupHeartbeatRequest) {
        let topics: Vec<&str> = client.topics.iter().map(|&topic| TOPICS[topic]).collect();
        request.subscribed_topic_names = Some(names(&topics));
        request.subscribed_topic_regex = text(client.regex.unwrap_or(""));
        request.rebalance_timeout_ms = 10_000;
    }

    fn subscribe(&mut self, at: usize, topics: &BTreeSet<usize>, regex: Option<&'static str>) {
        let Some(client) = self.clients.get_mut(&at).filter(|client| client.joined) else { return };
        client.topics = topics.clone();
        client.regex = regex;
        let mut request = request(&Self::id(at), client.epoch);
        Self::say_all(client, &mut request);
        request.topic_partitions = Some(owned(&client.owned));
        request.instance_id = if client.instance { text(&format!("i{at}")) } else { None };
        self.send(at, &request, false);
    }

    fn leave(&mut self, at: usize, for_now: bool) {
        let Some(client) = self.clients.get_mut(&at).filter(|client| client.joined) else { return };
        let for_now = for_now && client.instance;
        let mut request = request(&Self::id(at), if for_now { STATIC_LEAVING_EPOCH } else { LEAVING_EPOCH });
        request.instance_id = if client.instance { text(&format!("i{at}")) } else { None };
        // A client that leaves does not wait for the answer.
        client.owned.clear();
        client.joined = false;
        let _ = self.world.heartbeat(&request);
        self.clients.remove(&at);
    }

    fn send(&mut self, at: usize, request: &ConsumerGroupHeartbeatRequest, lost: bool) {
        let answer = self.world.heartbeat(request);
        let client = self.clients.get_mut(&at).unwrap();
        match answer {
            Ok(_) if lost => client.lost_reply = true,
            Ok(reply) => {
                client.lost_reply = false;
                client.joined = true;
                client.epoch = reply.member_epoch;
                if let Some(assignment) = reply.assignment {
                    client.assigned = assignment.iter().map(|(topic, partition, _)| (topic, partition)).collect();
                }
            }
            Err(
                GroupError::UnknownMemberId(_) | GroupError::FencedMemberEpoch(_) | GroupError::GroupIdNotFound(_),
            ) => {
                self.lose(at);
            }
            Err(GroupError::UnreleasedInstanceId { .. } | GroupError::InvalidRequest(_)) => client.lost_reply = true,
            Err(other) => panic!("{other:?}"),
        }
    }

    /// A fenced client gives everything up and joins again with its next heartbeat.
    fn lose(&mut self, at: usize) {
        let client = self.clients.get_mut(&at).unwrap();
        client.owned.clear();
        client.assigned.clear();
        client.epoch = 0;
        client.joined = false;
    }

    /// The client of a session that expired has given up by itself.
    fn forget_fenced(&mut self) {
        for member_id in std::mem::take(&mut self.world.fenced) {
            let at = member_id.trim_start_matches('m').parse().unwrap();
            if self.clients.contains_key(&at) {
                self.lose(at);
            }
        }
    }

    /// No partition is used by two clients.
    fn check(&self) {
        let mut users = BTreeMap::new();
        for (at, client) in &self.clients {
            for partition in &client.owned {
                assert_eq!(users.insert(*partition, *at), None, "{partition:?} is used by {at} too");
            }
        }
        self.world.check_replay();
    }

    /// Without further changes, everybody gets what the target says, and the target gives everything to somebody.
    fn settle(&mut self) {
        self.world.append_fails = false;
        // Long enough for the session of a member to end that left while nothing could be written, and for a few more
        // heartbeats.
        for _ in 0..20 {
            self.world.resolve();
            // Past the bound on how often expressions are resolved, short of a session timeout.
            for at in self.clients.keys().copied().collect::<Vec<_>>() {
                self.beat(at, true, false);
            }
            self.world.wait(Duration::from_secs(4));
            self.forget_fenced();
        }
        let Some(group) = &self.world.group else { return };
        if group.is_empty() {
            return;
        }
        assert_eq!(group.state(), GroupState::Stable, "{group:#?}");
        let mut wanted = BTreeSet::new();
        for (at, client) in &self.clients {
            let target = group.target(&Self::id(*at)).cloned().unwrap_or_default();
            assert_eq!(client.owned, target.iter().collect(), "client {at}");
            for (index, name) in TOPICS.iter().enumerate() {
                let matches = client.regex.is_some_and(|regex| match regex {
                    "t.*" => name.starts_with('t'),
                    ".*0" => name.ends_with('0'),
                    _ => false,
                });
                if (client.topics.contains(&index) || matches) && self.world.topics.id(name).is_some() {
                    wanted.insert(*name);
                }
            }
        }
        let used: BTreeSet<_> =
            group.members().flat_map(|member| member.assigned.iter()).map(|(t, p, _)| (t, p)).collect();
        for name in wanted {
            let id = self.world.topics.id(name).unwrap();
            for partition in 0..self.world.topics.partition_count(id).unwrap() {
                assert!(used.contains(&(id, partition)), "{name}-{partition} is with nobody: {group:#?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn no_partition_has_two_owners_and_all_is_settled_once_quiet(steps in steps(), interval in prop::sample::select(vec![0, 1_000])) {
        let mut run = Run { world: World::new(), clients: BTreeMap::new() };
        run.world.settings.assignment_interval_ms = interval;
        for step in &steps {
            run.step(step);
        }
        run.settle();
    }
}
