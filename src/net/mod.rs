//! Sockets: listeners that accept within limits, connections that answer in order.
//!
//! Owns: reading frames, bounding what is in flight, writing responses.
//! Never does: look into a request's body; that is `api`'s.
//!
//! ```text
//!  socket ─▶ FrameReader ─▶ api::start ─▶ queue of replies, oldest first ─▶ writer ─▶ socket
//!              │ not read while too much is in flight
//! ```

mod connection;
mod frame_reader;
mod limits;
mod listener;
mod memory;
mod writer;

pub use connection::ConnectionSettings;
pub use limits::{ConnectionLimits, LimitSettings};
pub use listener::{BindError, BoundListener, ListenerSettings};
pub use memory::RequestMemory;
