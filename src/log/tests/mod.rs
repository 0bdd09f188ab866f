//! The log as a whole, on a real disk and on one that fails.

mod appending;
mod concurrency;
mod dump;
mod faults;
mod files;
mod flushing;
mod model;
mod retention;
mod rot;
mod simulation;
mod timestamps;
mod transactions;
mod truncation;
