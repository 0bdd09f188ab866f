//! Unmodified Kafka clients against a real `ottla` process.
//!
//! Each test starts its own [`Node`] on free ports with a data directory of its own, drives it with a client that
//! knows nothing of Ottla, and asks for what Apache Kafka does. So that a test can be held against the original,
//! `OTTLA_COMPAT_PEER=kafka` runs the same tests against a real Kafka; the few that ask for what only Ottla has
//! (its command line, its admin port) say so with [`only_ottla`].
//!
//! - [`node`]: the process: start, stop, kill, restart on the same directory and port.
//! - [`wire`]: a connection that speaks the protocol without any client library in between.
//! - [`batch`]: record batches byte by byte.
//! - [`classic_member`]: members of classic groups, by hand.
//! - [`tool`]: command line clients with a deadline: kcat, Kafka's own tools, the Java suites.
//! - [`suite`]: programs in other languages that run named cases, and stop the broker in their midst.
//! - [`wait`]: polling with a deadline; nothing here merely sleeps.
//! - [`http`]: one GET, for the admin port.
//! - [`librdkafka`]: producers that remember what was acknowledged, consumers by assignment.
//! - [`bystander`]: a client that produces and consumes beside an attack and notes how long it had to wait.
//! - [`siege`]: an attack beside a bystander, and what it cost the broker.
//! - [`rough`]: TCP without manners. [`bomb`]: a few bytes that decompress to gigabytes.
//!
//! `setup.sh` brings in what cargo cannot.

pub mod batch;
pub mod bomb;
pub mod bystander;
pub mod classic_member;
pub mod http;
pub mod librdkafka;
pub mod node;
pub mod rough;
pub mod siege;
pub mod suite;
pub mod tool;
pub mod wait;
pub mod wire;

mod peer;

pub use node::Node;
pub use peer::{FORMATTED_CLUSTER_ID, Peer, formatted_template, only_ottla, ottla};
