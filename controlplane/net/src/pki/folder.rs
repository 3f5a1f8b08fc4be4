//! The folder in which an authority and its certificates lie, and what can be done there.

use std::path::{Path, PathBuf};

use photongate_wire::{Nanos, UnixNanos};

use super::authority::Authority;
use super::files::{self, Pair};
use super::site::AUTHORITY_FILE;
use super::standing::{Fault, Found};
use super::{PkiError, Site, Standing, Wanted};
use crate::tls::CertificateInfo;

/// The certificates of a site, in a folder: `ca.pem` and `ca-key.pem` of the authority, `NAME.pem` and `NAME-key.pem` of each other.
/// Certificates have mode 0644, keys 0600.
#[derive(Clone, Debug)]
pub struct Pki {
    site: Site,
    folder: PathBuf,
}

/// What is renewed, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewal {
    /// Those that end within this time. `None`: those of which less than a third of their days is left.
    pub before: Option<Nanos>,
    /// Whether they get new keys, too.
    pub new_keys: bool,
}

/// What was done about a certificate, and how it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name; `ca` for the authority's.
    pub name: String,
    /// What the site file says of it; `None` for the authority's.
    pub wanted: Option<Wanted>,
    /// Its file.
    pub certificate: PathBuf,
    /// Its key's file.
    pub key: PathBuf,
    /// What was done.
    pub action: Action,
    /// How it stands.
    pub standing: Standing,
    /// What it says, if it is there.
    pub info: Option<CertificateInfo>,
}

/// What was done about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There was none, and now there is.
    Made,
    /// It was replaced.
    Renewed,
    /// Nothing.
    Kept,
}

impl Pki {
    /// The certificates of `site` in `folder`. Nothing is read or written yet.
    pub fn new(site: Site, folder: &Path) -> Self {
        Self { site, folder: folder.to_owned() }
    }

    /// Makes the folder, the authority and the certificates, as far as they are missing; one for which there is only a key is made for
    /// that key. What is there is left as it is, however it stands. The authority comes first in the report.
    ///
    /// # Errors
    /// Files that are there cannot be used, or none can be made. What was made before that stays.
    pub fn init(&self, now: UnixNanos) -> Result<Vec<Report>, PkiError> {
        self.run(now, None)
    }

    /// As [`init`](Self::init), and replaces the certificates that end soon, are over, or are not what the site file says. Each file is
    /// replaced whole. The authority itself is never renewed.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn renew(&self, now: UnixNanos, renewal: Renewal) -> Result<Vec<Report>, PkiError> {
        self.run(now, Some(renewal))
    }

    /// How everything stands. Nothing is written.
    ///
    /// # Errors
    /// Files that are there cannot be used.
    pub fn show(&self, now: UnixNanos) -> Result<Vec<Report>, PkiError> {
        let authority = Authority::find(&self.folder)?;
        let mut reports = vec![self.authority_report(authority.as_ref(), Action::Kept, now)];
        for wanted in &self.site.certificates {
            let found = self.look(wanted, authority.as_ref(), now, None)?;
            reports.push(self.report(wanted, Action::Kept, found.standing, found.info));
        }
        Ok(reports)
    }

    fn run(&self, now: UnixNanos, renewal: Option<Renewal>) -> Result<Vec<Report>, PkiError> {
        let _lock = files::take_folder(&self.folder)?;
        let (authority, action) = match Authority::find(&self.folder)? {
            Some(authority) => (authority, Action::Kept),
            None => (Authority::make(&self.folder, &self.site, now)?, Action::Made),
        };
        let mut reports = vec![self.authority_report(Some(&authority), action, now)];
        for wanted in &self.site.certificates {
            reports.push(self.settle(wanted, &authority, now, renewal)?);
        }
        Ok(reports)
    }

    fn settle(
        &self,
        wanted: &Wanted,
        authority: &Authority,
        now: UnixNanos,
        renewal: Option<Renewal>,
    ) -> Result<Report, PkiError> {
        let pair = Pair::new(&self.folder, &wanted.name);
        let found = self.look(wanted, Some(authority), now, renewal.and_then(|renewal| renewal.before))?;
        let action = match (&found.standing, renewal) {
            (Standing::Missing, _) => {
                let key = found.key.map_or_else(|| pair.make_key(), Ok)?;
                pair.make_certificate(&issue(authority, wanted, &key, now)?)?;
                Action::Made
            }
            (Standing::Bad(_), Some(renewal)) => {
                let key = found.key.filter(|_| !renewal.new_keys).map_or_else(|| pair.replace_key(), Ok)?;
                pair.replace_certificate(&issue(authority, wanted, &key, now)?)?;
                Action::Renewed
            }
            (Standing::Good | Standing::Bad(_), _) => {
                return Ok(self.report(wanted, Action::Kept, found.standing, found.info));
            }
        };
        let made = self.look(wanted, Some(authority), now, Some(Nanos(0)))?;
        Ok(self.report(wanted, action, made.standing, made.info))
    }

    fn look(
        &self,
        wanted: &Wanted,
        authority: Option<&Authority>,
        now: UnixNanos,
        before: Option<Nanos>,
    ) -> Result<Found, PkiError> {
        let a_third = Nanos::from_secs(u64::from(wanted.days) * A_DAY / 3);
        Found::look(&Pair::new(&self.folder, &wanted.name), wanted, authority, now, before.unwrap_or(a_third))
    }

    fn authority_report(&self, authority: Option<&Authority>, action: Action, now: UnixNanos) -> Report {
        let pair = Pair::new(&self.folder, AUTHORITY_FILE);
        let info = authority.map(|authority| authority.info().clone());
        let standing = match &info {
            None => Standing::Missing,
            Some(info) if info.not_after <= now => Standing::Bad(Fault::Over),
            Some(info) if info.not_after.0 - now.0 <= AUTHORITY_ENDING.0 => Standing::Bad(Fault::Ending),
            Some(_) => Standing::Good,
        };
        let (certificate, key) = (pair.certificate, pair.key);
        Report { name: AUTHORITY_FILE.to_owned(), wanted: None, certificate, key, action, standing, info }
    }

    fn report(&self, wanted: &Wanted, action: Action, standing: Standing, info: Option<CertificateInfo>) -> Report {
        let Pair { certificate, key } = Pair::new(&self.folder, &wanted.name);
        Report { name: wanted.name.clone(), wanted: Some(wanted.clone()), certificate, key, action, standing, info }
    }
}

/// A certificate by an authority whose time is not over.
fn issue(authority: &Authority, wanted: &Wanted, key: &rcgen::KeyPair, now: UnixNanos) -> Result<String, PkiError> {
    if authority.info().not_after <= now {
        let why = "the time of the authority's certificate is over: move its files away to begin with a new authority";
        return Err(PkiError::NotMade { name: wanted.name.clone(), why: why.to_owned() });
    }
    authority.issue(wanted, key, now)
}

/// In seconds.
const A_DAY: u64 = 24 * 60 * 60;

/// A new authority must be believed everywhere before the old one ends: that takes a while.
const AUTHORITY_ENDING: Nanos = Nanos::from_secs(180 * A_DAY);
