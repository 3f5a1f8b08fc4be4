//! What the processes of a site are told: where they are, with whom they share links, and where everything of theirs is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::{Site, server_of};

/// Where servers are. All are on this machine, unless something else is said.
#[derive(Default)]
pub(crate) struct Hosts {
    /// The network namespace of a server.
    pub(crate) namespaces: BTreeMap<String, String>,
    /// Where applications find a server.
    pub(crate) addresses: BTreeMap<String, String>,
    /// Where a server finds another one.
    pub(crate) neighbours: BTreeMap<(String, String), String>,
}

impl Hosts {
    pub(super) fn address(&self, server: &str) -> &str {
        self.addresses.get(server).map_or("127.0.0.1", String::as_str)
    }

    fn neighbour(&self, of: &str, server: &str) -> &str {
        self.neighbours.get(&(of.to_owned(), server.to_owned())).map_or("127.0.0.1", String::as_str)
    }

    /// All addresses of a server, as a certificate has them.
    pub(super) fn all(&self, server: &str) -> String {
        let neighbours =
            self.neighbours.iter().filter(|((_, to), _)| to == server).map(|(_, address)| address.as_str());
        let all: Vec<_> =
            neighbours.chain(["127.0.0.1", self.address(server)]).map(|host| format!("\"{host}\"")).collect();
        all.join(", ")
    }
}

impl Site {
    /// What the configuration file of a process says.
    pub(super) fn configuration(&self, process: &str) -> String {
        let root = self.folder.path().display();
        let (sae_port, peer_port) = self.ports[process];
        let server = server_of(process);
        let listen = if self.hosts.namespaces.contains_key(process) { "0.0.0.0" } else { "127.0.0.1" };
        let database = self.databases.get(server).map_or_else(String::new, |url| {
            let file = self.path(server).join("database-url");
            // Another process of the server may be reading it.
            let new = self.path(process).join("database-url.new");
            fs::write(&new, url).unwrap();
            fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            fs::rename(new, &file).unwrap();
            format!("database_url = {{ file = \"{}\" }}", file.display())
        });
        let former = self.path(server).join("former.key");
        let previous = if former.exists() {
            format!("previous_master_keys = [{{ file = \"{}\" }}]", former.display())
        } else {
            String::new()
        };
        let mut text = format!(
            r#"id = "qks-{server}"
[state]
directory = "{root}/qks-{process}/state"
{database}
[tls]
certificate = "{root}/pki/qks-{server}.pem"
key = "{root}/pki/qks-{server}-key.pem"
[sae]
listen = ["{listen}:{sae_port}"]
client_ca = "{root}/pki/ca.pem"
[peers]
listen = ["{listen}:{peer_port}"]
ca = "{root}/pki/ca.pem"
[secrets]
master_key = {{ file = "{root}/qks-{server}/master.key" }}
{previous}
[[saes]]
id = "sae-{server}"
[[saes]]
id = "sae-{server}2"
[drkey]
isd_as = ["1-ff00:0:{server}"]
epoch = "6m"
[[drkey.filters]]
name = "filter-{server}"
isd_as = "1-ff00:0:{server}"
"#
        );
        for (one, other) in &self.links {
            let neighbour = if one == server {
                other
            } else if other == server {
                one
            } else {
                continue;
            };
            let processes = self.ports.iter().filter(|(process, _)| server_of(process) == neighbour);
            let host = self.hosts.neighbour(server, neighbour);
            let urls: Vec<_> = processes.map(|(_, (_, port))| format!("\"https://{host}:{port}/\"")).collect();
            let (url, other_urls) = (&urls[0], urls[1..].join(", "));
            let folder = self.key_folder(server, one, other);
            let _ = write!(
                text,
                r#"
[[neighbours]]
id = "qks-{neighbour}"
url = {url}
other_urls = [{other_urls}]
saes = ["sae-{neighbour}", "sae-{neighbour}2"]
isd_as = ["1-ff00:0:{neighbour}"]
[[links]]
name = "{one}{other}"
neighbour = "qks-{neighbour}"
[[links.sources]]
kind = "keyfile"
directory = "{}"
period = "100ms"
"#,
                folder.display()
            );
        }
        text + &self.more
    }
}
