//! The configuration of a key server: one typed value from a TOML or JSON file, or every mistake in it.

mod sources;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use photongate_net::config::{self, Format, FromValue, Loaded, Problems, Reported, Section, Value};
use photongate_net::http::{ManagementConfig, ManagementDefaults};
use photongate_wire::{IsdAs, Nanos};
use url::Url;

pub use self::sources::{Bb84Config, SourceConfig};
use crate::directory::IdentityRule;
use crate::drkey::DrkeyConfig;
use crate::ids::{LinkId, NotAName, QksId, SaeId};
use crate::keys::KeyOptions;
use crate::sae::Limits;
use crate::secrets::{SecretRef, SecretsConfig};

/// What the file says.
#[derive(Debug)]
pub struct QksConfig {
    /// The folder of the file, where relative paths begin.
    pub folder: PathBuf,
    /// The server's name in the network: its KME ID, and the common name of its certificate.
    pub id: QksId,
    /// Where everything is kept that has no other place.
    pub state: PathBuf,
    /// The URL of a PostgreSQL database. `None`: an SQLite file in the state folder.
    pub database_url: Option<SecretRef>,
    /// What the server shows in TLS handshakes.
    pub tls: TlsConfig,
    /// The interface to applications.
    pub sae: SaeConfig,
    /// The interface to other key servers.
    pub peers: PeersConfig,
    /// Administration, while it is enabled.
    pub admin: Option<ManagementConfig>,
    /// What keys are like.
    pub keys: KeyOptions,
    /// What guards secrets at rest.
    pub secrets: SecretsConfig,
    /// Applications that are registered at each start.
    pub saes: Vec<SaeConfigured>,
    /// The key servers that links lead to.
    pub neighbours: Vec<NeighbourConfig>,
    /// The links.
    pub links: Vec<LinkConfig>,
    /// The keys between autonomous systems.
    pub drkey: DrkeyConfig,
}

/// `[tls]`: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[sae]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaeConfig {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The authorities that issue certificates of applications, a PEM file.
    pub client_ca: PathBuf,
    /// By what part of its certificate an application is known.
    pub identity: IdentityRule,
    /// Whether `key_IDs` may be an array of texts.
    pub accept_plain_key_ids: bool,
}

/// `[peers]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeersConfig {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The authorities that issue certificates of key servers, a PEM file.
    pub ca: PathBuf,
}

/// One of `[[saes]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaeConfigured {
    /// Its name.
    pub id: SaeId,
    /// Fingerprints or serial numbers of its certificates.
    pub certificates: Vec<String>,
}

/// One of `[[neighbours]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// Its name.
    pub id: QksId,
    /// Where its interface to other servers is.
    pub url: Url,
    /// Where it is also, if several processes are that server.
    pub other_urls: Vec<Url>,
    /// Applications that are known to be served there, whatever routing says.
    pub saes: Vec<SaeId>,
    /// The autonomous systems whose DRKeys it makes.
    pub isd_as: Vec<IsdAs>,
}

/// One of `[[links]]`.
#[derive(Debug)]
pub struct LinkConfig {
    /// Its name, the same at both ends.
    pub name: LinkId,
    /// Where it leads.
    pub neighbour: QksId,
    /// How much it lets the stock with the neighbour hold. Links to one neighbour add up.
    pub capacity_bytes: u64,
    /// How long material is good for.
    pub lifetime: Nanos,
    /// Where its keys come from, in the same order at both ends.
    pub sources: Vec<SourceConfig>,
}

impl QksConfig {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// All its problems, in their order.
    pub fn load(path: &Path) -> Result<Loaded<Self>, Problems> {
        config::read_file(path, |root| read(root, path))
    }

    /// Reads and checks `text`, as what a file at `path` would hold.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(path: &Path, text: &str) -> Result<Loaded<Self>, Problems> {
        config::read_text(path, text, |root| read(root, path))
    }
}

impl LinkConfig {
    /// Reads and checks a link that is not in the configuration: a JSON object with the fields of `[[links]]`. Relative paths begin at
    /// `folder`.
    ///
    /// # Errors
    /// All its problems.
    pub fn parse(folder: &Path, json: &str, neighbours: &BTreeSet<QksId>) -> Result<Self, Problems> {
        let read = config::read_as(Format::Json, &folder.join("link.json"), json, |root| link(root, neighbours));
        read.map(|loaded| loaded.config)
    }
}

