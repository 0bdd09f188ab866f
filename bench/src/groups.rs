//! Consumer groups: what heartbeats, rebalances and consumers that have nothing to read cost a broker. The members speak
//! the protocol themselves and are many to a thread, so that the machine is the broker's.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FetchRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, fetch_partition, name, text};

use crate::contender::Contender;
use crate::cpu::Cpu;
use crate::report::Report;

const MEMBERS: usize = 100;
const HEARTBEATS_PER_MEMBER: usize = 2000;
const REBALANCES: usize = 20;

const IDLE_GROUPS: usize = 100;
const IDLE_MEMBERS_PER_GROUP: usize = 10;
const IDLE_PARTITIONS_PER_MEMBER: i32 = 10;
const IDLE_TIME: Duration = Duration::from_secs(20);
const FETCH_WAIT_MS: i32 = 500;
/// Fetches between two heartbeats: three seconds, as consumers have it by default.
const FETCHES_PER_HEARTBEAT: usize = 6;

const JOIN_VERSION: i16 = 7;
const SYNC_VERSION: i16 = 4;
const HEARTBEAT_VERSION: i16 = 4;
const FETCH_VERSION: i16 = 12;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
/// About what ten partitions of one topic take.
const SUBSCRIPTION: &[u8] = &[0; 40];
const ASSIGNMENT: &[u8] = &[0; 80];

/// Measures one broker.
pub type Measure = fn(&Contender) -> Result<Vec<Figure>>;

/// What is measured, by name.
pub const LOADS: [(&str, Measure); 3] =
    [("group-heartbeats", heartbeats), ("group-rebalance", rebalances), ("group-idle", idle_consumers)];

/// One figure of one broker.
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
}

/// Measures both brokers, the one after the other.
pub fn run(load: &str, measure: Measure, pair: &[Contender; 2], report: &mut Report) -> Result<()> {
    let [ottla, kafka] = [measure(&pair[0])?, measure(&pair[1])?];
    for (ottla, kafka) in ottla.into_iter().zip(kafka) {
        eprintln!("{load} {}: Ottla {:.2}, Kafka {:.2}", ottla.name, ottla.value, kafka.value);
        report.row(load, "wire", ottla.name, [ottla.value, kafka.value]);
    }
    Ok(())
}

fn heartbeats(broker: &Contender) -> Result<Vec<Figure>> {
    let mut group = Group::join(broker, "heartbeats", MEMBERS)?;
    let mut spent = Cpu::default();
    // The first half lets a JVM compile what the second half needs.
    for _ in 0..2 {
        let before = Cpu::of_process(broker.node.pid())?;
        for _ in 0..HEARTBEATS_PER_MEMBER / 2 {
            group.heartbeat()?;
        }
        spent = Cpu::of_process(broker.node.pid())? - before;
    }
    let counted = (MEMBERS * HEARTBEATS_PER_MEMBER / 2) as f64;
    Ok(vec![
        Figure { name: "user CPU, s/million heartbeats", value: spent.user / counted * 1e6 },
        Figure { name: "total CPU, s/million heartbeats", value: spent.total() / counted * 1e6 },
        Figure { name: "heartbeats per CPU second", value: counted / spent.total() },
    ])
}

fn rebalances(broker: &Contender) -> Result<Vec<Figure>> {
    let mut group = Group::join(broker, "rebalance", MEMBERS)?;
    let mut took = Vec::new();
    let mut spent = Cpu::default();
    for _ in 0..2 {
        took.clear();
        let before = Cpu::of_process(broker.node.pid())?;
        for _ in 0..REBALANCES {
            took.push(group.rebalance()?);
        }
        spent = Cpu::of_process(broker.node.pid())? - before;
    }
    took.sort_unstable();
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    Ok(vec![
        Figure { name: "100 members, first JoinGroup to last assignment, ms", value: ms(took[REBALANCES / 2]) },
        Figure { name: "total CPU, ms/rebalance of 100", value: spent.total() / REBALANCES as f64 * 1e3 },
    ])
}

