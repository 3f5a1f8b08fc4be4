//! Which key server serves each autonomous system: as it is configured, or as routing has found out.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::IsdAs;

use crate::ids::QksId;
use crate::peer::LinkState;

/// Where autonomous systems are served.
#[derive(Debug)]
pub struct AsDirectory {
    here: BTreeSet<IsdAs>,
    fixed: BTreeMap<IsdAs, QksId>,
    link_state: LinkState,
}

/// Where an autonomous system is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsPlace {
    /// Here.
    Here,
    /// By another key server.
    At(QksId),
    /// Nobody knows.
    Unknown,
}

impl AsDirectory {
    /// The ASes in `here` are served here, and those in `fixed` by the servers named there, whatever routing says. All others are where
    /// `link_state` knows them to be.
    pub fn new(here: BTreeSet<IsdAs>, fixed: BTreeMap<IsdAs, QksId>, link_state: LinkState) -> Self {
        Self { here, fixed, link_state }
    }

    /// Where an AS is served.
    pub fn place(&self, isd_as: IsdAs) -> AsPlace {
        if self.here.contains(&isd_as) {
            return AsPlace::Here;
        }
        let routed = || self.link_state.routes()?.server_of_as(isd_as).cloned();
        self.fixed.get(&isd_as).cloned().or_else(routed).map_or(AsPlace::Unknown, AsPlace::At)
    }
}
