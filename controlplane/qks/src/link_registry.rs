//! The links of this server, with their sources at work: those of the configuration, and those that were registered while it ran.
//!
//! What was registered, and which links are detached, is in the database. It outlives a restart there, and other processes of this
//! server find it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use photongate_net::config::Problems;

use crate::chair::Chair;
use crate::config::LinkConfig;
use crate::ids::{LinkId, QksId};
use crate::intake::{self, Intake, Link, RunningSource};
use crate::materials::Materials;
use crate::measures::Counter;
use crate::peer::Neighbours;
use crate::sources::{OpenSource, OpenSourceError, Opener};
use crate::store::{Store, StoreError};

/// All links.
#[derive(Debug)]
pub struct LinkRegistry {
    parts: RegistryParts,
    /// In the order of the configuration; then those that were registered, by their names.
    entries: Mutex<Vec<Entry>>,
    /// Held while something changes.
    changing: tokio::sync::Mutex<()>,
}

/// What links are made with.
#[derive(Debug)]
pub struct RegistryParts {
    /// This server.
    pub local: QksId,
    /// Where links may lead.
    pub neighbours: Arc<Neighbours>,
    /// What is kept.
    pub store: Store,
    /// What seals key material.
    pub materials: Materials,
    /// Whether this process takes in key material.
    pub chair: Chair,
    /// What makes sources.
    pub opener: Opener,
    /// Where relative paths of a registration begin.
    pub folder: PathBuf,
}

/// A link, seen from outside.
#[derive(Clone, Debug)]
pub struct LinkParts {
    /// Its name.
    pub id: LinkId,
    /// Where it leads.
    pub neighbour: QksId,
    /// How much it lets the stock with the neighbour hold.
    pub capacity_bytes: u64,
    /// Counts the bytes that came over it and are kept.
    pub taken: Counter,
    /// The document that it was registered with; `None` if it stands in the configuration.
    pub registered: Option<String>,
    /// Its sources; `None` while it is detached.
    pub sources: Option<Vec<RunningSource>>,
}

#[derive(Debug)]
struct Entry {
    config: LinkConfig,
    sources: Vec<OpenSource>,
    taken: Counter,
    registered: Option<String>,
    intake: Option<Intake>,
}

