use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn topic(n: u128) -> TopicId {
    TopicId(Uuid::from_u128(n))
}

/// A member as the tests write it: id, instance id, topics, and what it has.
#[derive(Clone, Debug)]
struct Draft {
    id: String,
    instance: Option<String>,
    topics: BTreeSet<u128>,
    assigned: Arc<Assignment>,
}

fn draft(id: &str, topics: &[u128], assigned: &[(u128, PartitionIndex)]) -> Draft {
    Draft {
        id: id.to_owned(),
        instance: None,
        topics: topics.iter().copied().collect(),
        assigned: Arc::new(assigned.iter().map(|&(id, partition)| (topic(id), partition)).collect()),
    }
}

fn assign(assignor: Assignor, members: &[Draft], counts: &BTreeMap<u128, PartitionIndex>) -> Vec<Arc<Assignment>> {
    let members = members
        .iter()
        .map(|draft| MemberSpec {
            member_id: &draft.id,
            instance_id: draft.instance.as_deref(),
            topics: draft.topics.iter().filter(|id| counts.contains_key(id)).map(|&id| topic(id)).collect(),
            assigned: Arc::clone(&draft.assigned),
        })
        .collect();
    let partition_counts = counts.iter().map(|(&id, &count)| (topic(id), count)).collect();
    assignor.assign(&GroupSpec { members, partition_counts })
}

/// `t1: 0 1, t2: 5` of each member, in their order.
fn shown(assignments: &[Arc<Assignment>]) -> Vec<String> {
    assignments
        .iter()
        .map(|assignment| {
            let topics = assignment.topics().map(|(topic, partitions)| {
                let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                format!("t{}: {}", topic.0.as_u128(), partitions.join(" "))
            });
            topics.collect::<Vec<_>>().join(", ")
        })
        .collect()
}

#[track_caller]
fn check(assignor: Assignor, members: &[Draft], counts: &[(u128, PartitionIndex)], expected: &[&str]) {
    let assignments = assign(assignor, members, &counts.iter().copied().collect());
    assert_eq!(shown(&assignments), expected);
}

#[test]
fn nobody_gets_nothing() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        check(assignor, &[], &[(1, 3)], &[]);
        check(assignor, &[draft("a", &[], &[])], &[(1, 3)], &[""]);
        check(assignor, &[draft("a", &[1], &[])], &[], &[""]);
    }
}

#[test]
fn names() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert_eq!(Assignor::from_name(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::from_name("sticky"), None);
}

#[test]
fn range_cuts_equal_topics_at_the_same_places() {
    let members = [draft("a", &[1, 2], &[]), draft("b", &[1, 2], &[])];
    check(Assignor::Range, &members, &[(1, 3), (2, 3)], &["t1: 0 1, t2: 0 1", "t1: 2, t2: 2"]);
    // More members than partitions: the last in line have none.
    let members = [draft("a", &[1], &[]), draft("b", &[1], &[]), draft("c", &[1], &[])];
    check(Assignor::Range, &members, &[(1, 2)], &["t1: 0", "t1: 1", ""]);
}

#[test]
fn range_counts_only_the_subscribers_of_a_topic() {
    let members = [draft("a", &[1, 2], &[]), draft("b", &[2], &[]), draft("c", &[1, 2], &[])];
    check(Assignor::Range, &members, &[(1, 3), (2, 3)], &["t1: 0 1, t2: 0", "t2: 1", "t1: 2, t2: 2"]);
}

#[test]
fn range_puts_static_members_first_by_instance_id() {
    let mut members = [draft("a", &[1], &[]), draft("y", &[1], &[]), draft("z", &[1], &[])];
    members[1].instance = Some("second".to_owned());
    members[2].instance = Some("first".to_owned());
    check(Assignor::Range, &members, &[(1, 3)], &["t1: 2", "t1: 1", "t1: 0"]);
    // The instance under a new member id has what it had.
    members[2].id = "b".to_owned();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    check(Assignor::Range, &members, &[(1, 3)], &["t1: 2", "t1: 0", "t1: 1"]);
}

