//! Ottla beside Apache Kafka: the same clients, the same machine, turn by turn.
//!
//! Both brokers stay up for the whole run. Each load is run by each client: unrecorded rounds first, until the JVMs have
//! compiled what they need, then recorded ones, Ottla and Kafka in turn. Every round has a topic of its own that is
//! gone before the next one begins.
//!
//! - [`load`]: what is measured; [`groups`]: what is measured of groups, without a client library.
//! - What is measured only when it is named, because it takes long or room, with brokers of its own: [`restart`],
//!   [`compaction`], [`cold_reads`], [`partitions`], [`check`], and [`group_commit`], which asks
//!   no broker. They fill topics with [`fill`] and [`spread`].
//! - [`librdkafka`], [`java`]: the clients.
//! - [`contender`]: the brokers; [`cpu`]: what they spend.
//! - [`tally`]: rounds added up; [`report`]: the table.

mod check;
mod cold_reads;
mod compaction;
mod contender;
mod cpu;
mod fill;
mod group_commit;
mod groups;
mod java;
mod librdkafka;
mod load;
mod partitions;
mod report;
mod restart;
mod scale;
mod spread;
mod tally;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use ottla_compat_tests::Peer;
use ottla_compat_tests::wire::Wire;

use contender::Contender;
use cpu::Cpu;
use java::JavaClient;
use load::{Done, Kind, LOADS, Load, Order, PARTITIONS, RECORD_BYTES, SMALL_RECORD_BYTES};
use report::Report;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scale::Scale;
use tally::{Round, Tally};

const OPEN_FILES: u64 = 100_000;

/// Ottla beside Apache Kafka on this machine, as ratios.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    scale: Scale,
    /// Loads whose names begin so, instead of all but the large ones: restart, compaction, cold-reads, partitions, check,
    /// commit
    #[arg(long)]
    only: Vec<String>,
    /// One client instead of both
    #[arg(long)]
    client: Option<ClientName>,
    /// Load a broker that runs already, at host:port, for a profiler; nothing is compared
    #[arg(long)]
    against: Option<String>,
}

