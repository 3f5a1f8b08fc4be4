//! What a certificate says beside the names in it, and what tells it from every other.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use photongate_wire::UnixNanos;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Subject, unix_nanos};

/// What a certificate says. Only meaningful if its chain was verified, but for the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Whom it names.
    pub subject: Subject,
    /// The serial number that its issuer gave it: hexadecimal digits in lower case, two for each byte (RFC 5280, section 4.1.2.2).
    pub serial: String,
    /// What tells it from every other certificate.
    pub fingerprint: Fingerprint,
    /// When its time begins.
    pub not_before: UnixNanos,
    /// When its time is over.
    pub not_after: UnixNanos,
}

/// The SHA-256 of a certificate (DER). Prints as 64 hexadecimal digits; is read with or without colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// A text is no [`Fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no fingerprint: write the certificate's SHA-256, 64 hexadecimal digits, as `openssl x509 -fingerprint -sha256` prints it"
)]
pub struct NotAFingerprint;

impl CertificateInfo {
    /// Reads a certificate (DER).
    ///
    /// `None` if it is no certificate, or its alternative names cannot be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        Some(Self {
            subject: Subject::in_certificate(&parsed)?,
            serial: parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            fingerprint: Fingerprint::of(certificate),
            not_before: unix_nanos(validity.not_before.timestamp()),
            not_after: unix_nanos(validity.not_after.timestamp()),
        })
    }
}

impl Fingerprint {
    /// The fingerprint of a certificate (DER).
    pub fn of(certificate: &[u8]) -> Self {
        Self(digest(&SHA256, certificate).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let parts: Vec<_> = text.split(':').collect();
        let digits = match parts.len() {
            1 => text.to_owned(),
            32 if parts.iter().all(|part| part.len() == 2) => parts.concat(),
            _ => return Err(NotAFingerprint),
        };
        crate::secret_file::parse_hex(&digits).map(|bytes| Self(*bytes)).map_err(|_| NotAFingerprint)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn a_certificate_is_told_by_its_serial_number_its_time_and_its_fingerprint() {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0x00, 0xff]));
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let info = CertificateInfo::of(certificate.der()).unwrap();
        assert_eq!(info.serial, "0a00ff");
        assert_eq!(info.not_before, UnixNanos(1_767_225_600_000_000_000));
        assert_eq!(info.not_after, UnixNanos(1_798_761_600_000_000_000));
        assert_eq!(info.fingerprint, Fingerprint::of(certificate.der()));
    }

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it_and_as_it_prints_itself() {
        let plain = Fingerprint::of(b"abc");
        assert_eq!(plain.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let bytes: Vec<_> = plain.0.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [plain.to_string(), bytes.join(":")] {
            assert_eq!(text.parse(), Ok(plain));
        }
        for text in ["", "ba78", &bytes[1..].join(":"), &format!("{}:a:d", bytes[..31].join(":")), &"é".repeat(32)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NotAFingerprint), "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        assert_eq!(CertificateInfo::of(b"no certificate"), None);
    }
}
