//! Ottla: a Kafka-wire-compatible broker.

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

pub mod replication;

pub mod api;

pub mod net;

pub mod admin;

pub mod cli;
