//! Ottla: a Kafka-wire-compatible broker. This page is the map.
//!
//! # Bird's-eye view
//!
//! Kafka clients speak to [`net`]; [`api`] decodes a request and calls one service; records lie in [`log`], in Kafka's
//! own files; who leads what and how topics are configured lies in [`metadata`], a revisioned key-value store. One
//! node needs nothing beside itself: its store is a file.
//!
//! ```text
//!              ┌─────────┐   ┌──────────────────────┐       ┌──────────────┐   ┌───────────────┐
//!  clients ──▶ │   net   │──▶│         api          │──────▶│ replication  │──▶│      log      │──▶ io::Disk
//!              │ frames, │   │ one row and one file │       │ Partition:   │   │ segments,     │
//!              │ order   │◀──│ per API key          │       │ ISR, high    │   │ indexes,      │
//!              └─────────┘   └────┬────────────┬────┘       │ watermark    │◀──│ group commit  │
//!                                 ▼            ▼            └──▲────────▲──┘   └───────────────┘
//!                          ┌────────────┐ ┌─────────────┐      │        │
//!                          │ controller │ │ coordinator │──────┘        │ image
//!                          │ decides,   │ │ groups      │ records       │
//!                          │ writes     │ └─────────────┘       ┌───────┴──────┐
//!                          └─────┬──────┘                       │   metadata   │
//!                                └─────────────────────────────▶│ store, image │
//!                                                               └──────────────┘
//! ```
//!
//! # The way of a request
//!
//! socket → [`net`] (a size-capped frame as `Bytes`) → [`api`] (header, body, one handler; record bytes stay slices of
//! the frame) → one service call → response → socket, in request order.
//!
//! - **Produce**: [`replication::Partition::append`] → [`log::partition_log::PartitionLog`]: check the batch header and
//!   CRC, assign offsets, one positioned write to the page cache. Then a sync is requested; when it is done the
//!   flushed offset moves, with it the high watermark, and acks=all is answered. No record is looked at, no byte of
//!   it copied.
//! - **Fetch**: a session knows which partitions have news; batches go from the file to the socket by `sendfile`.
//! - **Groups**: [`coordinator::group`] finds the shard of the group's partition of `__consumer_offsets`; a pure machine
//!   decides; its records are appended as a producer's are, then applied; the reply leaves when the high watermark has
//!   passed them.
//! - **Quotas**: bytes and time are counted by [`quota`] while a request is served; its reply tells the throttle time, and
//!   [`net`] does not read the connection for so long. Where no quota is set this costs one atomic load.
//! - **Admin**: [`controller`] decides from the image, writes a transaction that compares what it read, and answers
//!   once this broker's image has it.
//!
//! # Invariants
//!
//! - A module imports only from the modules declared above it in this file (`tests/layering.rs`).
//! - Files are reached through [`io::Disk`], time through [`time::Clock`]; both have a form that a test owns.
//! - A tokio worker never waits for a device: syncs are submitted and complete as events, cold records and admin's file
//!   work are for blocking threads, a cold look-up hands the worker's queue over first, checkpoints, retention and cleaning
//!   have threads of their own.
//! - Consumers see what is below the high watermark, which is flushed on every in-sync replica
//!   (unless `flush.before.ack` is off).
//! - A sync that failed is never retried as if it had worked: the log directory goes offline, as with any other failure of
//!   its device. A directory that is full or read-only refuses producers and serves all else, until it takes writes again.
//! - An open file is a cache: logs keep no more of them than the process has descriptors for.
//! - A batch that is known to be damaged is never served.
//! - Every registration of a broker takes new leader epochs before it appends.
//! - A coordinator's state changes by records alone, live as in replay, and no reply tells of what is not committed.
//! - What comes from the wire, the disk or the metadata store is checked and never asserted; every queue, buffer and
//!   decoded length has a bound.
//!
//! # On a Kafka's directory
//!
//! [`adopt`] reads what a Kafka that was stopped left, decides what of it is taken over and writes that into the metadata
//! store; the logs are served as they lie. Until the first write the directory stays as it was.
//!
//! # What is absent
//!
//! Transactions, security, replication between brokers, tiered storage. Their places are kept: the README's table says
//! what works.

pub mod error;
pub mod ids;
pub mod time;

pub mod metrics;

pub mod io;

pub mod config;

pub mod protocol;

pub mod log;

pub mod metadata;

pub mod controller;

pub mod quota;

pub mod telemetry;

pub mod replication;

pub mod coordinator;

pub mod api;

pub mod net;

pub mod admin;

pub mod adopt;

pub mod check;

pub mod broker;

pub mod cli;
