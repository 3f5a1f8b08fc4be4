//! The key dictionary: from peer to keys, read by workers without waiting while one writer changes it.

use photongate_dpdk::HashTable;
use photongate_dpdk::hash::{InsertError, Inserted, Key, Reader, TableConfig, TableError, Writer};
use photongate_dpdk::qsbr::{GracePeriod, TooManyParticipants};
use photongate_pipeline::{Entry, KeyDictionary, PeerKey};

/// The dictionary. A handle: clones mean the same one.
#[derive(Clone)]
pub struct Dictionary(HashTable<Entry>);

impl Dictionary {
    /// An empty dictionary with room for `capacity` peers and `readers` readers, and the one who changes it.
    ///
    /// # Errors
    /// [`TableError`]; most often there is not enough memory.
    pub fn create(capacity: u32, readers: u32) -> Result<(Self, DictionaryWriter), TableError> {
        let (table, writer) = HashTable::create(&TableConfig { capacity, readers })?;
        Ok((Self(table), DictionaryWriter(writer)))
    }

    /// A reader, for one worker.
    ///
    /// # Errors
    /// [`TooManyParticipants`] when there are as many as the dictionary was made for.
    pub fn reader(&self) -> Result<DictionaryReader, TooManyParticipants> {
        self.0.reader().map(DictionaryReader)
    }
}

/// One worker's view of the dictionary. It must quiesce regularly or be offline, or nothing that was replaced is freed.
pub struct DictionaryReader(Reader<Entry>);

impl DictionaryReader {
    /// Says that this worker holds no entry. Once a burst.
    #[inline]
    pub fn quiesce(&mut self) {
        self.0.quiesce();
    }

    /// Says that this worker holds no entry, and looks for none while `rest` runs.
    pub fn offline<R>(&mut self, rest: impl FnOnce() -> R) -> R {
        self.0.offline(rest)
    }
}

impl KeyDictionary for DictionaryReader {
    #[inline(always)]
    fn look_up<'d>(&'d self, keys: &[PeerKey], entries: &mut [Option<&'d Entry>]) {
        self.0.look_up_bulk_by(keys, |key| raw_key(*key), entries);
    }
}

/// Changes the dictionary. There is one.
pub struct DictionaryWriter(Writer<Entry>);

impl DictionaryWriter {
    /// Puts the entry in the place of the one that its peer has, or adds it.
    ///
    /// # Errors
    /// [`InsertError`] when the peer is new and there is no room, or none for the entry, because workers may still hold too many that were
    /// replaced. Then nothing changed.
    pub fn publish(&mut self, entry: Entry) -> Result<Inserted, InsertError> {
        self.0.insert(&raw_key(entry.peer.key), entry)
    }

    /// Takes a peer out. Returns whether it was there.
    pub fn remove(&mut self, key: PeerKey) -> bool {
        self.0.remove(&raw_key(key))
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no peer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries were replaced or removed and not freed yet.
    pub fn retired(&self) -> usize {
        self.0.retired()
    }

    /// Begins a grace period: when it is over, every worker has quiesced since.
    pub fn begin_grace(&mut self) -> GracePeriod {
        self.0.begin_grace()
    }

    /// Whether a grace period is over. Never waits.
    pub fn is_over(&self, period: GracePeriod) -> bool {
        self.0.is_over(period)
    }

    /// Frees what no worker can hold any more. Never waits.
    pub fn reclaim(&mut self) {
        self.0.reclaim();
    }
}

/// The key in the table: AS and protocol, big-endian, filled up.
#[inline(always)]
fn raw_key(key: PeerKey) -> Key {
    let mut raw = Key::default();
    raw[..8].copy_from_slice(&key.isd_as.to_be_bytes());
    raw[8..10].copy_from_slice(&key.protocol.0.to_be_bytes());
    raw
}
