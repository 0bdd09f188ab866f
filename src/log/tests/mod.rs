//! The log as a whole, on a real disk.

mod appending;
mod concurrency;
mod dump;
mod faults;
mod files;
mod flushing;
mod model;
mod retention;
mod rot;
mod timestamps;
mod transactions;
mod truncation;