impl Args {
    fn loads(&self) -> impl Iterator<Item = &'static Load> {
        LOADS.iter().filter(|load| self.takes(load.name))
    }

    fn takes(&self, load: &str) -> bool {
        self.only.is_empty() || self.names(load)
    }

    fn names(&self, load: &str) -> bool {
        self.only.iter().any(|name| load.starts_with(name))
    }

    /// Nothing but what brings its own brokers.
    fn only_large(&self) -> bool {
        let mut small = LOADS.iter().map(|load| load.name).chain(groups::LOADS.iter().map(|(name, _)| *name));
        !small.any(|name| self.takes(name))
    }

    fn clients(&self) -> impl Iterator<Item = ClientName> {
        let only = self.client;
        [ClientName::Librdkafka, ClientName::Java]
            .into_iter()
            .filter(move |client| only.is_none_or(|only| only == *client))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientName {
    Librdkafka,
    Java,
}

/// Measures both brokers, which it starts itself.
type Large = fn(&Scale, &mut Report) -> Result<()>;

/// What is measured only when it is named.
const LARGE: [(&str, Large); 8] = [
    ("restart-size", restart::by_size),
    ("restart-partitions", restart::by_partitions),
    ("compaction", compaction::run),
    ("cold-reads", cold_reads::unflushed),
    ("cold-reads-flush", cold_reads::flushed),
    ("partitions", partitions::run),
    ("check", check::run),
    ("commit", group_commit::run),
];

/// The clients that take part.
struct Clients {
    java: JavaClient,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(bootstrap) = &args.against {
        return drive(bootstrap, &args);
    }
    raise_open_file_limit();
    let mut report = Report::new(args.scale.rounds);
    if !args.only_large() {
        compare(&args, &mut report)?;
    }
    for (name, measure) in LARGE {
        if args.names(name) {
            measure(&args.scale, &mut report)?;
        }
    }
    println!("{}", report.into_table());
    Ok(())
}

/// What two brokers that stay up are asked for in turn.
fn compare(args: &Args, report: &mut Report) -> Result<()> {
    let Scale { rounds, warm_up, .. } = args.scale;
    report.starts([Peer::Ottla, Peer::Kafka].map(|peer| contender::ready_after(peer, 3)));
    let pair = [Peer::Ottla, Peer::Kafka].map(Contender::start);
    let mut bench = Bench { pair, clients: Clients { java: JavaClient::start()? }, next_topic: 0 };
    report.idle([&bench.pair[0], &bench.pair[1]].map(|contender| contender.idle_rss_bytes));
    for load in args.loads() {
        for client in args.clients() {
            let tallies = bench.run(load, client, warm_up, rounds)?;
            report.load(load, client, &tallies);
        }
    }
    for (load, measure) in groups::LOADS {
        if args.takes(load) {
            groups::run(load, measure, &bench.pair, report)?;
        }
    }
    report.peak([&bench.pair[0], &bench.pair[1]].map(|contender| contender.node.peak_rss_bytes()));
    Ok(())
}

/// For this process and the brokers that it starts, as far as it may: ten thousand partitions are so many files at least.
fn raise_open_file_limit() {
    let wanted = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        eprintln!("open files stay limited to {maximum:?}");
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Loads one broker, round after round.
fn drive(bootstrap: &str, args: &Args) -> Result<()> {
    let mut clients = Clients { java: JavaClient::start()? };
    let mut wire = Wire::connect(bootstrap)?;
    for load in args.loads() {
        for client in args.clients() {
            for round in 0..args.scale.rounds {
                let topic = format!("{}-{client:?}-{round}", load.name);
                let order = order(load, bootstrap.to_owned(), &topic);
                wire.create_topic(&topic, order.partitions, &[])?;
                if matches!(load.kind, Kind::Consume { .. }) {
                    librdkafka::produce(&order)?;
                }
                let done = clients.run(load, client, &order)?;
                println!("{topic}: {} records in {:.2} s", done.records, done.elapsed.as_secs_f64());
                wire.delete_topic(&topic)?;
            }
        }
    }
    Ok(())
}

struct Bench {
    pair: [Contender; 2],
    clients: Clients,
    next_topic: usize,
}

impl Bench {
    /// All rounds of one load by one client: Ottla's and Kafka's sums.
    fn run(&mut self, load: &Load, client: ClientName, warm_up: usize, rounds: usize) -> Result<[Tally; 2]> {
        let mut tallies = [Tally::default(), Tally::default()];
        let topics = match load.kind {
            // What is read stays for all rounds.
            Kind::Consume { .. } => Some([self.filled_topic(load, 0)?, self.filled_topic(load, 1)?]),
            _ => None,
        };
        for round in 0..warm_up + rounds {
            for which in 0..2 {
                let fresh = topics.is_none();
                let topic = match &topics {
                    Some(topics) => topics[which].clone(),
                    None => self.topic(load, which)?,
                };
                let measured = self.measure(load, client, which, &topic)?;
                if fresh {
                    self.pair[which].delete_topic(&topic)?;
                }
                let recorded = round >= warm_up;
                eprintln!(
                    "{} {client:?} {} {}: {measured}",
                    load.name,
                    self.pair[which].name(),
                    if recorded { "round" } else { "warm-up" },
                );
                if recorded {
                    tallies[which].add(measured);
                }
            }
        }
        for (which, topic) in topics.into_iter().flatten().enumerate() {
            self.pair[which].delete_topic(&topic)?;
        }
        Ok(tallies)
    }

    /// One round against one of the two brokers.
    fn measure(&mut self, load: &Load, client: ClientName, which: usize, topic: &str) -> Result<Round> {
        let contender = &self.pair[which];
        let (pid, other) = (contender.node.pid(), self.pair[1 - which].node.pid());
        let order = order(load, contender.node.bootstrap(), topic);
        let others = |clients: &Clients| {
            let spent = [std::process::id(), clients.java.pid(), other].map(Cpu::of_process);
            spent.into_iter().try_fold(Cpu::default(), |sum, cpu| Ok::<_, anyhow::Error>(sum + cpu?))
        };
        let before = (Cpu::of_process(pid)?, others(&self.clients)?, cpu::machine_busy()?);
        let done = self.clients.run(load, client, &order)?;
        let after = (Cpu::of_process(pid)?, others(&self.clients)?, cpu::machine_busy()?);
        Ok(Round {
            bytes: done.records * order.record_bytes as u64,
            broker: after.0 - before.0,
            machine: (after.2 - before.2) - (after.1 - before.1).total(),
            done,
        })
    }

    /// A new topic on one of the brokers.
    fn topic(&mut self, load: &Load, which: usize) -> Result<String> {
        self.next_topic += 1;
        let topic = format!("bench{}", self.next_topic);
        let partitions = order(load, String::new(), "").partitions;
        self.pair[which].create_topic(&topic, partitions, load.flush_before_ack, &[])?;
        Ok(topic)
    }

    fn filled_topic(&mut self, load: &Load, which: usize) -> Result<String> {
        let topic = self.topic(load, which)?;
        librdkafka::produce(&order(load, self.pair[which].node.bootstrap(), &topic))?;
        Ok(topic)
    }
}

impl Clients {
    fn run(&mut self, load: &Load, client: ClientName, order: &Order) -> Result<Done> {
        match (load.kind, client) {
            (Kind::Produce { .. } | Kind::ProduceSingly { .. }, ClientName::Librdkafka) => librdkafka::produce(order),
            (Kind::Produce { .. } | Kind::ProduceSingly { .. }, ClientName::Java) => self.java.produce(order),
            (Kind::Paced { .. }, ClientName::Librdkafka) => librdkafka::paced(order),
            (Kind::Paced { .. }, ClientName::Java) => self.java.paced(order),
            (Kind::Consume { passes, .. }, _) => {
                let mut sum = Done::default();
                for _ in 0..passes {
                    let done = match client {
                        ClientName::Librdkafka => librdkafka::consume(order)?,
                        ClientName::Java => self.java.consume(order)?,
                    };
                    sum.records += done.records;
                    sum.elapsed += done.elapsed;
                    sum.requests += done.requests;
                }
                Ok(sum)
            }
        }
    }
}

fn order(load: &Load, bootstrap: String, topic: &str) -> Order {
    let (partitions, record_bytes, batch_bytes, records, rate) = match load.kind {
        Kind::Produce { batch_bytes, total_bytes } | Kind::Consume { batch_bytes, total_bytes, .. } => {
            (PARTITIONS, RECORD_BYTES, batch_bytes, total_bytes / RECORD_BYTES as u64, 0)
        }
        Kind::ProduceSingly { records } => (1, SMALL_RECORD_BYTES, 1, records, 0),
        Kind::Paced { rate, seconds } => (PARTITIONS, SMALL_RECORD_BYTES, 16 << 10, rate * seconds, rate),
    };
    Order { bootstrap, topic: topic.to_owned(), partitions, records, record_bytes, batch_bytes, rate }
}
