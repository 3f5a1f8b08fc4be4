//! Which names in a certificate are names of nodes.

use std::sync::Arc;

use photongate_net::quic::VerifyHostNameCallback;
use photongate_net::tls::Subject;

/// Patterns of names: `node-1.example`, or `*.example` for all names that have one part more. None at all: every DNS name. Clones are
/// the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<[String]>);

impl Names {
    /// Takes names that one of the patterns describes.
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect())
    }

    /// The name of the node that has a certificate with these names: the first that is taken, in lower case.
    pub(crate) fn name_in(&self, subject: &Subject) -> Option<String> {
        subject.dns_names().map(str::to_ascii_lowercase).find(|name| self.take(name))
    }

    /// Whether a name, in lower case, is one of a node.
    fn take(&self, name: &str) -> bool {
        // A certificate for many names names none of them.
        if name.contains('*') {
            return false;
        }
        let is_meant = |pattern: &String| match (pattern.strip_prefix("*."), name.split_once('.')) {
            (Some(domain), Some((_, rest))) => domain == rest,
            (Some(_), None) => false,
            (None, _) => pattern == name,
        };
        self.0.is_empty() || self.0.iter().any(is_meant)
    }
}

impl VerifyHostNameCallback for Names {
    fn verify_host_name(&self, host_name: &str) -> bool {
        self.take(&host_name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_describes_names_with_one_part_more() {
        let names = Names::new(&["*.Filters.example".into(), "origin.example".into()]);
        for (name, taken) in [
            ("a.filters.example", true),
            ("origin.example", true),
            ("filters.example", false),
            ("a.b.filters.example", false),
            ("*.filters.example", false),
            ("other.example", false),
        ] {
            assert_eq!(names.verify_host_name(name), taken, "{name}");
        }
        assert!(Names::default().verify_host_name("anybody"));
        assert!(!Names::default().verify_host_name("*.example"));
    }
}
