//! `[drkey]`: which autonomous systems are local, how long epochs are, and which filters may ask.

use std::collections::{BTreeMap, BTreeSet};

use photongate_net::config::{FromValue, Reported, Section, Value};
use photongate_wire::{IsdAs, Nanos};

use super::{LONGEST_EPOCH, SHORTEST_EPOCH};

/// `[drkey]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrkeyConfig {
    /// The ASes whose secret values this server holds.
    pub isd_as: BTreeSet<IsdAs>,
    /// How long each epoch is: whole seconds. Epochs begin at multiples of it since 1970.
    pub epoch: Nanos,
    /// The filters that may ask, by the common names of their certificates.
    pub filters: BTreeMap<String, FilterConfigured>,
}

/// One of `[[drkey.filters]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterConfigured {
    /// The local AS that it stands in front of.
    pub isd_as: IsdAs,
}

impl Default for DrkeyConfig {
    fn default() -> Self {
        Self { isd_as: BTreeSet::new(), epoch: DEFAULT_EPOCH, filters: BTreeMap::new() }
    }
}

impl DrkeyConfig {
    /// Reads `[drkey]`.
    ///
    /// # Errors
    /// There are mistakes, which have been reported.
    pub fn read(drkey: &mut Section<'_>) -> Result<Self, Reported> {
        let isd_as: BTreeSet<IsdAs> = drkey.list("isd_as")?.into_iter().collect();
        let epoch = drkey.or_with("epoch", DEFAULT_EPOCH, epoch);
        let mut filters = BTreeMap::new();
        drkey.sections("filters", |filter| {
            let name = filter.required_with("name", "\"filter-a\"", |value| {
                let name = value.text()?;
                if filters.contains_key(name) {
                    Err(value.refuse("is the name of an earlier filter"))
                } else {
                    Ok(name)
                }
            });
            let local = filter.required_with("isd_as", IsdAs::EXAMPLE, |value| {
                let local = IsdAs::from_value(value)?;
                if isd_as.contains(&local) { Ok(local) } else { Err(value.refuse("is none of drkey.isd_as")) }
            });
            filters.insert(name?.to_owned(), FilterConfigured { isd_as: local? });
            Ok(())
        })?;
        Ok(Self { isd_as, epoch: epoch?, filters })
    }
}

fn epoch(value: &Value<'_>) -> Result<Nanos, Reported> {
    let epoch = Nanos::from_value(value)?;
    if !(SHORTEST_EPOCH..=LONGEST_EPOCH).contains(&epoch) {
        return Err(value.refuse("is no epoch of SCION: from 6m to 3d"));
    }
    if !epoch.0.is_multiple_of(Nanos::from_secs(1).0) {
        return Err(value.refuse("is not in whole seconds"));
    }
    Ok(epoch)
}

/// SCION's, too.
const DEFAULT_EPOCH: Nanos = Nanos::from_secs(24 * 3_600);
