//! What is done to a broker, and how to say it on a command line.

use std::fmt;
use std::str::FromStr;

use crate::io::sim::SimFault;

/// One run of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) seed: u64,
    /// At most so many in each life.
    pub(super) actions: usize,
    pub(super) trouble: Trouble,
}

/// What goes wrong, and at which step of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    PowerCut {
        step: u64,
    },
    /// So many steps fail.
    Fault {
        step: u64,
        steps: u64,
        fault: SimFault,
    },
}

impl Trouble {
    pub(super) fn step(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::PowerCut { step } | Self::Fault { step, .. } => Some(*step),
        }
    }
}

/// `none`, `cut@17`, `eio@17+3`, `enospc@17+3`, `erofs@17+3`
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::PowerCut { step } => write!(f, "cut@{step}"),
            Self::Fault { step, steps, fault } => write!(f, "{}@{step}+{steps}", name_of(*fault)),
        }
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is none of: none, cut@17, eio@17+3, enospc@17+3, erofs@17+3");
        let number = |text: &str| text.parse().map_err(|_| bad());
        if text == "none" {
            return Ok(Self::None);
        }
        match text.split_once('@').ok_or_else(bad)? {
            ("cut", step) => Ok(Self::PowerCut { step: number(step)? }),
            (name, steps) => {
                let fault = FAULTS.into_iter().find(|fault| name_of(*fault) == name).ok_or_else(bad)?;
                let (step, steps) = steps.split_once('+').ok_or_else(bad)?;
                Ok(Self::Fault { step: number(step)?, steps: number(steps)?, fault })
            }
        }
    }
}

pub(super) const FAULTS: [SimFault; 3] = [SimFault::Io, SimFault::NoSpace, SimFault::ReadOnly];

fn name_of(fault: SimFault) -> &'static str {
    match fault {
        SimFault::Io => "eio",
        SimFault::NoSpace => "enospc",
        SimFault::ReadOnly => "erofs",
    }
}

/// The command that runs it again and shows every step.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "make sim SEED={} ACTIONS={} TROUBLE={}", self.seed, self.actions, self.trouble)
    }
}
