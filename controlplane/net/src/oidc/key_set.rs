//! A provider's public keys (RFC 7517).

use std::collections::HashMap;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The keys that tokens can be verified with, by their names.
#[derive(Debug)]
pub(super) struct KeySet(HashMap<String, PublicKey>);

/// One of them.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) key: DecodingKey,
    /// What it verifies. Never a MAC: there is no secret between the provider and this program.
    pub(super) algorithms: Vec<Algorithm>,
}

impl KeySet {
    /// Reads a set. Keys that are no use here are passed over: those without a name, for encryption, of other kinds.
    ///
    /// # Errors
    /// It is no set of keys, or has none that is of use; says so.
    pub(super) fn read(text: &[u8]) -> Result<Self, &'static str> {
        let set: Set = serde_json::from_slice(text).map_err(|_| "is no set of keys (RFC 7517)")?;
        if set.keys.len() > MOST_KEYS {
            return Err("has too many keys");
        }
        let keys = set.keys.into_iter().filter_map(|key| public_key(&serde_json::from_value(key).ok()?));
        let keys: HashMap<_, _> = keys.collect();
        if keys.is_empty() { Err("has no key that verifies signatures and has a `kid`") } else { Ok(Self(keys)) }
    }

    pub(super) fn find(&self, id: &str) -> Option<&PublicKey> {
        self.0.get(id)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

fn public_key(key: &Jwk) -> Option<(String, PublicKey)> {
    let fitting: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &RSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    if key.common.public_key_use.as_ref().is_some_and(|for_what| *for_what != PublicKeyUse::Signature) {
        return None;
    }
    let algorithms: Vec<_> = match key.common.key_algorithm {
        None => fitting.to_vec(),
        Some(one) => {
            fitting.iter().copied().filter(|algorithm| Algorithm::try_from(one).ok() == Some(*algorithm)).collect()
        }
    };
    if algorithms.is_empty() {
        return None;
    }
    let id = key.common.key_id.clone()?;
    Some((id, PublicKey { key: DecodingKey::from_jwk(key).ok()?, algorithms }))
}

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// Providers have two or three.
const MOST_KEYS: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_no_use_here_are_passed_over() {
        let (x, y) = ("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps");
        let good = json!({ "kty": "EC", "crv": "P-256", "kid": "good", "use": "sig", "x": x, "y": y });
        let mut keys = vec![good.clone()];
        for (field, value) in [
            ("use", json!("enc")),
            ("alg", json!("HS256")),
            ("alg", json!("ES384")),
            ("crv", json!("secp256k1")),
            ("use", json!(7)),
        ] {
            let mut key = good.clone();
            key["kid"] = json!(format!("{field} {value}"));
            key[field] = value;
            keys.push(key);
        }
        keys.push(json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": "c2VjcmV0" }));
        keys.push(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }));
        let set = KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        assert_eq!(set.0.keys().collect::<Vec<_>>(), ["good"]);
        assert_eq!(set.find("good").unwrap().algorithms, [Algorithm::ES256]);
    }

    #[test]
    fn a_set_without_a_useful_key_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys": []}"#, r#"{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}"#] {
            assert!(KeySet::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
