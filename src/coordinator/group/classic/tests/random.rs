//! Random interleavings: whatever clients send, in whatever order, and whatever fails meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use super::world::World;
use crate::coordinator::ReplyTo;
use crate::error::ErrorCode;

/// The last two go by the same instance id.
const CLIENTS: usize = 6;
const INSTANCES: [Option<&str>; CLIENTS] = [None, None, None, Some("i1"), Some("i2"), Some("i2")];

#[derive(Clone, Debug)]
enum Step {
    Join { client: usize, protocols: usize, fresh: bool, asks_for_id: bool },
    Sync { client: usize },
    Heartbeat { client: usize, generation_shift: i32 },
    Leave { first: usize, second: usize },
    Pass { ms: u64 },
    FailNextAppend,
    Restart,
    Limit { max_size: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => (client.clone(), 0..3usize, prop::bool::weighted(0.1), any::<bool>())
            .prop_map(|(client, protocols, fresh, asks_for_id)| Step::Join { client, protocols, fresh, asks_for_id }),
        6 => client.clone().prop_map(|client| Step::Sync { client }),
        4 => (client.clone(), prop_oneof![5 => Just(0), 1 => -1..2])
            .prop_map(|(client, generation_shift)| Step::Heartbeat { client, generation_shift }),
        1 => (client.clone(), client).prop_map(|(first, second)| Step::Leave { first, second }),
        4 => prop_oneof![Just(0), 1..4000u64, 10_000..70_000u64].prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::FailNextAppend),
        1 => Just(Step::Restart),
        1 => (1..8usize).prop_map(|max_size| Step::Limit { max_size }),
    ]
}

/// What a client remembers.
#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    generation_id: i32,
    /// As a leader, whom to assign to.
    members: Vec<MemberId>,
    joining: Option<ReplyTo>,
    /// And the id it went by when it asked.
    syncing: Option<(ReplyTo, String)>,
    has_assignment: bool,
}

struct Play {
    world: World,
    clients: Vec<Client>,
    ids_given: usize,
}

