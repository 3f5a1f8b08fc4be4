//! The site file: who gets a certificate.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use crate::config::{self, FromValue, Loaded, Problems, Reported, Section, Value};

/// What a site file says: the authority, and who gets a certificate from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What the authority is called.
    pub authority: String,
    /// How many years the authority's certificate is valid.
    pub years: u32,
    /// The certificates, in the order of the file. No two have the same name.
    pub certificates: Vec<Wanted>,
}

/// A certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its common name, which its files are called by, too.
    pub name: String,
    /// What its holder is.
    pub role: Role,
    /// Where its holder is reached. Not empty if it is a server.
    pub hosts: Vec<Host>,
    /// How many days it is valid.
    pub days: u32,
}

/// What the holder of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A quantum key server.
    Qks,
    /// An application that gets keys from one.
    Sae,
    /// A QKD module, or its vendor's key server.
    Module,
    /// A packet filter.
    Filter,
    /// A person, or a program, that manages others.
    Admin,
    /// A node of the cluster that decides.
    Px,
    /// A node of the distributed hash table.
    Dht,
}

/// Where somebody is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// By a DNS name, in lower case.
    Name(String),
    /// By an IP address.
    Address(IpAddr),
}

impl Site {
    /// Reads the file at `path`: TOML, or JSON if its name ends in `.json`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(path: &Path) -> Result<Loaded<Self>, Problems> {
        config::read_file(path, read)
    }
}

impl Wanted {
    /// The URI in the certificate, which says what its holder is.
    pub fn uri(&self) -> String {
        format!("photongate:{}:{}", self.role, self.name)
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [Self::Qks, Self::Sae, Self::Module, Self::Filter, Self::Admin, Self::Px, Self::Dht];

    /// Whether others connect to the holder.
    pub const fn is_server(self) -> bool {
        !matches!(self, Self::Sae | Self::Admin)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Qks => "qks",
            Self::Sae => "sae",
            Self::Module => "module",
            Self::Filter => "filter",
            Self::Admin => "admin",
            Self::Px => "px",
            Self::Dht => "dht",
        }
    }
}

impl Host {
    /// Whether `text` can be a DNS name.
    pub fn is_name(text: &str) -> bool {
        is_dns_name(text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl FromValue for Host {
    const EXAMPLE: &'static str = "\"qks-a.example\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let text = value.text()?;
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if is_dns_name(text) {
            return Ok(Self::Name(text.to_ascii_lowercase()));
        }
        Err(value.refuse("is no host: write a DNS name or an IP address, without a port"))
    }
}

pub(super) fn read(root: &mut Section<'_>) -> Result<Site, Reported> {
    let authority = root.section("authority", |authority| {
        let name = authority.or_with("name", DEFAULT_AUTHORITY.to_owned(), authority_name);
        let years = authority.or_with("years", DEFAULT_YEARS, |years| years.number(1..=30, "years"));
        Ok((name?, years?))
    });
    let mut names = HashSet::new();
    let certificates = root.sections("certificates", |certificate| {
        let wanted = wanted(certificate)?;
        if !names.insert(wanted.name.clone()) {
            return Err(certificate.refuse("name", format!("{:?} is the name of another certificate too", wanted.name)));
        }
        Ok(wanted)
    });
    if !root.has("certificates") {
        return Err(root.missing("certificates", r#"[{ name = "qks-a", role = "qks", hosts = ["127.0.0.1"] }]"#));
    }
    let (authority, years) = authority?;
    Ok(Site { authority, years, certificates: certificates? })
}

fn wanted(certificate: &mut Section<'_>) -> Result<Wanted, Reported> {
    let name = certificate.required_with("name", "\"qks-a\"", name);
    let role =
        certificate.required_with("role", "\"qks\"", |role| role.choice(&Role::ALL.map(|role| (role.name(), role))));
    let hosts = certificate.list::<Host>("hosts");
    let days = certificate.or_with("days", DEFAULT_DAYS, |days| days.number(1..=LONGEST_DAYS, "days"));
    let wanted = Wanted { name: name?, role: role?, hosts: hosts?, days: days? };
    if wanted.hosts.is_empty() && wanted.role.is_server() {
        return Err(certificate.missing("hosts", r#"["127.0.0.1", "qks-a.example"]"#));
    }
    Ok(wanted)
}

/// A name that is a file name, too, and needs no escaping in a URI.
fn name(value: &Value<'_>) -> Result<String, Reported> {
    let text = value.text()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.bytes().all(is_plain) || !text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) {
        return Err(
            value.refuse("is no name here: write letters, digits, \"-\", \"_\" and \".\", a letter or digit first")
        );
    }
    if text.len() > LONGEST_NAME {
        return Err(value.refuse(format!("is too long: at most {LONGEST_NAME} characters")));
    }
    if text == AUTHORITY_FILE || text.ends_with(KEY_SUFFIX) {
        let why = format!(
            "would get the files of another: \"{AUTHORITY_FILE}\" and names that end in \"{KEY_SUFFIX}\" are taken"
        );
        return Err(value.refuse(why));
    }
    Ok(text.to_owned())
}

fn authority_name(value: &Value<'_>) -> Result<String, Reported> {
    let text = value.text()?;
    if text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > LONGEST_NAME {
        return Err(
            value.refuse(format!("is no name for an authority: write 1 to {LONGEST_NAME} printable characters"))
        );
    }
    Ok(text.to_owned())
}

/// Labels of letters, digits and hyphens (RFC 1123, section 2.1); the first may be a `*`.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = text.strip_prefix("*.").unwrap_or(text);
    // An address with a mistake in it is no name: the last label of a name is never a number.
    let last_is_number = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && labels.split('.').all(is_label) && !last_is_number
}

/// What the authority's files are called.
pub(super) const AUTHORITY_FILE: &str = "ca";

/// What the names of key files end in, before `.pem`.
pub(super) const KEY_SUFFIX: &str = "-key";

const DEFAULT_AUTHORITY: &str = "photongate private authority";
const DEFAULT_YEARS: u32 = 10;
const DEFAULT_DAYS: u32 = 90;
const LONGEST_DAYS: u32 = 3_650;

/// Of a common name (RFC 5280, appendix A.1, ub-common-name).
const LONGEST_NAME: usize = 64;
