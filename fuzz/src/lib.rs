//! What is fuzzed: one function for each target, which takes any bytes and panics where a promise does not hold.
//!
//! | target       | bytes                                            | promise                                             |
//! |--------------|--------------------------------------------------|-----------------------------------------------------|
//! | `frames`     | what a connection sends                          | cut alike, however it arrives; capped               |
//! | `header`     | one frame                                        | read as it was written                              |
//! | `dispatch`   | what a connection sends, to a broker in memory   | one response each, in order, that a client can read |
//! | `requests`   | a body of any API, served or not                 | what decodes encodes again                          |
//! | `batch`      | a record batch                                   | the same records in every codec                     |
//! | `decompress` | compressed data                                  | capped, and back again                              |
//! | `adopt`      | what a Kafka left, or its tools print            | read or refused; nothing is served that is not here |
//! | `check`      | a log directory                                  | checked, and sound once it is repaired              |
//! | `append`     | what a producer sends to one partition           | in the log whole, or not at all                     |
//! | `files`      | a small file of a log directory, or a config     | read or refused; written again it reads the same    |
//! | `indexes`    | an index file                                    | read or refused; what is found was asked for        |
//! | `records`    | a record of an internal topic                    | read or refused; written again it reads the same    |
//! | `recovery`   | a log directory                                  | opened; it serves, and the same after a kill        |
//!
//! `fuzz_targets/` hands these functions to libFuzzer. `tests/fuzz_seeds.rs` of the main package holds this file too, and
//! runs all of them over the seeds and what is made of them.

pub mod adopt;
pub mod append;
pub mod batch;
pub mod check;
pub mod decompress;
pub mod dispatch;
pub mod files;
pub mod frames;
pub mod header;
pub mod indexes;
pub mod input;
pub mod records;
pub mod recovery;
pub mod requests;
pub mod seeds;

/// One target: its name, and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("adopt", adopt::run),
    ("append", append::run),
    ("batch", batch::run),
    ("check", check::run),
    ("decompress", decompress::run),
    ("dispatch", dispatch::run),
    ("files", files::run),
    ("frames", frames::run),
    ("header", header::run),
    ("indexes", indexes::run),
    ("records", records::run),
    ("recovery", recovery::run),
    ("requests", requests::run),
];
