//! The key dictionary: from peer to keys, read by workers without waiting while one writer changes it.

use photongate_dpdk::hash::{InsertError, Inserted, Reader, TableConfig, TableError, Writer, memory_estimate};
use photongate_dpdk::qsbr::{GracePeriod, TooManyParticipants};
use photongate_dpdk::{Eal, HashTable};
use photongate_pipeline::{Entry, KeyDictionary, PeerKey};

/// The dictionary. A handle: clones mean the same one.
#[derive(Clone)]
pub struct Dictionary(HashTable<Entry, KEY_LEN>);

impl Dictionary {
    /// An empty dictionary with room for `capacity` peers and `readers` readers, and the one who changes it.
    ///
    /// # Errors
    /// [`TableError`]; most often there is not enough memory.
    pub fn create(eal: Eal, capacity: u32, readers: u32) -> Result<(Self, DictionaryWriter), TableError> {
        let config = TableConfig { capacity, readers, socket: None };
        let (table, writer) = HashTable::create(eal, &config)?;
        Ok((Self(table), DictionaryWriter(writer)))
    }

    /// A reader, for one worker.
    ///
    /// # Errors
    /// [`TooManyParticipants`] when there are as many as the dictionary was made for.
    pub fn reader(&self) -> Result<DictionaryReader, TooManyParticipants> {
        self.0.reader().map(DictionaryReader)
    }

    /// About how much of DPDK's memory a dictionary takes, in bytes. Keys come on top, from the heap.
    pub fn memory(capacity: u32) -> u64 {
        memory_estimate(capacity, KEY_LEN)
    }
}

/// One worker's view of the dictionary. It must quiesce regularly or be offline, or nothing that was replaced is freed.
pub struct DictionaryReader(Reader<Entry, KEY_LEN>);

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
    #[inline]
    fn look_up<'d>(&'d self, keys: &[PeerKey], entries: &mut [Option<&'d Entry>]) {
        for (keys, entries) in keys.chunks(AT_ONCE).zip(entries.chunks_mut(AT_ONCE)) {
            let mut raw = [[0; KEY_LEN]; AT_ONCE];
            for (raw, key) in raw.iter_mut().zip(keys) {
                *raw = raw_key(*key);
            }
            self.0.look_up_bulk(&raw[..keys.len()], entries);
        }
    }
}

/// Changes the dictionary. There is one.
pub struct DictionaryWriter(Writer<Entry, KEY_LEN>);

impl DictionaryWriter {
    /// Puts the entry in the place of the one that its peer has, or adds it.
    ///
    /// # Errors
    /// [`InsertError`] when the peer is new and there is no room. Then nothing changed.
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

/// The key in the table: AS and protocol, big-endian, filled up to what hashes fast. Never all zeroes, which the table uses for itself.
fn raw_key(key: PeerKey) -> [u8; KEY_LEN] {
    let mut raw = [0; KEY_LEN];
    raw[..8].copy_from_slice(&key.isd_as.to_be_bytes());
    raw[8..10].copy_from_slice(&key.protocol.0.to_be_bytes());
    raw[KEY_LEN - 1] = 1;
    raw
}

const KEY_LEN: usize = 16;

/// Keys in a burst, and what the table looks up in one go.
const AT_ONCE: usize = photongate_pipeline::MAX_BURST;