#[test]
fn uniform_keeps_what_it_can() {
    // A third member comes: one partition of each of the two moves.
    let members = [
        draft("a", &[1], &[(1, 0), (1, 2), (1, 4)]),
        draft("b", &[1], &[(1, 1), (1, 3), (1, 5)]),
        draft("c", &[1], &[]),
    ];
    check(Assignor::Uniform, &members, &[(1, 6)], &["t1: 0 2", "t1: 1 3", "t1: 4 5"]);
    // The one with the extra partition keeps it, though it is not the first.
    let members = [draft("a", &[1], &[(1, 1)]), draft("b", &[1], &[(1, 0), (1, 2)])];
    check(Assignor::Uniform, &members, &[(1, 3)], &["t1: 1", "t1: 0 2"]);
    // A topic that is no longer wanted, and partitions that are not there, are given up.
    let members = [draft("a", &[1], &[(1, 0), (1, 7), (2, 0)]), draft("b", &[1], &[(1, 1)])];
    check(Assignor::Uniform, &members, &[(1, 2), (2, 1)], &["t1: 0", "t1: 1"]);
}

#[test]
fn uniform_evens_out_different_subscriptions() {
    let members = [draft("a", &[1, 2], &[]), draft("b", &[1], &[]), draft("c", &[2], &[])];
    check(Assignor::Uniform, &members, &[(1, 3), (2, 3)], &["t1: 0, t2: 2", "t1: 1 2", "t2: 0 1"]);
}

/// Who has each partition, or a complaint: given twice, or given to somebody who does not want it.
fn owners(members: &[Draft], assignments: &[Arc<Assignment>]) -> Result<HashMap<(TopicId, i32), usize>, String> {
    let mut owners = HashMap::new();
    for (at, (member, assignment)) in members.iter().zip(assignments).enumerate() {
        for (id, partition) in assignment.iter() {
            if !member.topics.contains(&id.0.as_u128()) {
                return Err(format!("{} did not ask for t{}", member.id, id.0.as_u128()));
            }
            if owners.insert((id, partition), at).is_some() {
                return Err(format!("t{}-{partition} has two owners", id.0.as_u128()));
            }
        }
    }
    Ok(owners)
}

/// Every partition that anybody wants has exactly one owner, one of those who want it.
fn check_complete(members: &[Draft], counts: &BTreeMap<u128, PartitionIndex>, assignments: &[Arc<Assignment>]) {
    assert_eq!(assignments.len(), members.len());
    let owners = owners(members, assignments).unwrap();
    let wanted: usize = counts
        .iter()
        .filter(|(id, _)| members.iter().any(|member| member.topics.contains(id)))
        .map(|(_, &count)| count as usize)
        .sum();
    assert_eq!(owners.len(), wanted);
}

fn drafts(homogeneous: bool) -> impl Strategy<Value = (Vec<Draft>, BTreeMap<u128, PartitionIndex>)> {
    let counts = prop::collection::btree_map(0_u128..6, 0..9_i32, 1..6);
    let topics = prop::collection::btree_set(0_u128..7, 0..6);
    let assigned = prop::collection::vec((0_u128..8, 0..12_i32), 0..8);
    let members = prop::collection::btree_map("[a-f]{1,3}", (topics.clone(), assigned, any::<bool>()), 0..9);
    (members, topics, counts).prop_map(move |(members, same, counts)| {
        let members = members.into_iter().map(|(id, (topics, assigned, is_static))| Draft {
            instance: is_static.then(|| format!("i-{id}")),
            topics: if homogeneous { same.clone() } else { topics },
            assigned: Arc::new(assigned.into_iter().map(|(id, partition)| (topic(id), partition)).collect()),
            id,
        });
        (members.collect(), counts)
    })
}

