//! What a node says of itself, for status pages and metrics.

use super::Node;

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Contacts that have a place, in each bucket: the first are the farthest.
    pub buckets: Vec<usize>,
    /// Queries under way.
    pub pending: usize,
    /// Look-ups and announcements under way.
    pub lookups: usize,
    /// Values that this node has.
    pub held: usize,
    /// Nodes that are not heard.
    pub banned: usize,
    /// About how many nodes there are, as far as this one can tell by its neighbours.
    pub network: u64,
}

impl Node {
    /// How the node is.
    #[must_use]
    pub fn status(&self) -> Status {
        let buckets: Vec<_> = self.table.fill().collect();
        let known = 1 + buckets.iter().sum::<usize>() as u64;
        let estimate = self.table.spacing().map(|spacing| u128::MAX / spacing.max(1));
        Status {
            network: estimate.map_or(known, |estimate| u64::try_from(estimate).unwrap_or(u64::MAX)),
            buckets,
            pending: self.requests.len(),
            lookups: self.errands.len(),
            held: self.providers.count_held(),
            banned: self.bans.len(),
        }
    }
}
