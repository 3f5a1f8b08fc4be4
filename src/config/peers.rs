//! `[[peers]]`: the ASes we share keys with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use ipnet::IpNet;
use photongate_crypto::Key;
use photongate_drkey::{Protocol, Rotation, RotationError, SharedSecret, SharedSecrets};
use photongate_net::config::{FromValue, Place, Reported, Section, Value};
use photongate_pipeline::LfSettings;
use photongate_pipeline::limits::LimitSettings;
use photongate_wire::{IsdAs, UnixNanos};

use super::KeysConfig;
use super::limits::Limit;

/// One of `[[peers]]`.
#[derive(Debug)]
pub(crate) struct PeerConfig {
    /// The AS.
    pub isd_as: IsdAs,
    /// The DRKey protocol of the keys shared with it.
    pub protocol: Protocol,
    /// The addresses behind it. None: packets from it are verified, none are sent to it.
    pub prefixes: Vec<IpNet>,
    /// What it may send; `None` leaves it to `limits.peer`.
    pub limit: Option<LimitSettings>,
    /// Whether packets without a proof of origin are refused if they come from its prefixes.
    pub refuse_best_effort: bool,
    /// Which keys are shared with it, and when.
    pub rotation: Rotation,
}

/// What other sections say that peers depend on, as far as it could be read.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) isd_as: Result<IsdAs, Reported>,
    pub(super) lf: Result<&'c LfSettings, Reported>,
    pub(super) keys: Result<&'c KeysConfig, Reported>,
    /// The file, if every user of the machine can read it.
    pub(super) public_file: Option<&'c Path>,
}

/// Reads `[[peers]]`.
pub(super) fn read(root: &mut Section<'_>, context: Context<'_>) -> Result<Vec<PeerConfig>, Reported> {
    let mut taken = Taken { public_file: context.public_file, ..Taken::default() };
    let peers = root.sections("peers", |section| {
        let peer = peer(section, context, &mut taken);
        taken.index += 1;
        peer
    })?;
    if peers.is_empty() {
        root.warn("peers", "no peers: nothing can be authenticated, in either direction");
    }
    match context.keys {
        Ok(keys) if peers.len() > keys.max_peers as usize => {
            let message = format!("{} peers, but keys.max_peers is {}: raise it", peers.len(), keys.max_peers);
            Err(root.refuse("peers", message))
        }
        _ => Ok(peers),
    }
}

/// What earlier peers have taken, by their place in the list.
#[derive(Default)]
struct Taken<'c> {
    index: usize,
    keys: HashMap<(IsdAs, Protocol), usize>,
    prefixes: HashMap<IpNet, usize>,
    /// The file that every user can read, until that was said once.
    public_file: Option<&'c Path>,
}

fn peer(section: &mut Section<'_>, context: Context<'_>, taken: &mut Taken<'_>) -> Result<PeerConfig, Reported> {
    let isd_as = section.required_with("isd_as", IsdAs::EXAMPLE, |value| {
        let isd_as = IsdAs::from_value(value)?;
        if context.isd_as == Ok(isd_as) {
            return Err(value.refuse("is this filter's own AS (isd_as): peers are other ASes"));
        }
        Ok(isd_as)
    });
    let protocol = section.optional::<u16>("drkey_protocol").map(|own| own.map(Protocol));
    let prefixes = section.or_with("prefixes", Vec::new(), |list| list.items(|prefix| own_prefix(prefix, taken)));
    let limit = section.optional::<Limit>("limit");
    let refuse_best_effort =
        section.or_with("best_effort", false, |value| value.choice(&[("allow", false), ("drop", true)]));
    let secrets = secrets(section, taken);
    let protocol = match protocol? {
        Some(own) => own,
        None => context.lf?.protocol,
    };
    let isd_as = isd_as?;
    if let Some(first) = taken.keys.insert((isd_as, protocol), taken.index) {
        let message = format!("{isd_as} with DRKey protocol {protocol} is peers[{first}] already: keep one of them");
        return Err(section.refuse("isd_as", message));
    }
    let Secrets { secrets, starts } = secrets?;
    let rotation = Rotation::new(context.isd_as?, isd_as, secrets, context.keys?.times).map_err(|error| {
        let early = |(start, _): &&(UnixNanos, Place)| {
            matches!(error, RotationError::SecretTooEarly { not_before, .. } if not_before == *start)
        };
        let place = starts.iter().find(early).map_or(section.place(), |(_, place)| place);
        section.refuse_at(place, error.to_string())
    })?;
    Ok(PeerConfig {
        isd_as,
        protocol,
        prefixes: prefixes?,
        limit: limit?.map(|limit| limit.0),
        refuse_best_effort: refuse_best_effort?,
        rotation,
    })
}

/// The secrets of a peer, and where each says from when on it is used.
struct Secrets {
    secrets: SharedSecrets,
    starts: Vec<(UnixNanos, Place)>,
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

fn secrets(peer: &mut Section<'_>, taken: &mut Taken<'_>) -> Result<Secrets, Reported> {
    let mut starts: Vec<(UnixNanos, Place)> = Vec::new();
    let secrets = peer.sections("shared_secrets", |section| {
        section.conceal();
        let key = key(section, taken);
        let not_before = section.required_with("not_before", UnixNanos::EXAMPLE, |value| {
            let not_before = UnixNanos::from_value(value)?;
            if not_before >= YEAR_2200 {
                return Err(value.refuse("lies beyond the year 2200: correct the date"));
            }
            if starts.iter().any(|(start, _)| *start == not_before) {
                return Err(value.refuse("is the not_before of an earlier secret too: which one is meant?"));
            }
            starts.push((not_before, value.place().clone()));
            Ok(not_before)
        });
        let (key, not_before) = (key?, not_before?);
        SharedSecret::new(key, not_before).map_err(|error| section.refuse_at(section.place(), error.to_string()))
    })?;
    if secrets.is_empty() {
        let example =
            r#"shared_secrets = [{ secret = "(32 hexadecimal digits)", not_before = "2026-01-01T00:00:00Z" }]"#;
        return Err(peer.refuse("shared_secrets", format!("missing: add {example}")));
    }
    Ok(Secrets { secrets: SharedSecrets::new(secrets), starts })
}

/// The secret itself, or what is in the file that is named instead.
fn key(section: &mut Section<'_>, taken: &mut Taken<'_>) -> Result<Key, Reported> {
    let secret = section.optional::<Key>("secret");
    let file = section.optional_with("file", Value::key_file);
    if section.has("secret")
        && let Some(path) = taken.public_file.take()
    {
        let message = "every user of this machine can read it: run chmod o-r";
        section.warn("secret", format!("{message} {}, or keep secrets in files of their own", path.display()));
    }
    match (secret?, file?) {
        (Some(key), None) | (None, Some(key)) => Ok(key),
        (Some(_), Some(_)) => Err(section.refuse("file", "given beside secret: keep one of them")),
        (None, None) => {
            Err(section.refuse("secret", "missing: add secret = \"(32 hexadecimal digits)\" or file = \"…\""))
        }
    }
}

/// 2200-01-01T00:00:00Z. A secret for later has a typing error in its date.
const YEAR_2200: UnixNanos = UnixNanos(7_258_118_400_000_000_000);
