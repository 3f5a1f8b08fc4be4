//! What applications prefer about their keys, said by operators, where requests do not say it themselves.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::SaeId;
use crate::links::Origin;
use crate::sae::{CheckedRequest, Extensions, Wanted};
use crate::store::{Store, StoreError};

/// The preferences of all applications of this server. They are in the database, where other processes of it find them.
#[derive(Debug)]
pub struct Preferences {
    store: Store,
    known: RwLock<BTreeMap<SaeId, SaePreferences>>,
}

/// What is preferred when an application asks for keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaePreferences {
    /// Whomever the keys are shared with.
    #[serde(default)]
    pub default: Preference,
    /// For those that are shared with these applications, in the place of `default`.
    #[serde(default)]
    pub with: BTreeMap<SaeId, Preference>,
}

/// Values for extensions of a key request. Each holds for requests that do not have the extension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// `photongate_source`: what the secrecy of the keys rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// `photongate_require_direct`: whether no server between may see the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_direct: Option<bool>,
    /// `photongate_max_hops`: over at most so many links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_hops: Option<u32>,
    /// `photongate_max_age`: made of key material that is not older, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// `photongate_paths`: over so many routes that share no server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub paths: Option<u32>,
    /// Whether a request is rather refused than answered with other keys.
    #[serde(default)]
    pub mandatory: bool,
}

impl Preferences {
    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let known = RwLock::new(read(&store).await?);
        Ok(Self { store, known })
    }

    /// Reads them anew: another process of this server may have changed them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let read = read(&self.store).await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Those of an application; none are like the defaults.
    pub fn of(&self, sae: &SaeId) -> SaePreferences {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(sae).cloned().unwrap_or_default()
    }

    /// Sets those of an application.
    ///
    /// # Errors
    /// [`StoreError`]; they are as before then.
    pub async fn set(&self, sae: &SaeId, preferences: SaePreferences) -> Result<(), StoreError> {
        let text = serde_json::to_string(&preferences).expect("preferences are text and numbers");
        self.store.put_entry(KIND, sae.as_str(), &text).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(sae.clone(), preferences);
        Ok(())
    }

    /// Forgets those of an application.
    ///
    /// # Errors
    /// [`StoreError`]; they are as before then.
    pub async fn forget(&self, sae: &SaeId) -> Result<(), StoreError> {
        self.store.remove_entry(KIND, sae.as_str()).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(sae);
        Ok(())
    }

    /// The request with what `master` prefers and does not say.
    pub fn apply(&self, master: &SaeId, request: &CheckedRequest) -> CheckedRequest {
        let mut request = request.clone();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(SaePreferences { default, with }) = known.get(master) {
            let with = request.slaves.first().and_then(|slave| with.get(slave));
            with.unwrap_or(default).fill(&mut request.extensions);
        }
        request
    }
}

impl Preference {
    fn fill(&self, asked: &mut Extensions) {
        fill(&mut asked.source, self.source, self.mandatory);
        fill(&mut asked.require_direct, self.require_direct, self.mandatory);
        fill(&mut asked.max_hops, self.max_hops, self.mandatory);
        fill(&mut asked.max_age, self.max_age, self.mandatory);
        fill(&mut asked.paths, self.paths, self.mandatory);
    }
}

fn fill<T>(asked: &mut Wanted<T>, preferred: Option<T>, is_mandatory: bool) {
    match (&asked, preferred) {
        (Wanted::No, Some(value)) if is_mandatory => *asked = Wanted::Firmly(value),
        (Wanted::No, Some(value)) => *asked = Wanted::Gladly(value),
        _ => {}
    }
}

async fn read(store: &Store) -> Result<BTreeMap<SaeId, SaePreferences>, StoreError> {
    let unreadable = |error: String| StoreError::Unreadable(error);
    let entries = store.entries(KIND).await?.into_iter().map(|(name, text)| {
        let sae = name.parse().map_err(|error: crate::ids::NotAName| unreadable(error.to_string()))?;
        Ok((sae, serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?))
    });
    entries.collect()
}

const KIND: &str = "preferences";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_says_goes_before_what_is_preferred() {
        let preference = Preference {
            source: Some(Origin::Qkd),
            max_hops: Some(2),
            paths: Some(3),
            mandatory: true,
            ..Preference::default()
        };
        let mut asked = Extensions { source: Wanted::Gladly(Origin::Pqc), ..Extensions::default() };
        preference.fill(&mut asked);
        assert_eq!(asked.source, Wanted::Gladly(Origin::Pqc));
        assert_eq!((asked.max_hops, asked.paths), (Wanted::Firmly(2), Wanted::Firmly(3)));
        assert_eq!((asked.require_direct, asked.max_age), (Wanted::No, Wanted::No));
    }
}
