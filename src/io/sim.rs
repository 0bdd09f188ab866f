//! A disk in memory, with crashes and faults.
