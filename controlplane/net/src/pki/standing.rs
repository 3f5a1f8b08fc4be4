//! How the certificate that is there compares with the one that is wanted.

use std::collections::HashSet;
use std::fmt;

use photongate_wire::{Nanos, UnixNanos};
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::authority::Authority;
use super::files::Pair;
use super::{Host, PkiError, Wanted};
use crate::tls::{CertificateInfo, Subject};

/// How a certificate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Missing,
    /// It is as it is wanted, and there is time left.
    Good,
    /// It is of no use, or will soon be of none.
    Bad(Fault),
}

/// What is wrong with a certificate that is there. Reads on after "it".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its time is nearly over.
    Ending,
    /// Its time is over.
    Over,
    /// Another authority has issued it.
    OtherAuthority,
    /// It belongs to another key than the one beside it.
    OtherKey,
    /// The site file says something else: about the role or the hosts.
    OtherNames,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ending => "ends soon",
            Self::Over => "is over",
            Self::OtherAuthority => "was issued by another authority",
            Self::OtherKey => "does not belong to the key beside it",
            Self::OtherNames => "has other names than the site file says",
        })
    }
}

/// The files of a certificate as they are.
pub(super) struct Found {
    pub(super) info: Option<CertificateInfo>,
    pub(super) key: Option<Zeroizing<KeyPair>>,
    pub(super) standing: Standing,
}

impl Found {
    /// Looks at the files. `before` is how much time a good certificate has left at `now`.
    pub(super) fn look(
        pair: &Pair,
        wanted: &Wanted,
        authority: Option<&Authority>,
        now: UnixNanos,
        before: Nanos,
    ) -> Result<Self, PkiError> {
        let key = pair.read_key()?;
        let Some(certificate) = pair.read_certificate()? else {
            return Ok(Self { info: None, key, standing: Standing::Missing });
        };
        let Some(found) = &key else {
            return Err(PkiError::WithoutKey { certificate: pair.certificate.clone(), key: pair.key.clone() });
        };
        let info = CertificateInfo::of(&certificate);
        let fault = match &info {
            Some(info) => fault(&certificate, info, found, wanted, authority, now, before),
            None => Some(Fault::OtherNames),
        };
        Ok(Self { info, key, standing: fault.map_or(Standing::Good, Standing::Bad) })
    }
}

fn fault(
    certificate: &CertificateDer<'_>,
    info: &CertificateInfo,
    key: &KeyPair,
    wanted: &Wanted,
    authority: Option<&Authority>,
    now: UnixNanos,
    before: Nanos,
) -> Option<Fault> {
    let parsed = X509Certificate::from_der(certificate).expect("its content was read before").1;
    let faults = [
        (parsed.public_key().raw != key.subject_public_key_info(), Fault::OtherKey),
        (authority.is_some_and(|authority| !authority.has_issued(&parsed)), Fault::OtherAuthority),
        (!has_names(&info.subject, wanted), Fault::OtherNames),
        (info.not_after <= now, Fault::Over),
        (info.not_after.0.saturating_sub(now.0) <= before.0, Fault::Ending),
    ];
    faults.into_iter().find_map(|(is_so, fault)| is_so.then_some(fault))
}

fn has_names(subject: &Subject, wanted: &Wanted) -> bool {
    let names = subject.dns_names().map(|name| Host::Name(name.to_ascii_lowercase()));
    let hosts: HashSet<Host> = names.chain(subject.ip_addresses().map(Host::Address)).collect();
    subject.common_names().eq([wanted.name.as_str()])
        && subject.uris().eq([wanted.uri().as_str()])
        && hosts == wanted.hosts.iter().cloned().collect()
}
