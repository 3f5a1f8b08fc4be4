//! Keys of a device vendor's own key management entity, fetched as its application does (ETSI GS QKD 014 V1.1.1).
//!
//! The leading end asks its device for keys ("Get key", clause 5.3) and tells the other end their IDs, which is outside the standard
//! (clause 4). The other end fetches them from its device ("Get key with key IDs", clause 5.4). Each block is the keys of one request,
//! one behind the other.

use std::pin::Pin;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::device::{self, DEVICE_PATIENCE, Device, DeviceAddress, DeviceError, MOST_BLOCK_BYTES};
use super::{LinkEnd, LinkSource, Origin, SourceError};
use crate::client::{ClientError, SaeClient};
use crate::ids::SaeId;
use crate::sae::{KeyContainer, KeyRequest};

/// A device that speaks ETSI GS QKD 014.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etsi014 {
    /// The device of this end. This server is an application of it.
    pub device: DeviceAddress,
    /// What the other server is called as an application of its device.
    pub peer_sae: SaeId,
    /// The size of a key, in bits: a multiple of 8. What the leading end has is what counts.
    pub key_size_bits: u32,
    /// Keys in one request, and so in a block. What the leading end has is what counts.
    pub keys_per_block: u16,
}

impl Etsi014 {
    /// The most that [`keys_per_block`](Self::keys_per_block) may be.
    pub const MOST_KEYS: u16 = 4_096;
    /// The most that [`key_size_bits`](Self::key_size_bits) may be.
    pub const MOST_KEY_BITS: u32 = 8_192;
}

impl LinkSource for Etsi014 {
    fn kind(&self) -> &'static str {
        Client::KIND
    }

    fn origin(&self) -> Origin {
        Origin::Qkd
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(device::run(Client { settings: *self, sae: None, drawn: None }, end))
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(self.clone())
    }
}

/// The application's side of a device.
struct Client {
    settings: Etsi014,
    /// Made anew after each failure, with the files as they are then.
    sae: Option<SaeClient>,
    /// At the leading end: what was chosen last.
    drawn: Option<Zeroizing<Vec<u8>>>,
}

/// The keys that make a block.
#[derive(Serialize, Deserialize)]
struct Keys {
    ids: Vec<Uuid>,
    key_bytes: usize,
}

impl Device for Client {
    const KIND: &'static str = "etsi014";
    type Keys = Keys;

    async fn choose(&mut self) -> Result<Keys, DeviceError> {
        let Etsi014 { peer_sae, key_size_bits, keys_per_block, .. } = self.settings.clone();
        let request = KeyRequest {
            number: Some(keys_per_block.into()),
            size: Some(key_size_bits.into()),
            ..KeyRequest::default()
        };
        let container = self.sae()?.enc_keys(&peer_sae, &request).await;
        let container = container.map_err(|error| self.failed(&error))?;
        let ids: Vec<_> = container.keys.iter().map(|key| key.key_ID).collect();
        if ids.len() != usize::from(keys_per_block) {
            return Err(other_keys());
        }
        let keys = Keys { ids, key_bytes: key_size_bits as usize / 8 };
        self.drawn = Some(keys.joined(&container)?);
        Ok(keys)
    }

    async fn chosen(&mut self, _: &Keys) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
        self.drawn.take().ok_or_else(other_keys)
    }

    async fn fetch(&mut self, keys: &Keys) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
        let length = keys.ids.len().saturating_mul(keys.key_bytes);
        if keys.ids.len() > usize::from(Etsi014::MOST_KEYS) || !(1..=MOST_BLOCK_BYTES).contains(&length) {
            return Err(DeviceError("the other end wants no keys, or too many at once".to_owned()));
        }
        let peer_sae = self.settings.peer_sae.clone();
        let container = self.sae()?.dec_keys(&peer_sae, &keys.ids).await;
        keys.joined(&container.map_err(|error| self.failed(&error))?)
    }

    async fn give_up(&mut self, _: Keys) {
        self.drawn = None;
    }
}

impl Client {
    fn sae(&mut self) -> Result<&SaeClient, DeviceError> {
        match &mut self.sae {
            Some(sae) => Ok(sae),
            none => {
                let address = &self.settings.device;
                let sae = SaeClient::new(address.url.clone(), &address.tls()?);
                let sae = sae.map_err(|error| DeviceError(error.to_string()))?;
                Ok(none.insert(sae.with_patience(DEVICE_PATIENCE)))
            }
        }
    }

    fn failed(&mut self, error: &ClientError) -> DeviceError {
        self.sae = None;
        DeviceError(error.to_string())
    }
}

impl Keys {
    /// The keys, one behind the other. All must be there, and as long as they should be.
    fn joined(&self, container: &KeyContainer) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.ids.len().saturating_mul(self.key_bytes)));
        for (place, id) in self.ids.iter().enumerate() {
            // Most devices answer in the order of the question.
            let named = container.keys.get(place).filter(|key| key.key_ID == *id);
            let named = named.or_else(|| container.keys.iter().find(|key| key.key_ID == *id)).ok_or_else(other_keys)?;
            let key = BASE64_STANDARD.decode(named.key.as_bytes()).map(Zeroizing::new).map_err(|_| other_keys())?;
            if key.len() != self.key_bytes || self.ids[..place].contains(id) {
                return Err(other_keys());
            }
            bytes.extend_from_slice(&key);
        }
        Ok(bytes)
    }
}

fn other_keys() -> DeviceError {
    DeviceError("it gives other keys than it was asked for".to_owned())
}

#[cfg(test)]
mod tests;