fn read(root: &mut Section<'_>, path: &Path) -> Result<QksConfig, Reported> {
    let id = root.required("id");
    let state = root.section("state", |state| {
        let directory = state.or_with("directory", PathBuf::from(DEFAULT_STATE), Value::path);
        let database_url = state.optional("database_url");
        Ok((directory?, database_url?))
    });
    let tls = root.section("tls", |tls| {
        let certificate = tls.required_with("certificate", "\"qks.pem\"", Value::path);
        let key = tls.required_with("key", "\"qks-key.pem\"", Value::path);
        Ok(TlsConfig { certificate: certificate?, key: key? })
    });
    let sae = root.section("sae", sae);
    let peers = root.section("peers", |peers| {
        let listen = listen(peers, "0.0.0.0:8444");
        let ca = peers.required_with("ca", "\"ca.pem\"", Value::path);
        Ok(PeersConfig { listen: listen?, ca: ca? })
    });
    let admin = root.section("admin", |admin| {
        let socket = state.as_ref().map_err(|reported| *reported)?.0.join("admin.sock");
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8480));
        ManagementConfig::read(admin, ManagementDefaults { section: "admin", socket, listen })
    });
    let keys = root.section("keys", keys);
    let secrets = root.section("secrets", SecretsConfig::read);
    let saes = root.sections("saes", |sae| {
        let id = sae.required("id");
        let certificates = sae.list("certificates");
        Ok(SaeConfigured { id: id?, certificates: certificates? })
    });
    let drkey = root.section("drkey", DrkeyConfig::read);
    let mut ases: BTreeSet<_> = drkey.iter().flat_map(|drkey: &DrkeyConfig| drkey.isd_as.iter().copied()).collect();
    let neighbours = root.sections("neighbours", |neighbour| {
        let id = neighbour.required("id");
        let url = neighbour.required_with("url", "\"https://qks-b.example:8444/\"", key_server_url);
        let other_urls = neighbour.or_with("other_urls", Vec::new(), |urls| urls.items(key_server_url));
        let saes = neighbour.list("saes");
        let isd_as = neighbour.or_with("isd_as", Vec::new(), |list| {
            list.items(|value| {
                let isd_as = IsdAs::from_value(value)?;
                if ases.insert(isd_as) { Ok(isd_as) } else { Err(value.refuse("is served by one key server only")) }
            })
        });
        Ok(NeighbourConfig { id: id?, url: url?, other_urls: other_urls?, saes: saes?, isd_as: isd_as? })
    });
    let known: BTreeSet<_> =
        neighbours.iter().flatten().map(|neighbour: &NeighbourConfig| neighbour.id.clone()).collect();
    let links = root.sections("links", |section| link(section, &known));
    let (state, database_url) = state?;
    Ok(QksConfig {
        folder: path.parent().map_or_else(PathBuf::new, Path::to_owned),
        id: id?,
        state,
        database_url,
        tls: tls?,
        sae: sae?,
        peers: peers?,
        admin: admin?,
        keys: keys?,
        secrets: secrets?,
        saes: saes?,
        neighbours: neighbours?,
        links: links?,
        drkey: drkey?,
    })
}

fn sae(sae: &mut Section<'_>) -> Result<SaeConfig, Reported> {
    let listen = listen(sae, "0.0.0.0:8443");
    let client_ca = sae.required_with("client_ca", "\"ca.pem\"", Value::path);
    let identity = sae.or_with("identity", IdentityRule::default(), |identity| identity.choice(IDENTITIES));
    let accept_plain_key_ids = sae.or("accept_plain_key_ids", false);
    Ok(SaeConfig {
        listen: listen?,
        client_ca: client_ca?,
        identity: identity?,
        accept_plain_key_ids: accept_plain_key_ids?,
    })
}

