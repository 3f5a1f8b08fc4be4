//! Reading a list: a document of its own, or `[[peers]]` in a filter's configuration.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ipnet::IpNet;
use photongate_drkey::Protocol;
use photongate_net::config::{self, Format, FromValue, Loaded, Problem, Problems, Reported, Section, Value};
use photongate_pipeline::{Encapsulation, Encapsulations, PeerEncapsulation, PeerKey};
use photongate_wire::IsdAs;

use super::secrets::Secrets;
use super::{AsList, Context, Limit, ListedPeer, Source};
use crate::keys::shared_secret::Secret;

/// A list without a mistake.
#[derive(Debug, Default)]
pub struct Read {
    /// The list.
    pub list: AsList,
    /// What works, yet is hardly meant so.
    pub warnings: Vec<Problem>,
}

impl AsList {
    /// Reads and checks `text` as a document of its own, as what a file at `path` would hold. Paths in it start at the folder of
    /// `path`.
    ///
    /// # Errors
    /// All mistakes, in the order of the text.
    pub fn read(path: &Path, text: &str, format: Format, context: &Context<'_>) -> Result<Read, Problems> {
        let loaded = config::read_as(format, path, text, |root| read_document(root, context, None));
        loaded.map(Read::from)
    }

    /// Reads and checks the file at `path`: JSON if its name ends in `.json`, else TOML.
    ///
    /// # Errors
    /// As [`read`](Self::read); and if the file cannot be read.
    pub fn load(path: &Path, context: &Context<'_>) -> Result<Read, Problems> {
        let public_file = is_public(path).then_some(path);
        config::read_file(path, |root| read_document(root, context, public_file)).map(Read::from)
    }

    /// Reads what [`to_sealable`](Self::to_sealable) gave. Files with secrets are not looked at.
    ///
    /// # Errors
    /// It does not fit the filter any more, as after a change of its configuration; or it is no list.
    pub fn from_sealed(sealed: &[u8], context: &Context<'_>) -> Result<Self, Problems> {
        let path = Path::new("(the last list in force)");
        let text = str::from_utf8(sealed).map_err(|error| Problem::of_file(path, error.to_string()))?;
        let context = Context { secret_files: super::SecretFiles::Trust, ..*context };
        Self::read(path, text, Format::Toml, &context).map(|read| read.list)
    }
}

impl From<Loaded<AsList>> for Read {
    fn from(loaded: Loaded<AsList>) -> Self {
        Self { list: loaded.config, warnings: loaded.warnings }
    }
}

/// Whether every user of the machine can read the file at `path`. A file that is not there is not public.
pub fn is_public(path: &Path) -> bool {
    const READ_BY_ALL: u32 = 0o004;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & READ_BY_ALL != 0)
}

/// Reads a document that holds a list and nothing else. An empty one is refused: it is more likely a file that was cut off than the
/// wish to be without peers.
fn read_document(
    root: &mut Section<'_>,
    context: &Context<'_>,
    public_file: Option<&Path>,
) -> Result<AsList, Reported> {
    if root.has("peers") {
        return read_peers(root, context, public_file);
    }
    // Asked for all the same, so that a misspelt `peers` is told what it should be.
    let _ = read_peers(root, context, public_file);
    Err(root.refuse("peers", "missing: add a [[peers]] section for each peer, or peers = [] to have none"))
}

/// Reads `[[peers]]` in `root`. `public_file` is the file if every user of the machine can read it: secrets in it are then warned about.
///
/// # Errors
/// There are mistakes, which have been reported.
pub fn read_peers(
    root: &mut Section<'_>,
    context: &Context<'_>,
    public_file: Option<&Path>,
) -> Result<AsList, Reported> {
    let mut taken = Taken { index: 0, keys: HashMap::new(), prefixes: HashMap::new(), public_file };
    let peers = root.sections("peers", |section| {
        let peer = peer(section, context, &mut taken);
        taken.index += 1;
        peer
    })?;
    if peers.is_empty() {
        root.warn("peers", "no peers: nothing can be authenticated, in either direction");
    }
    if peers.len() > context.max_peers as usize {
        let message = format!("{} peers, but keys.max_peers is {}: raise it", peers.len(), context.max_peers);
        return Err(root.refuse("peers", message));
    }
    Ok(AsList::new(peers))
}

/// What earlier peers have taken, by their place in the list.
struct Taken<'c> {
    index: usize,
    keys: HashMap<PeerKey, usize>,
    prefixes: HashMap<IpNet, usize>,
    /// The file that every user can read, until that was said once.
    public_file: Option<&'c Path>,
}

