//! A subscription to the metrics of clients (KIP-714).

use super::rows::resource_keys;
use crate::config::key::{ANY, HONOURED, Key, NON_EMPTY_ELEMENTS};

pub(super) const KEYS: &[Key] = resource_keys! { ClientMetrics;
    Int "interval.ms" = "300000", ANY, HONOURED, from [];
        "How often a client that matches pushes its metrics."
    List "match" = "", NON_EMPTY_ELEMENTS, HONOURED, from [];
        "Which clients the subscription is for: selector=regular expression pairs, all of which have to match."
    List "metrics" = "", NON_EMPTY_ELEMENTS, HONOURED, from [];
        "The metrics wanted, by the beginnings of their names; * is all of them."
};
