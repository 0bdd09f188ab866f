//! The fuzz targets, run over their seeds and a fixed number of mutations of each: what fuzzing begins with holds with
//! every build, and a finding that became a seed stays mended.

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use targets::{TARGETS, append, dispatch, seeds};

/// Mutated inputs of each target, over all of its seeds.
const MUTATIONS: usize = 3000;
/// Those of targets that begin with a whole broker or log take longer.
const SLOW_MUTATIONS: usize = 1000;
const SLOW: &[&str] = &["append", "check", "dispatch", "recovery"];
/// No target may ever need more, whatever lengths its input claims.
const MAX_RESIDENT_BYTES: u64 = 256 << 20;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// The seeds of a target by name.
#[expect(clippy::disallowed_methods, reason = "seeds are not a broker's data")]
fn seeds_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(folder(target)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        seeds.push((name, std::fs::read(&path).unwrap()));
    }
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds.sort();
    seeds
}

/// Runs the target and says with which input it failed.
fn run(target: fn(&[u8]), what: &str, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(outcome.is_ok(), "{what} fails with {input:02x?}");
}

/// Lengths and numbers that code forgets.
const EXTREMES: &[u32] =
    &[0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x00ff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

fn mutate(input: &mut Vec<u8>, others: &[(String, Vec<u8>)], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let length = random.random_range(0..=(input.len() - at).min(64));
    match random.random_range(0..8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..at + length)),
        2 => {
            let repeated = input[at..at + length].to_vec();
            input.splice(at..at, repeated);
        }
        3 => {
            let (_, other) = others.choose(random).unwrap();
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        4 | 5 => {
            let extreme = EXTREMES.choose(random).unwrap().to_be_bytes();
            let width = *[1, 2, 4].choose(random).unwrap();
            let end = (at + width).min(input.len());
            input.splice(at..end, extreme[4 - width..].iter().copied());
        }
        // A variable-length number: the largest that five bytes hold.
        6 => drop(input.splice(at..(at + 1).min(input.len()), [0xff, 0xff, 0xff, 0xff, 0x0f])),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
    }
}

fn check_target(name: &str) {
    let &(_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds_of(name);
    for (seed, input) in &seeds {
        run(target, &format!("{name}/{seed}"), input);
    }
    let mut random = StdRng::seed_from_u64(1);
    let mutations = if SLOW.contains(&name) { SLOW_MUTATIONS } else { MUTATIONS };
    for at in 0..mutations {
        let (seed, input) = &seeds[at % seeds.len()];
        let mut input = input.clone();
        for _ in 0..random.random_range(1..4) {
            mutate(&mut input, &seeds, &mut random);
        }
        run(target, &format!("a mutation of {name}/{seed}"), &input);
    }
    let resident_bytes = peak_resident_bytes();
    assert!(resident_bytes < MAX_RESIDENT_BYTES, "{resident_bytes} bytes are too many for {name}");
}

#[expect(clippy::disallowed_methods, reason = "the process's own memory")]
fn peak_resident_bytes() -> u64 {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes * 1024)
}

macro_rules! check_targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            check_target(stringify!($name));
        })*

        #[test]
        fn every_target_is_checked_and_built() {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let manifest = include_str!("../fuzz/Cargo.toml");
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} has no fuzz target");
            }
        }
    };
}

check_targets!(
    adopt, append, batch, check, decompress, dispatch, files, frames, header, indexes, records, recovery, requests
);

/// Requests that are all refused at the door would find nothing.
#[test]
fn seeds_reach_what_they_are_for() {
    for (target, name, bytes) in seeds::all() {
        let reaches = match target {
            "append" => append::has_appended(&bytes),
            "dispatch" => dispatch::answered(&bytes) > 0,
            _ => continue,
        };
        assert!(reaches, "{target}/{name} is refused");
    }
}

/// `cargo test --test fuzz_seeds -- --ignored`
#[test]
#[ignore = "writes fuzz/seeds anew"]
#[expect(clippy::disallowed_methods, reason = "seeds are not a broker's data")]
fn write_seeds() {
    for (target, name, bytes) in seeds::all() {
        std::fs::create_dir_all(folder(target)).unwrap();
        std::fs::write(folder(target).join(name), bytes).unwrap();
    }
}
