//! The log as a whole, on a real disk.

mod appending;
mod flushing;
mod model;
