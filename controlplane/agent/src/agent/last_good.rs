//! The list that was in force last, kept for the next start.

use std::io;

use photongate_net::config::Problems;
use photongate_net::rfc3339;
use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::api::AsListOrigin;
use crate::as_list::{AsList, Context};
use crate::sealed::{SealedStore, UnsealError};

/// The list that a filter begins with.
#[derive(Debug)]
pub struct InitialList {
    /// The list.
    pub list: AsList,
    /// Its generation.
    pub generation: u64,
    /// Where it came from.
    pub origin: AsListOrigin,
    /// Why it is not the one that the configuration names, if it is not.
    pub refusal: Option<String>,
    /// What the configured list was read from, by its digest; empty if it could not be read.
    pub source: Vec<u8>,
}

/// There is no list to begin with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoList(pub Problems);

/// A list as its file, or the configuration, gives it.
#[derive(Debug)]
pub struct ConfiguredList {
    /// The list, or what is wrong with it.
    pub list: Result<AsList, Problems>,
    /// A digest of what it was read from, secrets included; empty if it could not be read.
    pub source: Vec<u8>,
    /// Where it stands.
    pub origin: AsListOrigin,
}

/// What is sealed in front of a list, as JSON in one line. The digest of the source covers secrets, so it is sealed too.
#[derive(Serialize, Deserialize)]
struct Head {
    generation: u64,
    origin: AsListOrigin,
    source: Vec<u8>,
    applied_at: String,
}

impl InitialList {
    /// Chooses between the configured list and the one that was in force last.
    ///
    /// The configured list is taken if it is valid and another than the last time. Has it not changed since, then the list in force last is
    /// taken, which somebody may have put there over HTTP. Is it not valid, then the list in force last stands in for it.
    ///
    /// # Errors
    /// [`NoList`] if neither can be used.
    pub fn choose(
        configured: ConfiguredList,
        store: Option<&SealedStore>,
        context: &Context<'_>,
    ) -> Result<Self, NoList> {
        let kept = store.and_then(|store| match LastGood::load(store, context) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!("the AS list that was in force before the start cannot be used: {error}");
                None
            }
        });
        let ConfiguredList { list, source, origin } = configured;
        match (list, kept) {
            (_, Some(kept)) if !source.is_empty() && kept.source == source => Ok(kept.into_initial(None)),
            (Ok(list), kept) => {
                let generation =
                    kept.map_or(1, |kept| kept.generation + u64::from(!kept.list.difference(&list).is_empty()));
                Ok(Self { list, generation, origin, refusal: None, source })
            }
            (Err(problems), Some(kept)) => {
                let refusal = problems.to_string();
                let mut initial = kept.into_initial(Some(refusal));
                (initial.origin, initial.source) = (AsListOrigin::LastGood, source);
                Ok(initial)
            }
            (Err(problems), None) => Err(NoList(problems)),
        }
    }
}

/// A list that was in force.
pub(super) struct LastGood {
    pub(super) list: AsList,
    pub(super) generation: u64,
    pub(super) origin: AsListOrigin,
    pub(super) source: Vec<u8>,
}

impl LastGood {
    fn load(store: &SealedStore, context: &Context<'_>) -> Result<Option<Self>, Unusable> {
        let Some(bytes) = store.unseal(NAME)? else { return Ok(None) };
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (head, list) = bytes.split_at(end);
        let Head { generation, origin, source, .. } = serde_json::from_slice(head)?;
        let list = AsList::from_sealed(list, context).map_err(Unusable::List)?;
        Ok(Some(Self { list, generation, origin, source }))
    }

    /// Seals a list, and returns when it is on disk.
    ///
    /// # Errors
    /// What the store says.
    pub(super) fn keep(
        store: &SealedStore,
        list: &AsList,
        generation: u64,
        origin: &AsListOrigin,
        source: &[u8],
        now: UnixNanos,
    ) -> io::Result<()> {
        let head = Head { generation, origin: origin.clone(), source: source.to_owned(), applied_at: rfc3339(now) };
        let mut head = Zeroizing::new(serde_json::to_string(&head).expect("its maps have no keys but text"));
        head.push('\n');
        store.seal(NAME, |out| {
            out.put(head.as_bytes());
            list.write_sealable(out);
        })
    }

    fn into_initial(self, refusal: Option<String>) -> InitialList {
        let Self { list, generation, origin, source } = self;
        InitialList { list, generation, origin, refusal, source }
    }
}

/// What a list was read from, in a form that does not show it but tells it from others.
pub fn list_digest(source: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, source).as_ref().to_owned()
}

/// Why what was kept is of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Sealed(#[from] UnsealError),
    #[error("it is damaged: {0}")]
    Head(#[from] serde_json::Error),
    #[error("{0}")]
    List(Problems),
}

const NAME: &str = "as-list";