fn keys(keys: &mut Section<'_>) -> Result<KeyOptions, Reported> {
    let defaults = KeyOptions::default();
    let limits = defaults.limits;
    let size = keys.or_with("size_bits", limits.key_size_bits, bits);
    let least = keys.or_with("min_size_bits", limits.min_key_size_bits, bits);
    let most = keys.or_with("max_size_bits", limits.max_key_size_bits, bits);
    let max_keys =
        keys.or_with("max_per_request", limits.max_keys_per_request, |count| count.number(1..=4_096, "keys"));
    let max_saes =
        keys.or_with("max_additional_saes", limits.max_sae_ids, |count| count.number(0..=1_024, "applications"));
    let key_lifetime = keys.or("lifetime", defaults.key_lifetime);
    let answer_lifetime = keys.or("answer_lifetime", defaults.answer_lifetime);
    let (size, least, most) = (size?, least?, most?);
    if !(least..=most).contains(&size) {
        let message = format!("{size} is not between min_size_bits ({least}) and max_size_bits ({most})");
        return Err(keys.refuse("size_bits", message));
    }
    let limits = Limits {
        key_size_bits: size,
        min_key_size_bits: least,
        max_key_size_bits: most,
        max_keys_per_request: max_keys?,
        max_sae_ids: max_saes?,
        ..limits
    };
    Ok(KeyOptions { limits, key_lifetime: key_lifetime?, answer_lifetime: answer_lifetime? })
}

fn link(link: &mut Section<'_>, neighbours: &BTreeSet<QksId>) -> Result<LinkConfig, Reported> {
    let name = link.required("name");
    let neighbour = link.required_with("neighbour", QksId::EXAMPLE, |value| {
        let id = QksId::from_value(value)?;
        if neighbours.contains(&id) { Ok(id) } else { Err(value.refuse("is none of [[neighbours]]")) }
    });
    let capacity = link.or_with("capacity_mib", 1_024, |capacity| capacity.number(1..=1_048_576_u64, "MiB"));
    let lifetime = link.or("lifetime", DEFAULT_LIFETIME);
    let sources = link.sections("sources", SourceConfig::read);
    let sources = sources?;
    if sources.is_empty() {
        return Err(link.missing("sources", "[[links.sources]] with a kind"));
    }
    let capacity_bytes = capacity? * 1024 * 1024;
    Ok(LinkConfig { name: name?, neighbour: neighbour?, capacity_bytes, lifetime: lifetime?, sources })
}

fn listen(section: &mut Section<'_>, default: &str) -> Result<Vec<SocketAddr>, Reported> {
    let addresses: Vec<SocketAddr> = section.list("listen")?;
    let default = || vec![default.parse().expect("the default is an address")];
    Ok(if addresses.is_empty() { default() } else { addresses })
}

fn bits(value: &Value<'_>) -> Result<u32, Reported> {
    let bits = value.number(8..=65_536_u32, "bits")?;
    if bits.is_multiple_of(8) { Ok(bits) } else { Err(value.refuse("is no multiple of 8 bits")) }
}

/// Where a key server is: an `https` URL that ends in `/`, with no name or password in it.
///
/// # Errors
/// It is something else, which has been reported.
pub fn key_server_url(value: &Value<'_>) -> Result<Url, Reported> {
    let url = Url::parse(value.text()?).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none() && url.path().ends_with('/'));
    url.ok_or_else(|| value.refuse("is not where a key server is: write a URL like \"https://qks.example:8443/\""))
}

/// A name is written as text.
macro_rules! name_from_value {
    ($($name:ty, $example:literal;)*) => {
        $(impl FromValue for $name {
            const EXAMPLE: &'static str = $example;

            fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
                Self::from_str(value.text()?).map_err(|error: NotAName| value.refuse(format!("is no name: {error}")))
            }
        })*
    };
}

name_from_value! {
    QksId, "\"qks-a\"";
    SaeId, "\"sae-1\"";
    LinkId, "\"a-to-b\"";
}

const IDENTITIES: &[(&str, IdentityRule)] = &[
    ("cn", IdentityRule::Cn),
    ("san_dns", IdentityRule::SanDns),
    ("san_uri", IdentityRule::SanUri),
    ("fingerprint", IdentityRule::Fingerprint),
    ("serial", IdentityRule::Serial),
];

const DEFAULT_STATE: &str = "/var/lib/photongate-qks";
const DEFAULT_LIFETIME: Nanos = Nanos::from_secs(7 * 24 * 3_600);
