//! Every metric's name and handle.
