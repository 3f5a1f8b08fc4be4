//! The authority: its certificate, its key, and what it issues.

use std::path::Path;
use std::time::Duration;

use photongate_wire::{Nanos, UnixNanos};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::files::Pair;
use super::site::AUTHORITY_FILE;
use super::{Host, PkiError, Site, Wanted};
use crate::tls::CertificateInfo;

/// An authority that can issue certificates.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    info: CertificateInfo,
    key: Zeroizing<KeyPair>,
}

impl Authority {
    /// The authority in `folder`, or `None` if there is no trace of one.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, PkiError> {
        let pair = Pair::new(folder, AUTHORITY_FILE);
        let (certificate, key) = match (pair.read_certificate()?, pair.read_key()?) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(PkiError::HalfAnAuthority { present: pair.certificate, missing: pair.key }),
            (None, Some(_)) => return Err(PkiError::HalfAnAuthority { present: pair.key, missing: pair.certificate }),
        };
        let not = |why| PkiError::NotAnAuthority { path: pair.certificate.clone(), why };
        let (Some(info), Ok((_, parsed))) =
            (CertificateInfo::of(&certificate), X509Certificate::from_der(&certificate))
        else {
            return Err(not("holds no certificate that can be read"));
        };
        if !parsed.is_ca() {
            return Err(not("is no authority's certificate: move it away"));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(not("does not belong to the key beside it: bring the right one back"));
        }
        Ok(Some(Self { info, certificate, key }))
    }

    /// Makes an authority in `folder`, where there is no trace of one.
    pub(super) fn make(folder: &Path, site: &Site, now: UnixNanos) -> Result<Self, PkiError> {
        let pair = Pair::new(folder, AUTHORITY_FILE);
        let not_made = PkiError::not_made(&site.authority);
        let mut params = params(&site.authority, now, after(now, site.years.saturating_mul(DAYS_OF_A_YEAR)))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = pair.make_key()?;
        let certificate = params.self_signed(&*key).map_err(&not_made)?;
        pair.make_certificate(&certificate.pem())?;
        let info = CertificateInfo::of(certificate.der()).expect("a certificate that was just made can be read");
        Ok(Self { certificate: certificate.into(), info, key })
    }

    /// What its certificate says.
    pub(super) fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// Whether it has issued `certificate`.
    pub(super) fn has_issued(&self, certificate: &X509Certificate<'_>) -> bool {
        let own = X509Certificate::from_der(&self.certificate).expect("it was read before").1;
        certificate.issuer().as_raw() == own.subject().as_raw()
            && certificate.verify_signature(Some(own.public_key())).is_ok()
    }

    /// A certificate for the holder of `key`, as PEM. Its time begins a little before `now`, for clocks that are behind, and ends with
    /// the authority's own at the latest.
    pub(super) fn issue(&self, wanted: &Wanted, key: &KeyPair, now: UnixNanos) -> Result<String, PkiError> {
        let not_made = PkiError::not_made(&wanted.name);
        let mut params = params(&wanted.name, now, after(now, wanted.days).min(self.info.not_after))?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if wanted.role.is_server() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        for host in &wanted.hosts {
            params.subject_alt_names.push(match host {
                Host::Name(name) => SanType::DnsName(name.as_str().try_into().map_err(&not_made)?),
                Host::Address(address) => SanType::IpAddress(*address),
            });
        }
        params.subject_alt_names.push(SanType::URI(wanted.uri().try_into().map_err(&not_made)?));
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key).map_err(&not_made)?;
        Ok(params.signed_by(key, &issuer).map_err(&not_made)?.pem())
    }
}

/// What all certificates have in common. The serial number is random (RFC 5280, section 4.1.2.2), so that no two are alike.
fn params(common_name: &str, now: UnixNanos, not_after: UnixNanos) -> Result<CertificateParams, PkiError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial)
        .map_err(|error| PkiError::NotMade { name: common_name.to_owned(), why: error.to_string() })?;
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(now).saturating_sub(CLOCKS_BEHIND);
    params.not_after = epoch + since_epoch(not_after);
    Ok(params)
}

fn after(now: UnixNanos, days: u32) -> UnixNanos {
    UnixNanos(now.0.saturating_add(Nanos::from(A_DAY * days).0))
}

/// Certificates know whole seconds only.
fn since_epoch(time: UnixNanos) -> Duration {
    Duration::from_secs(time.0 / 1_000_000_000)
}

const CLOCKS_BEHIND: Duration = Duration::from_mins(5);
const A_DAY: Duration = Duration::from_hours(24);
const DAYS_OF_A_YEAR: u32 = 365;
