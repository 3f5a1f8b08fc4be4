//! Extension parameters of a key request (ETSI GS QKD 014 V1.1.1, clause 6.2), and those of them that we know.

use serde_json::{Map, Value, json};

use super::ApiError;
use crate::links::Origin;

/// What a request asks for beyond the standard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `photongate_require_direct`: no other server may see the keys.
    pub require_direct: Wanted<bool>,
    /// `photongate_max_hops`: over at most so many links.
    pub max_hops: Wanted<u32>,
    /// `photongate_max_age`: made of material that is not older, in seconds.
    pub max_age: Wanted<u64>,
    /// `photongate_source`: made of material of this origin.
    pub source: Wanted<Origin>,
    /// `photongate_paths`: over so many routes that share no server, so that none alone sees the keys.
    pub paths: Wanted<u32>,
    /// `photongate_relaxed`: fewer keys than asked for will do.
    pub relaxed: Wanted<bool>,
    /// `photongate_idempotency_key`: a request of the same name gets the same answer again.
    pub idempotency_key: Wanted<String>,
}

/// An extension parameter, if it is there, and whether it must be kept to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted<T> {
    /// It is not there.
    #[default]
    No,
    /// It may be ignored.
    Gladly(T),
    /// It may not.
    Firmly(T),
}

impl<T> Wanted<T> {
    /// What is asked for.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::No => None,
            Self::Gladly(value) | Self::Firmly(value) => Some(value),
        }
    }

    fn drop_if_optional(&mut self) {
        if matches!(self, Self::Gladly(_)) {
            *self = Self::No;
        }
    }
}

impl Extensions {
    /// Reads both lists.
    ///
    /// # Errors
    /// A mandatory parameter is not known, or one that is known has a value that it cannot have.
    pub fn read(mandatory: &[Map<String, Value>], optional: &[Map<String, Value>]) -> Result<Self, ApiError> {
        let mut extensions = Self::default();
        for (name, value) in optional.iter().flatten() {
            extensions.set(name, value, false)?;
        }
        for (name, value) in mandatory.iter().flatten() {
            if !extensions.set(name, value, true)? {
                let unknown = ApiError::bad_request("not all extension_mandatory parameters are supported");
                return Err(unknown.with_detail("extension_mandatory", json!(name)));
            }
        }
        Ok(extensions)
    }

    /// The same without what may be ignored, but for the name of the request.
    #[must_use]
    pub fn mandatory_only(mut self) -> Self {
        self.require_direct.drop_if_optional();
        self.max_hops.drop_if_optional();
        self.max_age.drop_if_optional();
        self.source.drop_if_optional();
        self.paths.drop_if_optional();
        self
    }

    /// Whether anything limits which material or which route will do.
    pub fn is_demanding(&self) -> bool {
        let Self { require_direct, max_hops, max_age, source, paths, .. } = self;
        require_direct.value() == Some(&true)
            || max_hops.value().is_some()
            || max_age.value().is_some()
            || source.value().is_some()
            || paths.value().is_some()
    }

    fn set(&mut self, name: &str, value: &Value, is_mandatory: bool) -> Result<bool, ApiError> {
        match name {
            // The second name is that of an older key server's extension.
            "photongate_require_direct" | "require_direct" => {
                self.require_direct = wanted(name, value.as_bool(), "true or false", is_mandatory)?;
            }
            "photongate_max_hops" => self.max_hops = wanted(name, small(value), "a number from 1 up", is_mandatory)?,
            "photongate_max_age" => {
                self.max_age = wanted(name, value.as_u64(), "a number of seconds", is_mandatory)?;
            }
            "photongate_source" => {
                let origin = Origin::deserialize_text(value);
                self.source = wanted(name, origin, "\"qkd\", \"pqc\" or \"hybrid\"", is_mandatory)?;
            }
            "photongate_paths" => self.paths = wanted(name, small(value), "a number from 1 up", is_mandatory)?,
            "photongate_relaxed" => {
                self.relaxed = wanted(name, value.as_bool(), "true or false", is_mandatory)?;
            }
            "photongate_idempotency_key" => {
                let key = value.as_str().filter(|key| (1..=LONGEST_KEY).contains(&key.len())).map(str::to_owned);
                self.idempotency_key = wanted(name, key, "a text of 1 to 128 bytes", is_mandatory)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Origin {
    fn deserialize_text(value: &Value) -> Option<Self> {
        serde::Deserialize::deserialize(value).ok()
    }
}

fn small(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

fn wanted<T>(name: &str, value: Option<T>, example: &str, is_mandatory: bool) -> Result<Wanted<T>, ApiError> {
    match value {
        Some(value) if is_mandatory => Ok(Wanted::Firmly(value)),
        Some(value) => Ok(Wanted::Gladly(value)),
        None => Err(ApiError::bad_request(format!("the extension {name} must be {example}"))),
    }
}

/// Of an idempotency key, in bytes.
const LONGEST_KEY: usize = 128;
