//! Which paths a payload takes.

use std::collections::BTreeSet;

use super::{LONGEST_PATH, MOST_SHARES};
use crate::ids::QksId;
use crate::routing::Routes;

/// The paths that the shares of a payload take, one each. Both ends are on every path; no server between is on two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// From the source to the destination.
    pub paths: Vec<Vec<QksId>>,
}

/// What a plan has to keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How many shares there are to be; all are needed. 1 for a payload that relays may see.
    pub shares: usize,
    /// Links on each path, at most.
    pub most_hops: usize,
    /// Servers that no path may lead through.
    pub avoid: BTreeSet<QksId>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// There is no way there.
    #[error("there is no way to the server")]
    Unreachable,
    /// There are ways, but too few without a server in common.
    #[error("there are {found} ways without a server in common to the server, and not {wanted}")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// There are ways, but one leads over too many links.
    #[error("the way to the server leads over {hops} links")]
    TooLong {
        /// How many links.
        hops: usize,
    },
    /// A number of shares that cannot be.
    #[error("a payload has from 1 to {MOST_SHARES} shares")]
    Shares,
}

impl Default for Wish {
    fn default() -> Self {
        Self { shares: 1, most_hops: LONGEST_PATH - 1, avoid: BTreeSet::new() }
    }
}

impl Plan {
    /// The cheapest plan that keeps to the wish.
    ///
    /// # Errors
    /// [`NoPlan`] says what stands against it.
    pub fn make(routes: &Routes, to: &QksId, wish: &Wish) -> Result<Self, NoPlan> {
        if !(1..=MOST_SHARES).contains(&wish.shares) {
            return Err(NoPlan::Shares);
        }
        let paths: Vec<_> =
            routes.disjoint_paths(to, wish.shares, &wish.avoid).into_iter().map(|route| route.path).collect();
        if paths.is_empty() {
            return Err(NoPlan::Unreachable);
        }
        if paths.len() < wish.shares {
            return Err(NoPlan::TooFew { found: paths.len(), wanted: wish.shares });
        }
        let hops = paths.iter().map(|path| path.len() - 1).max().expect("there are paths");
        if hops > wish.most_hops.min(LONGEST_PATH - 1) { Err(NoPlan::TooLong { hops }) } else { Ok(Self { paths }) }
    }
}
