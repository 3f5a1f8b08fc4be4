//! Certificates for tests, made afresh for each.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;

use crate::secret_file;

/// A folder for the files of a test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that only its owner can use.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        secret_file::replace(&path, text.as_bytes()).unwrap();
        path
    }

    /// Writes the certificate that `authority` issues to `common_name`, and its key: the paths of both.
    pub(crate) fn identity(&self, name: &str, authority: &Authority, common_name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = authority.issue(common_name);
        (self.file(&format!("{name}.pem"), &certificate), self.file(&format!("{name}.key"), &key))
    }
}

/// An authority that issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(common_name: &str) -> Self {
        let mut params = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `common_name`, which is a DNS name too, and its key, both as PEM. Valid to the end of 2098.
    pub(crate) fn issue(&self, common_name: &str) -> (String, String) {
        let mut params = named(common_name);
        params.subject_alt_names = vec![SanType::DnsName(common_name.try_into().unwrap())];
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
