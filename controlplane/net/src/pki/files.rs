//! The files of one certificate and its key.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::PkiError;
use super::site::KEY_SUFFIX;
use crate::secret_file;
use crate::tls::{Mistake, TlsError, certificates};

/// Where a certificate and its private key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Pair {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}{KEY_SUFFIX}.pem")) }
    }

    /// The certificate, if it is there: the first one of the file.
    pub(super) fn read_certificate(&self) -> Result<Option<CertificateDer<'static>>, PkiError> {
        match certificates(&self.certificate) {
            Ok(mut chain) => Ok(Some(chain.swap_remove(0))),
            Err(TlsError { mistake: Mistake::Unreadable(error), .. }) if error.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The key, if it is there.
    pub(super) fn read_key(&self) -> Result<Option<Zeroizing<KeyPair>>, PkiError> {
        let mistake = |mistake| TlsError { path: self.key.clone(), mistake };
        let text = match secret_file::read(&self.key) {
            Ok(text) => text,
            Err(secret_file::SecretFileError::Unreadable(error)) if error.kind() == ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(mistake(Mistake::KeyFile(error)).into()),
        };
        let key = KeyPair::from_pem(&text).map_err(|_| mistake(Mistake::NoKey))?;
        Ok(Some(Zeroizing::new(key)))
    }

    /// Makes a key where there is none, mode 0600.
    pub(super) fn make_key(&self) -> Result<Zeroizing<KeyPair>, PkiError> {
        let key = Zeroizing::new(new_key(&self.key)?);
        let text = Zeroizing::new(key.serialize_pem());
        secret_file::create(&self.key, &text).map_err(PkiError::refused(&self.key, "made"))?;
        Ok(key)
    }

    /// Puts a new key in the place of the one that is there.
    pub(super) fn replace_key(&self) -> Result<Zeroizing<KeyPair>, PkiError> {
        let key = Zeroizing::new(new_key(&self.key)?);
        let text = Zeroizing::new(key.serialize_pem());
        secret_file::replace(&self.key, text.as_bytes()).map_err(PkiError::refused(&self.key, "written"))?;
        Ok(key)
    }

    /// Makes the certificate's file where there is none, mode 0644. Whole or not at all.
    pub(super) fn make_certificate(&self, pem: &str) -> Result<(), PkiError> {
        self.write_certificate(pem, true).map_err(PkiError::refused(&self.certificate, "made"))
    }

    /// Puts `pem` in the place of the certificate that is there. Whoever reads it meanwhile gets one or the other.
    pub(super) fn replace_certificate(&self, pem: &str) -> Result<(), PkiError> {
        self.write_certificate(pem, false).map_err(PkiError::refused(&self.certificate, "written"))
    }

    fn write_certificate(&self, pem: &str, anew: bool) -> io::Result<()> {
        let folder = self.certificate.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(secret_file::UNFINISHED).tempfile_in(folder)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(pem.as_bytes())?;
        file.as_file().sync_all()?;
        if anew {
            file.persist_noclobber(&self.certificate)?
        } else {
            file.persist(&self.certificate)?
        };
        File::open(folder)?.sync_all()
    }
}

/// Makes a folder for nobody else, if there is none, and takes it for oneself for as long as the result is kept.
pub(super) fn take_folder(folder: &Path) -> Result<Flock<File>, PkiError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(PkiError::refused(folder, "made"))?;
    let open = File::open(folder).map_err(PkiError::refused(folder, "opened"))?;
    let lock = Flock::lock(open, FlockArg::LockExclusiveNonblock);
    let lock = lock.map_err(|_| PkiError::Busy { folder: folder.to_owned() })?;
    // What an interrupted run has left behind. Nobody else writes here now.
    secret_file::remove_unfinished(folder).map_err(PkiError::refused(folder, "read"))?;
    Ok(lock)
}

fn new_key(path: &Path) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(PkiError::not_made(&path.display().to_string()))
}
