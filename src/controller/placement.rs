//! Which brokers a new partition lives on.
//!
//! Racks take turns, and within a rack brokers take turns, from random starting points. So replicas spread over
//! racks first, over brokers second, and leaders over both:
//!
//! ```text
//!  racks A, B, C with three brokers each, 3 replicas:   A0 B0 C0 │ B1 C1 A1 │ C2 A2 B2 │ ...
//! ```
//! After as many partitions as there are brokers everything is shuffled, so that the same sets do not come again.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::SliceRandom;

use super::AdminError;
use crate::error::ErrorCode;
use crate::ids::BrokerId;

/// A broker that can take replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableBroker {
    pub id: BrokerId,
    pub rack: Option<String>,
}

struct Rack {
    brokers: Vec<BrokerId>,
    /// Which broker comes first in the next partition that the rack takes part in.
    turn: usize,
}

/// Places partition after partition.
struct Placer<'a, R> {
    racks: Vec<Rack>,
    broker_count: usize,
    /// Which rack comes first in the next partition.
    turn: usize,
    placed_since_shuffle: usize,
    random: &'a mut R,
}

/// The replicas of `partitions` new partitions, the preferred leader of each first.
pub fn place(
    brokers: &[UsableBroker],
    partitions: usize,
    replication_factor: i16,
    random: &mut impl Rng,
) -> Result<Vec<Vec<BrokerId>>, AdminError> {
    let refuse = |message| Err(AdminError::new(ErrorCode::InvalidReplicationFactor, message));
    let replicas = match usize::try_from(replication_factor) {
        Ok(replicas) if replicas > 0 => replicas,
        _ => {
            return refuse(format!(
                "Invalid replication factor {replication_factor}: the replication factor must be positive."
            ));
        }
    };
    if brokers.is_empty() {
        return refuse("All brokers are currently fenced.".to_owned());
    }
    if replicas > brokers.len() {
        return refuse(format!(
            "The target replication factor of {replicas} cannot be reached because only {} broker(s) are registered.",
            brokers.len()
        ));
    }
    let mut placer = Placer::new(brokers, random);
    Ok((0..partitions).map(|_| placer.next(replicas)).collect())
}

impl<'a, R: Rng> Placer<'a, R> {
    fn new(brokers: &[UsableBroker], random: &'a mut R) -> Self {
        let mut by_rack: BTreeMap<Option<&str>, Vec<BrokerId>> = BTreeMap::new();
        for broker in brokers {
            by_rack.entry(broker.rack.as_deref()).or_default().push(broker.id);
        }
        let mut racks = Vec::with_capacity(by_rack.len());
        for mut brokers in by_rack.into_values() {
            brokers.sort_unstable();
            let turn = random.random_range(0..brokers.len());
            racks.push(Rack { brokers, turn });
        }
        let turn = random.random_range(0..racks.len());
        Self { racks, broker_count: brokers.len(), turn, placed_since_shuffle: 0, random }
    }

    /// There must be as many brokers as `replicas`.
    fn next(&mut self, replicas: usize) -> Vec<BrokerId> {
        if self.placed_since_shuffle == self.broker_count && self.broker_count > 1 {
            self.shuffle();
        }
        let mut placed = Vec::with_capacity(replicas);
        let mut taken = vec![0; self.racks.len()];
        for rack_number in (0..self.racks.len()).cycle().skip(self.turn) {
            if placed.len() == replicas {
                break;
            }
            let (rack, taken) = (&self.racks[rack_number], &mut taken[rack_number]);
            if *taken < rack.brokers.len() {
                placed.push(rack.brokers[(rack.turn + *taken) % rack.brokers.len()]);
                *taken += 1;
            }
        }
        for (rack, taken) in self.racks.iter_mut().zip(taken) {
            if taken > 0 {
                rack.turn = (rack.turn + 1) % rack.brokers.len();
            }
        }
        self.turn = (self.turn + 1) % self.racks.len();
        self.placed_since_shuffle += 1;
        placed
    }

    fn shuffle(&mut self) {
        self.racks.shuffle(self.random);
        for rack in &mut self.racks {
            rack.brokers.shuffle(self.random);
        }
        self.placed_since_shuffle = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn brokers(racks: &[Option<&str>]) -> Vec<UsableBroker> {
        let numbered = racks.iter().enumerate();
        numbered.map(|(id, rack)| UsableBroker { id: BrokerId(id as i32), rack: rack.map(str::to_owned) }).collect()
    }

    fn place_seeded(brokers: &[UsableBroker], partitions: usize, replicas: i16) -> Vec<Vec<BrokerId>> {
        place(brokers, partitions, replicas, &mut StdRng::seed_from_u64(7)).unwrap()
    }

    fn refusal(brokers: &[UsableBroker], replicas: i16) -> String {
        let error = place(brokers, 1, replicas, &mut StdRng::seed_from_u64(7)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidReplicationFactor);
        error.message
    }

    #[test]
    fn one_broker_takes_all() {
        assert_eq!(place_seeded(&brokers(&[None]), 3, 1), vec![vec![BrokerId(0)]; 3]);
    }

    #[test]
    fn too_many_replicas_are_refused() {
        assert_eq!(
            refusal(&brokers(&[None]), 3),
            "The target replication factor of 3 cannot be reached because only 1 broker(s) are registered."
        );
        assert_eq!(refusal(&[], 1), "All brokers are currently fenced.");
        assert_eq!(
            refusal(&brokers(&[None]), 0),
            "Invalid replication factor 0: the replication factor must be positive."
        );
    }

    #[test]
    fn replicas_are_distinct_and_leaders_even() {
        let brokers = brokers(&[None; 5]);
        let placed = place_seeded(&brokers, 500, 3);
        let mut leaders: HashMap<BrokerId, usize> = HashMap::new();
        for replicas in &placed {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
            *leaders.entry(replicas[0]).or_default() += 1;
        }
        assert!(leaders.values().all(|&count| count == 100), "{leaders:?}");
    }

    #[test]
    fn every_partition_is_in_every_rack() {
        let brokers = brokers(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("c"), Some("c")]);
        let rack = |id: &BrokerId| brokers[id.0 as usize].rack.clone();
        for replicas in place_seeded(&brokers, 100, 3) {
            assert_eq!(replicas.iter().map(rack).collect::<BTreeSet<_>>().len(), 3, "{replicas:?}");
        }
        let spread: BTreeSet<Vec<BrokerId>> = place_seeded(&brokers, 100, 3).into_iter().collect();
        assert!(spread.len() > 10, "{}", spread.len());
    }

    #[test]
    fn uneven_racks_still_fill_up() {
        let brokers = brokers(&[Some("a"), Some("a"), Some("a"), Some("b")]);
        for replicas in place_seeded(&brokers, 50, 4) {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 4);
        }
    }

    #[test]
    fn the_same_seed_places_alike() {
        let brokers = brokers(&[Some("a"), Some("b"), None, Some("b"), None]);
        assert_eq!(place_seeded(&brokers, 50, 2), place_seeded(&brokers, 50, 2));
    }
}
