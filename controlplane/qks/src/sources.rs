//! From the configuration of a source to the source.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::config::{Bb84Config, QksConfig, SourceConfig, TlsConfig};
use crate::links::bb84::{BadSetting, Bb84, Bb84Settings, Control, Secret};
use crate::links::hybrid::Hybrid;
use crate::links::mlkem::MlKem;
use crate::links::{Credentials, LinkSource};
use crate::secrets::{SecretRef, SecretRefError, Vault};

/// Makes the sources of one server.
#[derive(Clone, Debug)]
pub struct Opener {
    /// What the server shows to others.
    tls: TlsConfig,
    /// Who issues certificates of other servers.
    peers_ca: PathBuf,
    /// Where secrets may lie.
    vault: Option<Vault>,
}

/// A source that may run.
pub struct OpenSource {
    /// The source.
    pub source: Box<dyn LinkSource>,
    /// What changes the channels of simulated QKD links while they run: of this one, or of those that a hybrid is made of.
    pub channels: Vec<Control>,
}

impl OpenSource {
    /// The same source, to be run again.
    pub fn again(&self) -> Self {
        Self { source: self.source.again(), channels: self.channels.clone() }
    }
}

impl fmt::Debug for OpenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenSource({})", self.source.kind())
    }
}

/// Why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSourceError {
    /// Its secret is not there.
    #[error("secret: {0}")]
    Secret(#[from] SecretRefError),
    /// Its secret can be guessed.
    #[error("secret: {0} has less than {least} characters, so it can be guessed; make one with `openssl rand -hex 32`", least = Secret::SHORTEST)]
    ShortSecret(SecretRef),
    /// A setting is out of its bounds.
    #[error(transparent)]
    Setting(#[from] BadSetting),
}

impl Opener {
    /// For the server of this configuration.
    pub fn new(config: &QksConfig, vault: Option<Vault>) -> Self {
        Self { tls: config.tls.clone(), peers_ca: config.peers.ca.clone(), vault }
    }

    /// The source that the configuration means.
    ///
    /// # Errors
    /// [`OpenSourceError`].
    pub async fn open(&self, source: &SourceConfig) -> Result<OpenSource, OpenSourceError> {
        let SourceConfig::Hybrid(hybrid) = source else { return self.open_one(source).await };
        let [first, second] = &*hybrid.of;
        let (first, second) = (self.open_one(first).await?, self.open_one(second).await?);
        let channels = first.channels.into_iter().chain(second.channels).collect();
        let of = [first.source, second.source];
        let source = Hybrid { of, when_one_fails: hybrid.when_one_fails, patience: hybrid.patience };
        Ok(OpenSource { source: Box::new(source), channels })
    }

    async fn open_one(&self, source: &SourceConfig) -> Result<OpenSource, OpenSourceError> {
        let mut channels = Vec::new();
        let source: Box<dyn LinkSource> = match source {
            SourceConfig::Bb84(config) => {
                let bb84 = Bb84::new(self.bb84(config).await?)?;
                channels.push(bb84.control());
                Box::new(bb84)
            }
            SourceConfig::Etsi004(module) => Box::new(module.clone()),
            SourceConfig::Etsi014(device) => Box::new(device.clone()),
            SourceConfig::KeyFile(files) => Box::new(files.clone()),
            SourceConfig::MlKem(settings) => {
                let TlsConfig { certificate, key } = self.tls.clone();
                let credentials = Credentials { certificate, key, ca: self.peers_ca.clone() };
                Box::new(MlKem { settings: settings.clone(), credentials })
            }
            SourceConfig::Hybrid(_) => unreachable!("the configuration has no hybrid of hybrids"),
        };
        Ok(OpenSource { source, channels })
    }

    async fn bb84(&self, config: &Bb84Config) -> Result<Bb84Settings, OpenSourceError> {
        let text = config.secret.resolve(self.vault.as_ref()).await?;
        let secret = Secret::new(Zeroizing::new(text.as_bytes().to_vec()));
        let Bb84Config { endpoint, parameters, channel, patience, .. } = config.clone();
        let secret = secret.ok_or_else(|| OpenSourceError::ShortSecret(config.secret.clone()))?;
        Ok(Bb84Settings { endpoint, secret, parameters, channel, patience })
    }
}
