//! Key servers in network namespaces of their own, with a wire for each link that can be cut. Needs root.

use std::process::Command;

use crate::namespace::{Namespace, missing, remove_leftovers};
use crate::site::Hosts;

/// A namespace for each server, a wire for each link, and one more from each server to the namespace of the applications. All of it is
/// removed with this value, and what a killed test left is removed by the next one.
pub(crate) struct Network {
    applications: Namespace,
    servers: Vec<(String, Namespace)>,
    links: Vec<(String, String)>,
}

impl Network {
    /// The network; `None`, with a note, where the environment says to do without namespaces.
    ///
    /// # Panics
    /// They cannot be made, and the environment does not say so.
    pub(crate) fn create(name: &str, servers: &[&str], links: &[(&str, &str)]) -> Option<(Self, Hosts)> {
        if std::env::var_os("PHOTONGATE_WITHOUT_NAMESPACES").is_some_and(|value| value == "1") {
            eprintln!("SKIPPED, since PHOTONGATE_WITHOUT_NAMESPACES=1");
            return None;
        }
        remove_leftovers();
        if let Some(why) = missing() {
            panic!("{why}: run scripts/test.sh, or set PHOTONGATE_WITHOUT_NAMESPACES=1 to leave out what needs them");
        }
        let mut hosts = Hosts::default();
        let mut network = Self {
            applications: Namespace::create(&format!("{name}-saes")).unwrap(),
            servers: Vec::new(),
            links: Vec::new(),
        };
        for (place, server) in (1..).zip(servers) {
            let namespace = Namespace::create(&format!("{name}-{server}")).unwrap();
            wire(&network.applications, &format!("to-{server}"), &namespace, "saes", &format!("10.80.{place}"));
            hosts.addresses.insert((*server).to_owned(), format!("10.80.{place}.2"));
            hosts.namespaces.insert((*server).to_owned(), namespace.name().to_owned());
            network.servers.push(((*server).to_owned(), namespace));
        }
        for (place, (one, other)) in (1..).zip(links) {
            let net = format!("10.81.{place}");
            wire(network.of(one), &format!("to-{other}"), network.of(other), &format!("to-{one}"), &net);
            hosts.neighbours.insert(((*other).to_owned(), (*one).to_owned()), format!("{net}.1"));
            hosts.neighbours.insert(((*one).to_owned(), (*other).to_owned()), format!("{net}.2"));
            network.links.push(((*one).to_owned(), (*other).to_owned()));
        }
        Some((network, hosts))
    }

    /// Runs `action` where applications are: a runtime of its own, whose sockets are in their namespace.
    pub(crate) fn run<T: Send>(&self, action: impl AsyncFnOnce() -> T + Send) -> T {
        let run = || {
            Ok(tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?.block_on(action()))
        };
        self.applications.enter(run).unwrap()
    }

    /// Cuts a link. The first end notices; the other one gets no answers any more.
    pub(crate) fn cut(&self, one: &str, other: &str) {
        self.of(one).ip(&format!("link set to-{other} down")).unwrap();
    }

    /// Joins a link that was cut.
    pub(crate) fn heal(&self, one: &str, other: &str) {
        self.of(one).ip(&format!("link set to-{other} up")).unwrap();
    }

    /// All links.
    pub(crate) fn links(&self) -> &[(String, String)] {
        &self.links
    }

    fn of(&self, server: &str) -> &Namespace {
        &self.servers.iter().find(|(name, _)| name == server).expect("it is a server of the network").1
    }
}

/// A wire between two namespaces, whose ends have the addresses `net`.1 and `net`.2.
fn wire(one: &Namespace, name: &str, other: &Namespace, other_name: &str, net: &str) {
    let made = Command::new("ip")
        .args([
            "link",
            "add",
            name,
            "netns",
            one.name(),
            "type",
            "veth",
            "peer",
            "name",
            other_name,
            "netns",
            other.name(),
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (namespace, end, address) in [(one, name, 1), (other, other_name, 2)] {
        namespace.ip(&format!("address add {net}.{address}/24 dev {end}")).unwrap();
        namespace.ip(&format!("link set {end} up")).unwrap();
    }
}