fn peer<'c>(section: &mut Section<'_>, context: &Context<'c>, taken: &mut Taken<'c>) -> Result<ListedPeer, Reported> {
    let isd_as = section.required_with("isd_as", IsdAs::EXAMPLE, |value| {
        let isd_as = IsdAs::from_value(value)?;
        if context.local == Some(isd_as) {
            return Err(value.refuse("is this filter's own AS (isd_as): peers are other ASes"));
        }
        Ok(isd_as)
    });
    let protocol = section.optional::<u16>("drkey_protocol");
    let name = section.optional_with("name", name);
    let prefixes = section.or_with("prefixes", Vec::new(), |list| {
        list.items(|value| own_prefix(value, taken).and_then(|prefix| routable(prefix, value, context)))
    });
    let limit = section.optional::<Limit>("limit");
    let refuse_best_effort =
        section.or_with("best_effort", false, |value| value.choice(&[("allow", false), ("drop", true)]));
    let encapsulation = encapsulation(section);
    let kind = section.or_with("keys", Kind::SharedSecret, |value| kind(value, context));
    let protocol = protocol.map(|own| own.map_or(context.default_protocol, Protocol));
    let key = isd_as.and_then(|isd_as| Ok(PeerKey { isd_as, protocol: protocol? }));
    let source = match kind {
        Ok(Kind::KeyServer) => section
            .optional_with("shared_secrets", |value| {
                let message = "given beside keys = \"qks\": remove it, or leave out keys to use the secrets";
                Err::<(), _>(value.refuse_secret(message))
            })
            .map(|_| Source::KeyServer),
        // With a kind that is none, mistakes in the secrets are worth telling too.
        Ok(Kind::SharedSecret) | Err(_) => {
            let secrets = Secrets { key, context, public_file: &mut taken.public_file }.read(section);
            secrets.map(Source::SharedSecret)
        }
    };
    let key = key?;
    if let Some(first) = taken.keys.insert(key, taken.index) {
        let PeerKey { isd_as, protocol } = key;
        let message = format!("{isd_as} with DRKey protocol {protocol} is peers[{first}] already: keep one of them");
        return Err(section.refuse("isd_as", message));
    }
    let mut prefixes = prefixes?;
    prefixes.sort_unstable();
    Ok(ListedPeer {
        key,
        name: name?,
        // Not cut to size where it is: of a hundred thousand, the rests would lie between all that stays.
        prefixes: prefixes.as_slice().into(),
        limit: limit?.map(|limit| Box::new(limit.0)),
        refuse_best_effort: refuse_best_effort?,
        encapsulation: encapsulation?,
        source: source?,
    })
}

/// What is sent and what is accepted: only what is sent, unless `accept` says more.
fn encapsulation(section: &mut Section<'_>) -> Result<PeerEncapsulation, Reported> {
    let choices = Encapsulation::ALL.map(|encapsulation| (encapsulation.name(), encapsulation));
    let send = section.or_with("encapsulation", Encapsulation::default(), |value| value.choice(&choices));
    let accept = section.optional_with("accept", |value| {
        let accepted: Encapsulations = value.items(|value| value.choice(&choices))?.into_iter().collect();
        if accepted == Encapsulations::default() {
            return Err(value.refuse("accepts nothing: write what the peer may send, such as [\"lf\", \"lf2\"]"));
        }
        Ok(accepted)
    });
    let send = send?;
    Ok(PeerEncapsulation { send, accept: accept?.unwrap_or(Encapsulations::only(send)) })
}

/// What operators call a peer. It is shown on terminals and pages, so nothing in it may act there.
fn name(value: &Value<'_>) -> Result<Box<str>, Reported> {
    let name = value.text()?;
    let length = name.chars().count();
    if length > LONGEST_NAME {
        return Err(value.refuse(format!("has {length} characters: a name has {LONGEST_NAME} at most")));
    }
    if name.trim().is_empty() {
        return Err(value.refuse("is no name: write what you call this peer, or leave it out"));
    }
    if name.contains(is_unprintable) {
        return Err(value.refuse("has characters that cannot be printed: write letters, digits, spaces and signs"));
    }
    Ok(name.into())
}

/// Control characters, line separators, and what turns or hides the text around it.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A prefix that no other peer has. Prefixes within one another are fine: the longest decides.
fn own_prefix(value: &Value<'_>, taken: &mut Taken<'_>) -> Result<IpNet, Reported> {
    let prefix = IpNet::from_value(value)?;
    match taken.prefixes.entry(prefix) {
        Entry::Vacant(free) => {
            free.insert(taken.index);
            Ok(prefix)
        }
        Entry::Occupied(owner) if *owner.get() == taken.index => Err(value.refuse("is listed twice: keep one")),
        Entry::Occupied(owner) => {
            Err(value.refuse(format!("is a prefix of peers[{}] already: it can lie behind one peer only", owner.get())))
        }
    }
}

/// IPv6 works only over links that carry packets of 1280 bytes (RFC 8200, section 5).
fn routable(prefix: IpNet, value: &Value<'_>, context: &Context<'_>) -> Result<IpNet, Reported> {
    if prefix.addr().is_ipv6() && context.least_mtu < LEAST_IPV6_MTU {
        let mtu = context.least_mtu;
        let why =
            format!("is IPv6, which needs links of {LEAST_IPV6_MTU} bytes, and a port has an mtu of {mtu}: raise it");
        return Err(value.refuse(why));
    }
    Ok(prefix)
}

/// Where keys come from, as `keys` says.
#[derive(Clone, Copy)]
enum Kind {
    SharedSecret,
    KeyServer,
}

fn kind(value: &Value<'_>, context: &Context<'_>) -> Result<Kind, Reported> {
    let kind = value.choice(&[(Source::SHARED_SECRET, Kind::SharedSecret), (Source::KEY_SERVER, Kind::KeyServer)])?;
    if matches!(kind, Kind::KeyServer) && context.has_key_server == Some(false) {
        return Err(value.refuse("needs a key server: add [qks] with its url to the filter's configuration"));
    }
    Ok(kind)
}

impl Source {
    /// How a list calls shared secrets.
    const SHARED_SECRET: &'static str = "shared_secret";

    /// How a list calls the key server.
    const KEY_SERVER: &'static str = "qks";

    /// The kind of source, as a list calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SharedSecret(_) => Self::SHARED_SECRET,
            Self::KeyServer => Self::KEY_SERVER,
        }
    }

    /// The secrets that keys are made of, if they are.
    pub fn secrets(&self) -> &[Secret] {
        match self {
            Self::SharedSecret(secrets) => secrets,
            Self::KeyServer => &[],
        }
    }
}

const LONGEST_NAME: usize = 64;
const LEAST_IPV6_MTU: u16 = 1280;

#[cfg(test)]
mod tests;
