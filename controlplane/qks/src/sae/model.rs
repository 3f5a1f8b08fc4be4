//! Requests and answers as JSON (ETSI GS QKD 014 V1.1.1, clause 6).

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{ApiError, Extensions};
use crate::ids::{QksId, SaeId};

/// What a server gives out at most, as it says in its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of a key if the request names none, in bits.
    pub key_size_bits: u32,
    /// The smallest key, in bits.
    pub min_key_size_bits: u32,
    /// The largest key, in bits.
    pub max_key_size_bits: u32,
    /// Keys in one request.
    pub max_keys_per_request: u16,
    /// Keys that are said to be stored at most.
    pub max_key_count: u64,
    /// Applications beside the slave that one request may name.
    pub max_sae_ids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_size_bits: 256,
            min_key_size_bits: 64,
            max_key_size_bits: 8_192,
            max_keys_per_request: 128,
            max_key_count: 100_000_000,
            max_sae_ids: 16,
        }
    }
}

/// Clause 6.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(non_snake_case, reason = "the standard's names")]
pub struct Status {
    /// The key server that answers.
    pub source_KME_ID: QksId,
    /// The key server of the slave.
    pub target_KME_ID: QksId,
    /// Who asks.
    pub master_SAE_ID: SaeId,
    /// Whom keys would be shared with.
    pub slave_SAE_ID: SaeId,
    /// Size of a key if a request names none, in bits.
    pub key_size: u32,
    /// Keys of that size that can be given out now.
    pub stored_key_count: u64,
    /// The most that number can be.
    pub max_key_count: u64,
    /// Keys that one request gets at most.
    pub max_key_per_request: u16,
    /// In bits.
    pub max_key_size: u32,
    /// In bits.
    pub min_key_size: u32,
    /// Applications that a request may name beside the slave.
    pub max_SAE_ID_count: u32,
    /// What the standard does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_extension: Option<Map<String, Value>>,
}

/// Clause 6.2. Fields that are not known are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyRequest {
    /// How many keys. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// How large each is, in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Who gets the same keys beside the slave.
    #[serde(default, rename = "additional_slave_SAE_IDs", skip_serializing_if = "Option::is_none")]
    pub additional_slave_sae_ids: Option<Vec<SaeId>>,
    /// What must be kept to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub extension_mandatory: Option<Vec<Map<String, Value>>>,
    /// What may be ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub extension_optional: Option<Vec<Map<String, Value>>>,
}

/// A key request that keeps to the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRequest {
    /// How many keys.
    pub number: u16,
    /// How large each is, in bytes.
    pub key_bytes: u32,
    /// Who gets the keys: the slave, then the others.
    pub slaves: Vec<SaeId>,
    /// What it asks for beyond the standard.
    pub extensions: Extensions,
}

impl KeyRequest {
    /// Checks the request of `master` for keys shared with `slave`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn within(self, limits: &Limits, master: &SaeId, slave: SaeId) -> Result<CheckedRequest, ApiError> {
        let number = self.number.unwrap_or(1);
        let most = limits.max_keys_per_request;
        let number = u16::try_from(number)
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| out_of_bounds("number", number, 1, most.into()))?;
        let size = self.size.unwrap_or(limits.key_size_bits.into());
        if !size.is_multiple_of(8) {
            return Err(ApiError::bad_request("size shall be a multiple of 8"));
        }
        let [least, most] = [limits.min_key_size_bits, limits.max_key_size_bits];
        let size = u32::try_from(size)
            .ok()
            .filter(|size| (least..=most).contains(size))
            .ok_or_else(|| out_of_bounds("size", size, least, most))?;
        let additional = self.additional_slave_sae_ids.unwrap_or_default();
        let named = u32::try_from(additional.len()).unwrap_or(u32::MAX);
        if named > limits.max_sae_ids {
            return Err(out_of_bounds("the count of additional_slave_SAE_IDs", named.into(), 0, limits.max_sae_ids));
        }
        let mut slaves = vec![slave];
        for sae in additional {
            if sae == *master || slaves.contains(&sae) {
                let message =
                    "additional_slave_SAE_IDs must name each application once, and neither the slave nor the caller";
                return Err(ApiError::bad_request(message).with_detail("additional_slave_SAE_IDs", json!(sae)));
            }
            slaves.push(sae);
        }
        let mandatory = self.extension_mandatory.unwrap_or_default();
        let optional = self.extension_optional.unwrap_or_default();
        let extensions = Extensions::read(&mandatory, &optional)?;
        Ok(CheckedRequest { number, key_bytes: size / 8, slaves, extensions })
    }
}

/// Clause 6.3.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyContainer {
    /// The keys.
    pub keys: Vec<NamedKey>,
    /// What the standard does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub key_container_extension: Option<Map<String, Value>>,
}

/// A key and its name. Prints without the key.
#[derive(Serialize, Deserialize, ToSchema)]
#[allow(non_snake_case, reason = "the standard's names")]
pub struct NamedKey {
    /// Its name.
    pub key_ID: Uuid,
    /// The key, base64 (RFC 4648, section 4).
    #[schema(value_type = String)]
    pub key: Zeroizing<String>,
}

impl fmt::Debug for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedKey({}, ..)", self.key_ID)
    }
}

/// Clause 6.4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(non_snake_case, reason = "the standard's names")]
pub struct KeyIds {
    /// The names of the keys.
    pub key_IDs: Vec<KeyId>,
    /// What the standard does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub key_IDs_extension: Option<Map<String, Value>>,
}

/// The name of a key, as an object. Some clients send the name alone, which the server takes if it is told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum KeyId {
    /// As the standard has it.
    Object {
        /// The name.
        #[serde(rename = "key_ID")]
        key_id: Uuid,
    },
    /// The name alone.
    Plain(Uuid),
}

/// By hand: what serde derives for such a type copies all that it reads first, and says nothing of what is wrong.
impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyIdVisitor)
    }
}

struct KeyIdVisitor;

impl<'de> Visitor<'de> for KeyIdVisitor {
    type Value = KeyId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a key_ID")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyId, E> {
        text.parse().map(KeyId::Plain).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyId, A::Error> {
        #[derive(Deserialize)]
        struct Object {
            #[serde(rename = "key_ID")]
            key_id: Uuid,
        }
        let Object { key_id } = Object::deserialize(MapAccessDeserializer::new(map))?;
        Ok(KeyId::Object { key_id })
    }
}

fn out_of_bounds(what: &str, value: u64, least: u32, most: u32) -> ApiError {
    ApiError::bad_request(format!("{what} is {value}, and must be from {least} to {most}"))
}
