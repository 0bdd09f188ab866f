//! The classic machine, run as the runtime runs it: one group, its log, its timers and those who wait.

mod random;
mod scale;
mod scripts;
mod subscriptions;
mod world;
