//! Nodes to begin with: those of the configuration, and those that were known last time.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use photongate_net::{NodeAddress, secret_file};

use crate::config::DhtConfig;

/// Nodes to begin with.
#[derive(Clone, Debug)]
pub(super) struct KnownNodes {
    configured: Vec<NodeAddress>,
    /// A file of more, which may change at any time.
    configured_file: Option<PathBuf>,
    /// Where those are written down that this node knows.
    remembered: PathBuf,
}

impl KnownNodes {
    pub(super) fn open(remembered: &Path, config: &DhtConfig) -> Self {
        Self {
            configured: config.bootstrap.clone(),
            configured_file: config.bootstrap_file.clone(),
            remembered: remembered.to_owned(),
        }
    }

    /// Whether there is anybody to begin with but those of last time.
    pub(super) fn is_first_node(&self) -> bool {
        self.configured.is_empty() && self.configured_file.is_none()
    }

    /// The addresses of all of them. Names are looked up; those without an address are left out, and told.
    pub(super) async fn addresses(&self) -> Vec<SocketAddr> {
        let mut names = self.configured.clone();
        for file in self.configured_file.iter().chain([&self.remembered]) {
            match fs::read_to_string(file) {
                Ok(text) => names.extend(lines(&text)),
                Err(error) if *file != self.remembered => {
                    tracing::warn!("{} cannot be read: {error}", file.display());
                }
                // There was no last time.
                Err(_) => {}
            }
        }
        let mut addresses = BTreeSet::new();
        for name in names.iter().take(MOST) {
            match name.resolve().await {
                Ok(found) => addresses.extend(found),
                Err(error) => tracing::warn!("{name}: {error}"),
            }
        }
        addresses.into_iter().collect()
    }

    /// Writes down who is known now.
    pub(super) fn remember(&self, nodes: &[SocketAddr]) {
        if nodes.is_empty() {
            return;
        }
        let mut text = String::new();
        for node in nodes.iter().take(MOST) {
            writeln!(text, "{node}").expect("a string takes any text");
        }
        if let Err(error) = secret_file::replace(&self.remembered, text.as_bytes()) {
            tracing::warn!("{} cannot be written: {error}", self.remembered.display());
        }
    }
}

/// Addresses, one a line. Empty lines and what follows `#` are left out.
fn lines(text: &str) -> impl Iterator<Item = NodeAddress> {
    let words = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    words.filter(|word| !word.is_empty()).filter_map(|word| {
        let address = NodeAddress::parse(word, None);
        if address.is_none() {
            tracing::warn!("{word:?} is no address of a node: write host and port");
        }
        address
    })
}

const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nodes_may_have_comments_and_mistakes() {
        let text = "# ours\n192.0.2.1:8484\n\n  dht-2.example:1 # the second\nnonsense\n";
        let read: Vec<_> = lines(text).map(|address| address.to_string()).collect();
        assert_eq!(read, ["192.0.2.1:8484", "dht-2.example:1"]);
    }
}
