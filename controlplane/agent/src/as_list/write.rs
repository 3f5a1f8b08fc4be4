//! Writing a list as TOML: for people, without its secrets; for the digest; and whole, to be sealed.

use std::fmt::{self, Display, Write};

use aws_lc_rs::digest::{self, SHA256};
use photongate_crypto::Key;
use photongate_drkey::calendar;
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{Encapsulation, Encapsulations, PeerEncapsulation};
use zeroize::Zeroizing;

use super::{AsList, ListedPeer, Source};
use crate::keys::shared_secret::{Secret, SecretMaterial};

impl AsList {
    /// The list as TOML, with `held = true` in the place of each secret. Equal lists give equal texts.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        write_list(self, Secrets::Held, &mut text);
        text
    }

    /// SHA-256 of [`to_toml`](Self::to_toml), as hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hash = Hash(digest::Context::new(&SHA256));
        write_list(self, Secrets::Held, &mut hash);
        hash.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes what [`to_sealable`](Self::to_sealable) gives.
    pub fn write_sealable(&self, out: &mut impl Write) {
        write_list(self, Secrets::Whole, out);
    }

    /// The whole list with its secrets, for [`from_sealed`](Self::from_sealed). To be kept encrypted. Paths of files are
    /// absolute.
    pub fn to_sealable(&self) -> Zeroizing<Vec<u8>> {
        let mut length = Length(0);
        write_list(self, Secrets::Whole, &mut length);
        // As long as it will be: a text that grows leaves copies of secrets behind.
        let mut text = Zeroizing::new(String::with_capacity(length.0));
        write_list(self, Secrets::Whole, &mut *text);
        Zeroizing::new(std::mem::take(&mut *text).into_bytes())
    }
}

/// What is written of secrets.
#[derive(Clone, Copy)]
enum Secrets {
    /// That they are held.
    Held,
    /// All.
    Whole,
}

fn write_list(list: &AsList, secrets: Secrets, out: &mut impl Write) {
    try_write_list(list, secrets, out).expect("memory and hashes take every text");
}

fn try_write_list(list: &AsList, secrets: Secrets, out: &mut impl Write) -> fmt::Result {
    if list.peers().is_empty() {
        return writeln!(out, "peers = []");
    }
    for (index, peer) in list.peers().iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_peer(peer, secrets, out)?;
    }
    Ok(())
}

fn write_peer(peer: &ListedPeer, secrets: Secrets, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "[[peers]]")?;
    writeln!(out, "isd_as = \"{}\"", peer.key.isd_as)?;
    if let Some(name) = &peer.name {
        writeln!(out, "name = {}", Quoted(name))?;
    }
    writeln!(out, "drkey_protocol = {}", peer.key.protocol)?;
    write!(out, "prefixes = [")?;
    write_separated(&peer.prefixes, out, |prefix, out| write!(out, "\"{prefix}\""))?;
    writeln!(out, "]")?;
    writeln!(out, "keys = \"{}\"", peer.source.kind())?;
    if let Some(limit) = &peer.limit {
        write!(out, "limit = {{ ")?;
        write_separated(&rates(limit), out, |(name, value), out| write!(out, "{name} = {value}"))?;
        writeln!(out, " }}")?;
    }
    if peer.refuse_best_effort {
        writeln!(out, "best_effort = \"drop\"")?;
    }
    let PeerEncapsulation { send, accept } = peer.encapsulation;
    if send != Encapsulation::default() {
        writeln!(out, "encapsulation = \"{}\"", send.name())?;
    }
    if accept != Encapsulations::only(send) {
        let names: Vec<&str> = accept.iter().map(Encapsulation::name).collect();
        write!(out, "accept = [")?;
        write_separated(&names, out, |name, out| write!(out, "\"{name}\""))?;
        writeln!(out, "]")?;
    }
    let Source::SharedSecret(list) = &peer.source else { return Ok(()) };
    write!(out, "shared_secrets = [")?;
    write_separated(list, out, |secret, out| write_secret(secret, secrets, out))?;
    writeln!(out, "]")
}

fn write_secret(secret: &Secret, secrets: Secrets, out: &mut impl Write) -> fmt::Result {
    write!(out, "{{ ")?;
    match (secrets, &secret.material) {
        (Secrets::Held, _) => write!(out, "held = true")?,
        (Secrets::Whole, SecretMaterial::Inline(key)) => write_key(key, out)?,
        (Secrets::Whole, SecretMaterial::File(path)) => {
            // Where the process stands now; where it will stand when the list is read again, nobody knows.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            write!(out, "file = {}", Quoted(&path.to_string_lossy()))?;
        }
    }
    write!(out, ", not_before = \"{}\" }}", calendar(secret.not_before))
}

fn write_key(key: &Key, out: &mut impl Write) -> fmt::Result {
    write!(out, "secret = \"")?;
    for byte in key.as_bytes() {
        write!(out, "{byte:02x}")?;
    }
    write!(out, "\"")
}

fn write_separated<T, W: Write>(
    items: &[T],
    out: &mut W,
    mut write_item: impl FnMut(&T, &mut W) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            write!(out, ", ")?;
        }
        write_item(item, out)?;
    }
    Ok(())
}

fn rates(limit: &LimitSettings) -> Vec<(&'static str, u64)> {
    let rates = [
        ("bits_per_second", limit.bits_per_second),
        ("packets_per_second", limit.packets_per_second),
        ("burst_bytes", limit.burst_bytes),
        ("burst_packets", limit.burst_packets),
    ];
    rates.into_iter().filter_map(|(name, rate)| Some((name, rate?))).collect()
}

/// Text as a basic string of TOML.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                plain => f.write_char(plain)?,
            }
        }
        f.write_char('"')
    }
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

struct Hash(digest::Context);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