/// Consumers with a session of fetches and a membership each, and nothing to read.
fn idle_consumers(broker: &Contender) -> Result<Vec<Figure>> {
    let partitions = IDLE_PARTITIONS_PER_MEMBER * IDLE_MEMBERS_PER_GROUP as i32;
    let topics: Vec<String> = (0..IDLE_GROUPS).map(|number| format!("idle{number}")).collect();
    let mut fetchers = Vec::new();
    for topic in &topics {
        broker.node.wire().create_topic(topic, partitions, &[])?;
    }
    // All at once: each new group waits for further members, three seconds by default.
    let joined: Vec<Result<Group>> = std::thread::scope(|scope| {
        let joining = topics.iter().map(|topic| scope.spawn(|| Group::join(broker, topic, IDLE_MEMBERS_PER_GROUP)));
        let joining: Vec<_> = joining.collect();
        joining.into_iter().map(|joining| joining.join().expect("a group's thread")).collect()
    });
    let mut groups = joined.into_iter().collect::<Result<Vec<_>>>()?;
    for topic in &topics {
        for member in 0..IDLE_MEMBERS_PER_GROUP as i32 {
            fetchers.push(Fetcher::start(broker, topic, member * IDLE_PARTITIONS_PER_MEMBER)?);
        }
    }
    let mut before = Cpu::default();
    let mut begin = Instant::now();
    let mut round = 0;
    // The first seconds are not counted: sessions begin, and a JVM compiles.
    let mut is_counted = false;
    while !is_counted || begin.elapsed() < IDLE_TIME {
        if !is_counted && begin.elapsed() >= IDLE_TIME {
            is_counted = true;
            before = Cpu::of_process(broker.node.pid())?;
            begin = Instant::now();
        }
        for fetcher in &mut fetchers {
            fetcher.again()?;
        }
        round += 1;
        if round % FETCHES_PER_HEARTBEAT == 0 {
            for group in &mut groups {
                group.heartbeat()?;
            }
        }
    }
    let spent = Cpu::of_process(broker.node.pid())? - before;
    Ok(vec![
        Figure {
            name: "1,000 consumers of 10,000 partitions, % of a core",
            value: spent.total() / begin.elapsed().as_secs_f64() * 100.0,
        },
        Figure { name: "resident memory, MiB", value: broker.node.rss_bytes() as f64 / f64::from(1 << 20) },
    ])
}

/// A group of the classic protocol, a connection a member. The first member leads.
struct Group {
    id: GroupId,
    members: Vec<Member>,
}

struct Member {
    wire: Wire,
    id: StrBytes,
    generation_id: i32,
    is_leader: bool,
}

impl Member {
    fn heartbeat_request(&self, group: &GroupId) -> HeartbeatRequest {
        HeartbeatRequest::default()
            .with_group_id(group.clone())
            .with_generation_id(self.generation_id)
            .with_member_id(self.id.clone())
    }
}

impl Group {
    /// A stable group of new members.
    fn join(broker: &Contender, group_id: &str, count: usize) -> Result<Self> {
        let find = FindCoordinatorRequest::default().with_key(text(group_id));
        let mut wire = broker.node.wire();
        eventually("the group has a coordinator", || (wire.call(1, &find).ok()?.error_code == 0).then_some(()));
        let mut group = Self { id: GroupId(text(group_id)), members: Vec::with_capacity(count) };
        for _ in 0..count {
            let mut wire = broker.node.wire();
            // A coordinator that has just been found may still read its state.
            let id = eventually("a member id", || {
                let answer = wire.call(JOIN_VERSION, &group.join_request(&StrBytes::default())).ok()?;
                (answer.error_code == MEMBER_ID_REQUIRED).then_some(answer.member_id)
            });
            group.members.push(Member { wire, id, generation_id: -1, is_leader: false });
        }
        group.rebalance()?;
        Ok(group)
    }