/// Why a link is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The document has mistakes.
    #[error("{0}")]
    Mistakes(Problems),
    /// A source cannot be opened.
    #[error("link {0}, sources[{1}]: {2}")]
    Source(LinkId, usize, OpenSourceError),
    /// It stands in the configuration.
    #[error("the link {0} stands in the configuration: change it there")]
    Configured(LinkId),
    /// There is no such link.
    #[error("there is no link {0}")]
    Unknown(LinkId),
    /// There are enough.
    #[error("{MOST_REGISTERED} links are registered: no more are taken")]
    TooMany,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LinkRegistry {
    /// Starts the links that are in the configuration and those that were registered, but for those that are detached.
    ///
    /// # Errors
    /// A configured source cannot be opened, or the database cannot be read. What was registered and cannot be opened any more is logged.
    pub async fn open(parts: RegistryParts, configured: Vec<LinkConfig>) -> Result<Self, LinkError> {
        let mut entries = Vec::with_capacity(configured.len());
        for config in configured {
            let sources = parts.open(&config).await?;
            entries.push(Entry { config, sources, taken: Counter::default(), registered: None, intake: None });
        }
        let registry = Self { parts, entries: Mutex::new(entries), changing: tokio::sync::Mutex::default() };
        registry.refresh().await?;
        Ok(registry)
    }

    /// The links as they are now.
    pub fn all(&self) -> Vec<LinkParts> {
        self.entries().iter().map(Entry::view).collect()
    }

    /// A link as it is now.
    pub fn get(&self, id: &LinkId) -> Option<LinkParts> {
        self.entries().iter().find(|entry| entry.config.name == *id).map(Entry::view)
    }

    /// Registers a link and starts it, or does so anew if it was registered with another document: JSON with the fields of `[[links]]` in
    /// the configuration. Returns whether it is new.
    ///
    /// # Errors
    /// [`LinkError`]; nothing has changed then.
    pub async fn register(&self, id: &LinkId, document: &str) -> Result<bool, LinkError> {
        let _changing = self.changing.lock().await;
        let config = self.parts.parse(document).map_err(LinkError::Mistakes)?;
        let known = self.get(id);
        if known.as_ref().is_some_and(|known| known.registered.is_none()) {
            return Err(LinkError::Configured(id.clone()));
        }
        if known.is_none()
            && self.entries().iter().filter(|entry| entry.registered.is_some()).count() >= MOST_REGISTERED
        {
            return Err(LinkError::TooMany);
        }
        // Before it is kept: what cannot be opened is refused.
        self.parts.open(&config).await?;
        self.parts.store.put_entry(REGISTERED, id.as_str(), document).await?;
        self.bring_up_to_date().await?;
        Ok(known.is_none())
    }

    /// Takes a registered link out. What came over it stays in the stock.
    ///
    /// # Errors
    /// [`LinkError`]; it is still registered then.
    pub async fn unregister(&self, id: &LinkId) -> Result<(), LinkError> {
        let _changing = self.changing.lock().await;
        match self.get(id) {
            None => return Err(LinkError::Unknown(id.clone())),
            Some(LinkParts { registered: None, .. }) => return Err(LinkError::Configured(id.clone())),
            Some(_) => {}
        }
        self.parts.store.remove_entry(REGISTERED, id.as_str()).await?;
        self.parts.store.remove_entry(DETACHED, id.as_str()).await?;
        Ok(self.bring_up_to_date().await?)
    }

    /// Attaches the sources of a link, or detaches them: no key material comes over it then.
    ///
    /// # Errors
    /// [`LinkError`]; nothing has changed then.
    pub async fn set_attached(&self, id: &LinkId, is_attached: bool) -> Result<(), LinkError> {
        let _changing = self.changing.lock().await;
        if self.get(id).is_none() {
            return Err(LinkError::Unknown(id.clone()));
        }
        if is_attached {
            self.parts.store.remove_entry(DETACHED, id.as_str()).await?;
        } else {
            self.parts.store.put_entry(DETACHED, id.as_str(), "").await?;
        }
        Ok(self.bring_up_to_date().await?)
    }

    /// Reads anew what is registered and detached: another process of this server may have changed it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        self.bring_up_to_date().await
    }

    /// Cuts all sources short.
    pub fn stop(&self) {
        self.entries().iter_mut().for_each(|entry| entry.intake = None);
    }

    /// Makes the links what the database says. Not to be called by two at once.
    async fn bring_up_to_date(&self) -> Result<(), StoreError> {
        let mut wanted: BTreeMap<_, _> = self.parts.store.entries(REGISTERED).await?.into_iter().collect();
        let detached: BTreeSet<_> =
            self.parts.store.entries(DETACHED).await?.into_iter().map(|(name, _)| name).collect();
        let mut stopped = Vec::new();
        {
            let mut entries = self.entries();
            entries.retain_mut(|entry| {
                let name = entry.config.name.as_str();
                let stays = match &entry.registered {
                    // What the configuration says about a name goes before what was registered under it.
                    None => {
                        wanted.remove(name);
                        true
                    }
                    Some(document) if wanted.get(name) == Some(document) => {
                        wanted.remove(name);
                        true
                    }
                    Some(_) => false,
                };
                if !stays || detached.contains(name) {
                    stopped.extend(entry.intake.take());
                }
                stays
            });
        }
        for intake in stopped {
            intake.stop().await;
        }
        for (name, document) in wanted {
            match self.parts.make(&document).await {
                Ok(entry) if entry.config.name.as_str() == name => {
                    let mut entries = self.entries();
                    let place = entries
                        .partition_point(|other| other.registered.is_none() || other.config.name < entry.config.name);
                    entries.insert(place, entry);
                }
                Ok(_) => tracing::error!(link = name, "what is registered has another name"),
                Err(error) => tracing::error!(link = name, %error, "a registered link is not started"),
            }
        }
        let mut entries = self.entries();
        for entry in entries.iter_mut() {
            if entry.intake.is_none() && !detached.contains(entry.config.name.as_str()) {
                entry.intake = self.parts.start(entry);
            }
        }
        for neighbour in self.parts.neighbours.all() {
            let attached = entries.iter().filter(|entry| entry.intake.is_some());
            let to_it = attached.filter(|entry| entry.config.neighbour == *neighbour.id());
            neighbour.set_capacity(to_it.map(|entry| entry.config.capacity_bytes).sum());
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegistryParts {
    fn parse(&self, document: &str) -> Result<LinkConfig, Problems> {
        let known = self.neighbours.all().iter().map(|neighbour| neighbour.id().clone()).collect();
        LinkConfig::parse(&self.folder, document, &known)
    }

    async fn make(&self, document: &str) -> Result<Entry, LinkError> {
        let config = self.parse(document).map_err(LinkError::Mistakes)?;
        let sources = self.open(&config).await?;
        let registered = Some(document.to_owned());
        Ok(Entry { config, sources, taken: Counter::default(), registered, intake: None })
    }

    async fn open(&self, link: &LinkConfig) -> Result<Vec<OpenSource>, LinkError> {
        let mut sources = Vec::with_capacity(link.sources.len());
        for (index, source) in link.sources.iter().enumerate() {
            let opened = self.opener.open(source).await;
            sources.push(opened.map_err(|error| LinkError::Source(link.name.clone(), index, error))?);
        }
        Ok(sources)
    }

    fn start(&self, entry: &Entry) -> Option<Intake> {
        let LinkConfig { name, neighbour, lifetime, .. } = &entry.config;
        let link = Link {
            id: name.clone(),
            local: self.local.clone(),
            neighbour: self.neighbours.get(neighbour)?,
            lifetime: *lifetime,
            taken: entry.taken.clone(),
        };
        let sources = entry.sources.iter().map(OpenSource::again).collect();
        Some(intake::start(link, sources, &self.store, &self.materials, self.chair.clone()))
    }
}

impl Entry {
    fn view(&self) -> LinkParts {
        LinkParts {
            id: self.config.name.clone(),
            neighbour: self.config.neighbour.clone(),
            capacity_bytes: self.config.capacity_bytes,
            taken: self.taken.clone(),
            registered: self.registered.clone(),
            sources: self.intake.as_ref().map(|intake| intake.sources.clone()),
        }
    }
}

/// What is in the database: documents by the names of links, and the names of those that are detached.
const REGISTERED: &str = "link";
const DETACHED: &str = "link_detached";

const MOST_REGISTERED: usize = 64;
