//! Limits by destination prefix.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Limit;
use crate::routes::{InvalidRoutes, RouteTable};

/// A limit for each of some destination prefixes. The longest prefix around a destination decides; there is none for
/// other destinations.
#[derive(Debug, Default)]
pub struct DestinationLimits {
    by_prefix: RouteTable<usize>,
    limits: Vec<Arc<Limit>>,
}

impl DestinationLimits {
    /// The limits, shared so that a reload can keep those whose settings stay the same.
    ///
    /// # Errors
    /// All prefixes given twice or with host bits set.
    pub fn new(limits: impl IntoIterator<Item = (IpNet, Arc<Limit>)>) -> Result<Self, InvalidRoutes> {
        let (prefixes, limits): (Vec<IpNet>, Vec<_>) = limits.into_iter().unzip();
        let by_prefix = RouteTable::new(prefixes.into_iter().zip(0..))?;
        Ok(Self { by_prefix, limits })
    }

    /// The limit for packets to `destination`.
    pub fn look_up(&self, destination: IpAddr) -> Option<&Limit> {
        let index = self.by_prefix.look_up(destination)?;
        self.limits.get(index).map(Arc::as_ref)
    }

    /// The limits, in the order in which they were given.
    pub fn limits(&self) -> &[Arc<Limit>] {
        &self.limits
    }

    /// Whether no destination is limited, so that the stage can be left out.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }
}
