//! Whom a certificate names, and how an operator names them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The names in a certificate. Only meaningful if its chain was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    common_names: Vec<String>,
    alternative_names: Vec<AlternativeName>,
}

/// A name that a certificate must have: `CN=ops` for a common name, `SAN:monitor.example` for an alternative name of
/// any of the kinds DNS name, IP address, URI and email address (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectPattern {
    /// The common name of the subject, letter by letter.
    CommonName(String),
    /// A subject alternative name.
    AlternativeName(String),
}

/// A text is no [`SubjectPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names no subject of a certificate: write \"CN=name\" or \"SAN:name\"")]
pub struct NotASubject;

impl Subject {
    /// Reads the names in a certificate (DER).
    ///
    /// `None` if it is no certificate, or its alternative names cannot be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Self::in_certificate(&certificate)
    }

    /// As [`of`](Self::of), for a certificate that was parsed already.
    pub(super) fn in_certificate(certificate: &X509Certificate<'_>) -> Option<Self> {
        let common_names = certificate.subject().iter_common_name();
        let common_names = common_names.filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
        let alternative_names = match certificate.subject_alternative_name().ok()? {
            Some(extension) => extension.value.general_names.iter().filter_map(AlternativeName::read).collect(),
            None => Vec::new(),
        };
        Some(Self { common_names, alternative_names })
    }

    /// The common names of the subject, in its order. Most certificates have one or none.
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.common_names.iter().map(String::as_str)
    }

    /// The alternative names that are DNS names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.alternative_names.iter().filter_map(|name| match name {
            AlternativeName::Dns(name) => Some(name.as_str()),
            AlternativeName::Ip(_) | AlternativeName::Uri(_) | AlternativeName::Email(_) => None,
        })
    }

    /// The alternative names that are URIs.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.alternative_names.iter().filter_map(|name| match name {
            AlternativeName::Uri(name) => Some(name.as_str()),
            AlternativeName::Dns(_) | AlternativeName::Ip(_) | AlternativeName::Email(_) => None,
        })
    }

    /// The alternative names that are IP addresses.
    pub fn ip_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.alternative_names.iter().filter_map(|name| match name {
            AlternativeName::Ip(address) => Some(*address),
            AlternativeName::Dns(_) | AlternativeName::Uri(_) | AlternativeName::Email(_) => None,
        })
    }

    /// Whether the certificate has the name that `pattern` asks for.
    pub fn is(&self, pattern: &SubjectPattern) -> bool {
        match pattern {
            SubjectPattern::CommonName(wanted) => self.common_names.contains(wanted),
            SubjectPattern::AlternativeName(wanted) => self.alternative_names.iter().any(|name| name.is(wanted)),
        }
    }
}

impl fmt::Display for Subject {
    /// All names, for a message that tells an operator what could be written as a pattern. Names come from outside:
    /// control characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let common = self.common_names.iter().map(|name| format!("CN={}", name.escape_debug()));
        let alternative = self.alternative_names.iter().map(|name| match name {
            AlternativeName::Dns(name) | AlternativeName::Uri(name) | AlternativeName::Email(name) => {
                format!("SAN:{}", name.escape_debug())
            }
            AlternativeName::Ip(address) => format!("SAN:{address}"),
        });
        let names: Vec<_> = common.chain(alternative).collect();
        f.write_str(if names.is_empty() { "without a name" } else { "" })?;
        f.write_str(&names.join(" "))
    }
}

impl FromStr for SubjectPattern {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let pattern = match (text.strip_prefix("CN="), text.strip_prefix("SAN:")) {
            (Some(name), _) if !name.trim().is_empty() => Self::CommonName(name.to_owned()),
            (_, Some(name)) if !name.trim().is_empty() => Self::AlternativeName(name.to_owned()),
            _ => return Err(NotASubject),
        };
        Ok(pattern)
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommonName(name) => write!(f, "CN={name}"),
            Self::AlternativeName(name) => write!(f, "SAN:{name}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AlternativeName {
    Dns(String),
    Ip(IpAddr),
    Uri(String),
    Email(String),
}

impl AlternativeName {
    fn read(name: &GeneralName<'_>) -> Option<Self> {
        match *name {
            GeneralName::DNSName(name) => Some(Self::Dns(name.to_owned())),
            GeneralName::URI(name) => Some(Self::Uri(name.to_owned())),
            GeneralName::RFC822Name(name) => Some(Self::Email(name.to_owned())),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
                v4.or(v6).ok().map(Self::Ip)
            }
            _ => None,
        }
    }

    fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Dns(name) => name.eq_ignore_ascii_case(wanted),
            Self::Ip(address) => wanted.parse() == Ok(*address),
            Self::Uri(name) | Self::Email(name) => name == wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_common_name_letter_by_letter() {
        let subject = subject("ops", vec![]);
        assert!(subject.is(&pattern("CN=ops")));
        for other in ["CN=Ops", "CN=op", "CN=ops2", "SAN:ops"] {
            assert!(!subject.is(&pattern(other)), "{other}");
        }
    }

    #[test]
    fn a_certificate_is_known_by_each_of_its_alternative_names() {
        let names = vec![
            SanType::DnsName("monitor.example".try_into().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
            SanType::URI("spiffe://example/monitor".try_into().unwrap()),
            SanType::Rfc822Name("ops@example".try_into().unwrap()),
        ];
        let subject = subject("monitor", names);
        for name in ["Monitor.example", "2001:DB8:0::7", "spiffe://example/monitor", "ops@example"] {
            assert!(subject.is(&pattern(&format!("SAN:{name}"))), "{name}");
        }
        for name in ["monitor", "example", "2001:db8::8", "spiffe://example/", "other@example"] {
            assert!(!subject.is(&pattern(&format!("SAN:{name}"))), "{name}");
        }
    }

    #[test]
    fn the_names_of_a_subject_are_told_apart_by_their_kind() {
        let names = vec![
            SanType::URI("photongate:qks:a".try_into().unwrap()),
            SanType::DnsName("a.example".try_into().unwrap()),
            SanType::Rfc822Name("ops@example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
        ];
        let subject = subject("a", names);
        assert_eq!(subject.common_names().last(), Some("a"));
        assert_eq!(subject.dns_names().collect::<Vec<_>>(), ["a.example"]);
        assert_eq!(subject.uris().collect::<Vec<_>>(), ["photongate:qks:a"]);
        assert_eq!(subject.ip_addresses().collect::<Vec<_>>(), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_subject_prints_as_the_patterns_that_it_matches() {
        let names = vec![SanType::DnsName("a.example".try_into().unwrap())];
        assert_eq!(subject("ops\n", names).to_string(), r"CN=ops\n SAN:a.example");
    }

    #[test]
    fn a_pattern_needs_a_kind_and_a_name() {
        for text in ["ops", "CN=", "SAN: ", "cn=ops", "O=example", ""] {
            assert_eq!(text.parse::<SubjectPattern>(), Err(NotASubject), "{text}");
        }
        assert_eq!(pattern("CN=a=b").to_string(), "CN=a=b");
    }

    #[test]
    fn what_is_no_certificate_has_no_subject() {
        assert_eq!(Subject::of(b"no certificate"), None);
    }

    fn subject(common_name: &str, names: Vec<SanType>) -> Subject {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names;
        Subject::of(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
    }

    fn pattern(text: &str) -> SubjectPattern {
        text.parse().unwrap()
    }
}