impl Play {
    fn new() -> Self {
        Self { world: World::new(), clients: vec![Client::default(); CLIENTS], ids_given: 0 }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Join { client, protocols, fresh, asks_for_id } => self.join(client, protocols, fresh, asks_for_id),
            Step::Sync { client } => self.sync(client),
            Step::Heartbeat { client, generation_shift } => {
                let Client { member_id, generation_id, .. } = &self.clients[client];
                self.world.heartbeat(&Heartbeat {
                    generation_id: generation_id + generation_shift,
                    member_id: member_id.as_str().into(),
                    instance_id: INSTANCES[client].map(Into::into),
                });
            }
            Step::Leave { first, second } => {
                let members = [first, second].into_iter().map(|client| LeavingMember {
                    member_id: self.clients[client].member_id.as_str().into(),
                    instance_id: INSTANCES[client].map(Into::into),
                    reason: None,
                });
                self.world.leave(&Leave { members: members.collect() });
            }
            Step::Pass { ms } => self.world.advance(Duration::from_millis(ms)),
            Step::FailNextAppend => self.world.fail_next_append = true,
            Step::Restart => self.world.restart(),
            Step::Limit { max_size } => self.world.settings.max_size = max_size,
        }
        self.hear();
    }

    fn join(&mut self, client: usize, protocols: usize, fresh: bool, asks_for_id: bool) {
        let names = [&["range"][..], &["range", "roundrobin"], &["roundrobin", "range"]][protocols];
        let protocols = names.iter().map(|name| Protocol { name: (*name).into(), metadata: Bytes::from(vec![0; 4]) });
        let member_id = if fresh { "" } else { self.clients[client].member_id.as_str() };
        self.ids_given += 1;
        let new_id = format!("{}-{}", INSTANCES[client].unwrap_or("c"), self.ids_given);
        let reply_to = self.world.join(&Join {
            member_id: member_id.into(),
            new_member_id: new_id.into(),
            instance_id: INSTANCES[client].map(Into::into),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            protocol_type: "consumer".into(),
            protocols: Protocols::new(protocols),
            session_timeout_ms: 10_000 + client as i32 * 1000,
            rebalance_timeout_ms: 30_000,
            requires_known_member_id: asks_for_id,
            supports_skipping_assignment: asks_for_id,
            reason: None,
        });
        self.clients[client].joining = Some(reply_to);
    }

    fn sync(&mut self, client: usize) {
        let Client { member_id, generation_id, members, .. } = &self.clients[client];
        let assignments = members.iter().map(|member| (Arc::clone(member), Bytes::from(member.to_string())));
        let reply_to = self.world.sync(Sync {
            generation_id: *generation_id,
            member_id: member_id.as_str().into(),
            instance_id: INSTANCES[client].map(Into::into),
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.collect(),
        });
        self.clients[client].syncing = Some((reply_to, self.clients[client].member_id.clone()));
    }

    /// Clients take in what they were answered.
    fn hear(&mut self) {
        for (reply_to, answer) in self.world.answers() {
            let joined = self.clients.iter_mut().find(|client| client.joining == Some(reply_to));
            if let Some(client) = joined {
                client.joining = None;
                match answer {
                    Ok(ClassicReply::Join(reply)) => client.hear_join(reply),
                    Err(_) => {}
                    other => panic!("{other:?} is no answer to a join"),
                }
                continue;
            }
            let synced =
                |client: &&mut Client| client.syncing.as_ref().is_some_and(|(waiter, _)| *waiter == reply_to);
            let Some(client) = self.clients.iter_mut().find(synced) else { continue };
            let Some((_, member_id)) = client.syncing.take() else { continue };
            match answer {
                Ok(ClassicReply::Sync(reply)) if !reply.error.is_error() => {
                    client.has_assignment = true;
                    let own = reply.assignment.is_empty() || *reply.assignment == *member_id.as_bytes();
                    // A static member that came back has what was assigned to its old id.
                    assert!(own || member_id.starts_with('i'), "somebody else's assignment: {reply:?}");
                }
                Ok(ClassicReply::Sync(_)) | Err(_) => client.has_assignment = false,
                other => panic!("{other:?} is no answer to a sync"),
            }
        }
    }

    /// Clients do what real ones do, until the group is stable.
    fn settle(&mut self) {
        self.world.fail_next_append = false;
        self.world.settings.max_size = CLIENTS;
        for _ in 0..200 {
            // One of the two with the same instance id.
            for client in 0..CLIENTS - 1 {
                let state = &self.clients[client];
                if state.joining.is_some() || state.syncing.is_some() {
                    continue;
                }
                let generation = self.world.group.as_ref().map(ClassicGroup::generation_id);
                let member = self.world.group.as_ref().and_then(|group| group.member(&state.member_id));
                // A restarted coordinator knows of each member the one protocol that was in use. Kafka's too takes in nobody
                // else then, until that member is gone.
                let is_member = member.is_some_and(|member| member.protocols.metadata("range").is_some());
                let rebalances =
                    self.world.group.as_ref().map(ClassicGroup::state) == Some(ClassicGroupState::PreparingRebalance);
                if !is_member || rebalances || generation != Some(state.generation_id) {
                    self.join(client, 0, false, true);
                } else if !state.has_assignment {
                    self.sync(client);
                } else {
                    self.take(&Step::Heartbeat { client, generation_shift: 0 });
                }
                self.hear();
            }
            if self.is_settled() {
                return;
            }
            self.world.advance(Duration::from_secs(3));
            self.hear();
        }
        panic!("no stable group: {:?}", self.world.group);
    }

    fn is_settled(&self) -> bool {
        let Some(group) = &self.world.group else { return false };
        group.state() == ClassicGroupState::Stable
            && group.member_count() == CLIENTS - 1
            && self.clients[..CLIENTS - 1].iter().all(|client| client.has_assignment)
            && self.world.waiting_count() == 0
    }
}

impl Client {
    fn hear_join(&mut self, reply: JoinReply) {
        self.has_assignment = false;
        match reply.error {
            ErrorCode::None => {
                self.member_id = reply.member_id.to_string();
                self.generation_id = reply.generation_id;
                self.members = reply.members.into_iter().map(|member| member.member_id).collect();
            }
            ErrorCode::MemberIdRequired => self.member_id = reply.member_id.to_string(),
            ErrorCode::UnknownMemberId | ErrorCode::GroupMaxSizeReached | ErrorCode::FencedInstanceId => {
                self.member_id.clear();
            }
            ErrorCode::InconsistentGroupProtocol | ErrorCode::RebalanceInProgress => {}
            // An id without instance id that is used with one; no client does.
            ErrorCode::UnknownServerError => self.member_id.clear(),
            other => panic!("{other:?} is no answer to a join"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// What holds at every step is checked by the world.
    #[test]
    fn whatever_comes_a_group_of_real_clients_becomes_stable(steps in prop::collection::vec(step(), 0..80)) {
        let mut play = Play::new();
        for step in &steps {
            play.take(step);
        }
        play.settle();
    }

    #[test]
    fn whatever_came_a_group_of_dead_clients_becomes_empty(steps in prop::collection::vec(step(), 0..80)) {
        let mut play = Play::new();
        for step in &steps {
            play.take(step);
        }
        play.world.fail_next_append = false;
        play.world.advance(Duration::from_secs(900));
        prop_assert_eq!(play.world.waiting_count(), 0, "somebody waits for ever");
        let state = play.world.group.as_ref().map(ClassicGroup::state);
        prop_assert!(matches!(state, None | Some(ClassicGroupState::Empty)), "{:?}", play.world.group);
        prop_assert_eq!(play.world.next_timer(), None);
    }
}