proptest! {
    #[test]
    fn every_partition_has_one_owner_who_wants_it((members, counts) in prop::bool::ANY.prop_flat_map(drafts)) {
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let assignments = assign(assignor, &members, &counts);
            check_complete(&members, &counts, &assignments);
            prop_assert_eq!(&assignments, &assign(assignor, &members, &counts), "the same twice");
        }
    }

    #[test]
    fn equal_subscriptions_get_equal_loads((members, counts) in drafts(true)) {
        let assignments = assign(Assignor::Uniform, &members, &counts);
        let loads: Vec<usize> = assignments.iter().map(|assignment| assignment.len()).collect();
        if let (Some(least), Some(most)) = (loads.iter().min(), loads.iter().max()) {
            prop_assert!(most - least <= 1, "{:?}", loads);
        }
        // No partition moved from somebody who had room for it.
        let before = owners_before(&members);
        let after = owners(&members, &assignments).unwrap();
        let quota = after.len() / members.len().max(1);
        for (partition, old) in before {
            let Some(&new) = after.get(&partition) else { continue };
            prop_assert!(new == old || loads[old] >= quota, "{:?} moved from {} without need", partition, old);
        }
    }

    #[test]
    fn nothing_is_left_to_even_out_within_a_topic((members, counts) in drafts(false)) {
        let assignments = assign(Assignor::Uniform, &members, &counts);
        let loads: Vec<usize> = assignments.iter().map(|assignment| assignment.len()).collect();
        for (giver, assignment) in assignments.iter().enumerate() {
            for (id, _) in assignment.topics() {
                for (taker, member) in members.iter().enumerate() {
                    if member.topics.contains(&id.0.as_u128()) {
                        prop_assert!(loads[giver] <= loads[taker] + 1, "{} could give t{} to {}: {:?}", giver, id.0.as_u128(), taker, loads);
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_assigned_stays_when_nothing_changes((mut members, counts) in prop::bool::ANY.prop_flat_map(drafts)) {
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let assignments = assign(assignor, &members, &counts);
            for (member, assignment) in members.iter_mut().zip(&assignments) {
                member.assigned = Arc::clone(assignment);
            }
            for (again, before) in assign(assignor, &members, &counts).iter().zip(&assignments) {
                prop_assert!(Arc::ptr_eq(again, before), "{:?} became {:?}", before, again);
            }
        }
    }

    #[test]
    fn a_member_that_leaves_moves_only_its_own((mut members, counts) in drafts(true), leaving in any::<prop::sample::Index>()) {
        prop_assume!(members.len() > 1);
        let assignments = assign(Assignor::Uniform, &members, &counts);
        for (member, assignment) in members.iter_mut().zip(&assignments) {
            member.assigned = Arc::clone(assignment);
        }
        members.remove(leaving.index(members.len()));
        let after = assign(Assignor::Uniform, &members, &counts);
        for (member, now) in members.iter().zip(&after) {
            for (id, partition) in member.assigned.iter() {
                prop_assert!(now.contains(id, partition), "{} lost t{}-{}", member.id, id.0.as_u128(), partition);
            }
        }
    }

    #[test]
    fn range_cuts_every_topic_into_contiguous_parts((members, counts) in drafts(false)) {
        let assignments = assign(Assignor::Range, &members, &counts);
        for assignment in &assignments {
            for (_, partitions) in assignment.topics() {
                prop_assert!(partitions.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{:?}", partitions);
            }
        }
        for &id in counts.keys() {
            let sizes = members.iter().zip(&assignments).filter(|(member, _)| member.topics.contains(&id));
            let sizes: Vec<usize> = sizes.map(|(_, assignment)| assignment.partitions(topic(id)).len()).collect();
            if let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) {
                prop_assert!(most - least <= 1);
            }
        }
    }
}

/// Who had each partition; the first of several.
fn owners_before(members: &[Draft]) -> HashMap<(TopicId, i32), usize> {
    let mut owners = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        for (id, partition) in member.assigned.iter() {
            if member.topics.contains(&id.0.as_u128()) {
                owners.entry((id, partition)).or_insert(at);
            }
        }
    }
    owners
}

/// 1,000 members and 10,000 partitions: the work is about linear, so this ends at once even unoptimised.
#[test]
fn large_groups() {
    let counts: BTreeMap<u128, PartitionIndex> = (0..100).map(|id| (id, 100)).collect();
    let mut members: Vec<Draft> =
        (0..1000).map(|at| draft(&format!("m{at:04}"), &(0..100).collect::<Vec<_>>(), &[])).collect();
    for assignor in [Assignor::Uniform, Assignor::Range] {
        check_complete(&members, &counts, &assign(assignor, &members, &counts));
    }
    for (at, member) in members.iter_mut().enumerate() {
        member.topics.retain(|id| !(*id as usize + at).is_multiple_of(7));
    }
    let assignments = assign(Assignor::Uniform, &members, &counts);
    check_complete(&members, &counts, &assignments);
    let loads: Vec<usize> = assignments.iter().map(|assignment| assignment.len()).collect();
    assert!(loads.iter().all(|&load| load == 10), "{loads:?}");
}