    /// Everybody joins and is assigned.
    fn rebalance(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        let requests: Vec<_> = self.members.iter().map(|member| self.join_request(&member.id)).collect();
        // In a stable group the leader's join begins the rebalance; those of others would be answered at once.
        let leader = self.members.iter().position(|member| member.is_leader);
        if let Some(leader) = leader {
            self.members[leader].wire.send(JOIN_VERSION, &requests[leader])?;
            self.wait_for_rebalance((leader + 1) % requests.len())?;
        }
        for (index, request) in requests.iter().enumerate().filter(|(index, _)| Some(*index) != leader) {
            self.members[index].wire.send(JOIN_VERSION, request)?;
        }
        let mut of_leader = None;
        for member in &mut self.members {
            let answer: JoinGroupResponse = member.wire.receive::<JoinGroupRequest>(JOIN_VERSION)?;
            ensure!(answer.error_code == 0, "join: error {}", answer.error_code);
            member.generation_id = answer.generation_id;
            member.is_leader = answer.leader == member.id;
            if member.is_leader {
                of_leader = Some(answer);
            }
        }
        let of_leader = of_leader.context("a leader")?;
        let assignments = of_leader.members.into_iter().map(|member| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id)
                .with_assignment(Bytes::from_static(ASSIGNMENT))
        });
        let assignments: Vec<_> = assignments.collect();
        for member in &mut self.members {
            let request = SyncGroupRequest::default()
                .with_group_id(self.id.clone())
                .with_generation_id(member.generation_id)
                .with_member_id(member.id.clone())
                .with_assignments(if member.is_leader { assignments.clone() } else { Vec::new() });
            member.wire.send(SYNC_VERSION, &request)?;
        }
        for member in &mut self.members {
            let answer = member.wire.receive::<SyncGroupRequest>(SYNC_VERSION)?;
            ensure!(answer.error_code == 0 && answer.assignment == ASSIGNMENT, "sync: error {}", answer.error_code);
        }
        Ok(begin.elapsed())
    }

    /// Has a member ask until it hears that the group rebalances.
    fn wait_for_rebalance(&mut self, member: usize) -> Result<()> {
        let member = &mut self.members[member];
        loop {
            let answer = member.wire.call(HEARTBEAT_VERSION, &member.heartbeat_request(&self.id))?;
            match answer.error_code {
                REBALANCE_IN_PROGRESS => return Ok(()),
                error => ensure!(error == 0, "heartbeat: error {error}"),
            }
        }
    }

    /// A heartbeat of each member.
    fn heartbeat(&mut self) -> Result<()> {
        for member in &mut self.members {
            let request = member.heartbeat_request(&self.id);
            member.wire.send(HEARTBEAT_VERSION, &request)?;
        }
        for member in &mut self.members {
            let answer = member.wire.receive::<HeartbeatRequest>(HEARTBEAT_VERSION)?;
            ensure!(answer.error_code == 0, "heartbeat: error {}", answer.error_code);
        }
        Ok(())
    }

    fn join_request(&self, member_id: &StrBytes) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(SUBSCRIPTION));
        JoinGroupRequest::default()
            .with_group_id(self.id.clone())
            .with_member_id(member_id.clone())
            .with_session_timeout_ms(45_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    }
}

/// A consumer's fetches, one after the other, in a session.
struct Fetcher {
    wire: Wire,
    session_id: i32,
    epoch: i32,
}

impl Fetcher {
    fn start(broker: &Contender, topic: &str, first_partition: i32) -> Result<Self> {
        let mut fetcher = Self { wire: broker.node.wire(), session_id: 0, epoch: 0 };
        let partitions = (first_partition..first_partition + IDLE_PARTITIONS_PER_MEMBER)
            .map(|partition| fetch_partition(partition, 0))
            .collect::<Vec<FetchPartition>>();
        fetcher.send(vec![FetchTopic::default().with_topic(name(topic)).with_partitions(partitions)])?;
        Ok(fetcher)
    }

    fn send(&mut self, topics: Vec<FetchTopic>) -> Result<()> {
        let request = FetchRequest::default()
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_session_id(self.session_id)
            .with_session_epoch(self.epoch)
            .with_topics(topics);
        self.epoch += 1;
        self.wire.send(FETCH_VERSION, &request)
    }

    /// Takes the answer of the last fetch, and fetches again.
    fn again(&mut self) -> Result<()> {
        let answer = self.wire.receive::<FetchRequest>(FETCH_VERSION)?;
        ensure!(answer.error_code == 0, "fetch: error {}", answer.error_code);
        self.session_id = answer.session_id;
        self.send(Vec::new())
    }
}
