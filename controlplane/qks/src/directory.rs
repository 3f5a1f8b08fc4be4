//! Which applications there are, where they are served, and by what a certificate tells them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use photongate_net::tls::{CertificateInfo, Fingerprint};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{QksId, SaeId};
use crate::store::{Store, StoreError};

/// The applications of this server, and where others are.
#[derive(Debug)]
pub struct Directory {
    rule: IdentityRule,
    store: Store,
    here: RwLock<BTreeMap<SaeId, Sae>>,
    elsewhere: ArcSwap<HashMap<SaeId, QksId>>,
}

/// An application that this server serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sae {
    /// Its name.
    pub id: SaeId,
    /// SHA-256 fingerprints or serial numbers of its certificates, for servers that tell applications by these.
    #[serde(default)]
    pub certificates: Vec<String>,
}

/// By what part of its certificate an application is known. ETSI GS QKD 014 leaves it open (clause 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityRule {
    /// The common name is the SAE ID.
    #[default]
    Cn,
    /// A DNS name among the alternative names is the SAE ID.
    SanDns,
    /// A URI among the alternative names is the SAE ID.
    SanUri,
    /// The SHA-256 fingerprint of the certificate is registered for the application.
    Fingerprint,
    /// The serial number of the certificate is registered for the application.
    Serial,
}

/// Where an application is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here.
    Here,
    /// By another server.
    At(QksId),
    /// Nobody knows.
    Unknown,
}

impl Directory {
    /// Reads which applications are registered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(store: Store, rule: IdentityRule) -> Result<Self, StoreError> {
        let here = RwLock::new(read(&store).await?);
        Ok(Self { rule, store, here, elsewhere: ArcSwap::default() })
    }

    /// Reads anew which applications are registered: another process of this server may have changed that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let read = read(&self.store).await?;
        *self.here.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Registers an application, or changes what is known about it. Returns whether it is new.
    ///
    /// # Errors
    /// [`StoreError`]; it is not registered then.
    pub async fn register(&self, sae: Sae) -> Result<bool, StoreError> {
        let value = serde_json::to_string(&sae).expect("names are text");
        self.store.put_entry(KIND, sae.id.as_str(), &value).await?;
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        Ok(here.insert(sae.id.clone(), sae).is_none())
    }

    /// Forgets an application. Returns whether it was known.
    ///
    /// # Errors
    /// [`StoreError`]; it is still registered then.
    pub async fn unregister(&self, id: &SaeId) -> Result<bool, StoreError> {
        self.store.remove_entry(KIND, id.as_str()).await?;
        Ok(self.here.write().unwrap_or_else(PoisonError::into_inner).remove(id).is_some())
    }

    /// The applications of this server, by their names.
    pub fn registered(&self) -> Vec<Sae> {
        self.here.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Says where the applications of other servers are.
    pub fn set_elsewhere(&self, elsewhere: HashMap<SaeId, QksId>) {
        self.elsewhere.store(Arc::new(elsewhere));
    }

    /// Where an application is served.
    pub fn place(&self, id: &SaeId) -> Place {
        if self.here.read().unwrap_or_else(PoisonError::into_inner).contains_key(id) {
            return Place::Here;
        }
        self.elsewhere.load().get(id).map_or(Place::Unknown, |server| Place::At(server.clone()))
    }

    /// The registered application that a certificate belongs to. The handshake has verified the certificate.
    pub fn identify(&self, certificate: &CertificateInfo) -> Option<SaeId> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        let named = |name: &str| here.get_key_value(&name.parse::<SaeId>().ok()?).map(|(id, _)| id.clone());
        let subject = &certificate.subject;
        match self.rule {
            IdentityRule::Cn => subject.common_names().find_map(named),
            IdentityRule::SanDns => subject.dns_names().find_map(named),
            IdentityRule::SanUri => subject.uris().find_map(named),
            IdentityRule::Fingerprint => {
                let is_its = |text: &String| text.parse::<Fingerprint>() == Ok(certificate.fingerprint);
                here.values().find(|sae| sae.certificates.iter().any(is_its)).map(|sae| sae.id.clone())
            }
            IdentityRule::Serial => {
                let digits = |text: &str| text.replace(':', "").trim_start_matches('0').to_ascii_lowercase();
                let is_its = |text: &String| digits(text) == digits(&certificate.serial);
                here.values().find(|sae| sae.certificates.iter().any(is_its)).map(|sae| sae.id.clone())
            }
        }
    }
}

async fn read(store: &Store) -> Result<BTreeMap<SaeId, Sae>, StoreError> {
    let entries = store.entries(KIND).await?;
    let sae = |(_, value): (String, String)| {
        let sae: Sae = serde_json::from_str(&value).map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok((sae.id.clone(), sae))
    };
    entries.into_iter().map(sae).collect()
}

const KIND: &str = "sae";
