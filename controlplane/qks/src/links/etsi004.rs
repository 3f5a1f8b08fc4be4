//! A key stream of a QKD module that speaks ETSI GS QKD 004 V2.1.1, as JSON over HTTPS.
//!
//! The standard prescribes the calls (`OPEN_CONNECT`, `GET_KEY`, `CLOSE`) and their statuses, but no transport. This is the dialect of
//! qkd-key-server's modules: a call is a POST to a path of its own, below the module's URL, and `GET_KEY` names a list of indexes.
//!
//! The leading end opens a stream and tells the other end its ID, which opens it too. From then on each block is the chunks of the
//! next indexes, in their order. `wire` has the messages.

mod wire;

use std::pin::Pin;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use self::wire::{Client, OpenConnect, QualityOfService, Status};
use super::device::{self, DEVICE_PATIENCE, Device, DeviceAddress, DeviceError, MOST_BLOCK_BYTES};
use super::{LinkEnd, LinkSource, Origin, SourceError};

/// A module that speaks ETSI GS QKD 004.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etsi004 {
    /// The module of this end. Its calls are below the path of the URL.
    pub module: DeviceAddress,
    /// What this server is called as an application of the module, a URI.
    pub source: String,
    /// What the other server is called as an application of its module, a URI.
    pub destination: String,
    /// How long a chunk of keys is, in bytes. The module may propose another length, which is then taken. What the leading end has is
    /// what counts.
    pub chunk_bytes: u32,
    /// Chunks in a block. What the leading end has is what counts.
    pub chunks_per_block: u16,
    /// For how long the module keeps keys that only one end has fetched, in seconds.
    pub ttl_seconds: u32,
}

impl Etsi004 {
    /// The most that [`chunk_bytes`](Self::chunk_bytes) may be.
    pub const MOST_CHUNK_BYTES: u32 = 65_536;
    /// The most that [`chunks_per_block`](Self::chunks_per_block) may be.
    pub const MOST_CHUNKS: u16 = 1_024;
}

impl LinkSource for Etsi004 {
    fn kind(&self) -> &'static str {
        Module::KIND
    }

    fn origin(&self) -> Origin {
        Origin::Qkd
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(device::run(Module { settings: *self, client: None, stream: None }, end))
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(self.clone())
    }
}

/// The application's side of a module.
struct Module {
    settings: Etsi004,
    /// Made anew after each failure, with the files as they are then.
    client: Option<Client>,
    stream: Option<Stream>,
}

/// A stream that is open here.
#[derive(Clone, Copy)]
struct Stream {
    id: Uuid,
    chunk_bytes: u32,
    next: u32,
}

/// The chunks that make a block.
#[derive(Serialize, Deserialize)]
struct Chunks {
    stream: Uuid,
    chunk_bytes: u32,
    first: u32,
    count: u16,
}

impl Device for Module {
    const KIND: &'static str = "etsi004";
    type Keys = Chunks;

    async fn choose(&mut self) -> Result<Chunks, DeviceError> {
        let count = self.settings.chunks_per_block;
        // Indexes have 32 bits. Long before they are used up, a new stream begins.
        if self.stream.is_some_and(|stream| stream.next.checked_add(count.into()).is_none()) {
            self.close().await;
        }
        if self.stream.is_none() {
            self.stream = Some(self.open(None, self.settings.chunk_bytes).await?);
        }
        let stream = self.stream.as_mut().expect("it was opened above");
        let first = stream.next;
        stream.next += u32::from(count);
        Ok(Chunks { stream: stream.id, chunk_bytes: stream.chunk_bytes, first, count })
    }

    async fn chosen(&mut self, chunks: &Chunks) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
        self.get(chunks).await
    }

    async fn fetch(&mut self, chunks: &Chunks) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
        let length = (chunks.chunk_bytes as usize).saturating_mul(chunks.count.into());
        if chunks.count > Etsi004::MOST_CHUNKS || !(1..=MOST_BLOCK_BYTES).contains(&length) {
            return Err(DeviceError("the other end wants no keys, or too many at once".to_owned()));
        }
        if self.stream.is_none_or(|stream| stream.id != chunks.stream) {
            self.close().await;
            self.stream = Some(self.open(Some(chunks.stream), chunks.chunk_bytes).await?);
        }
        self.get(chunks).await
    }

    /// The ends may not agree any more what is next: they begin a new stream.
    async fn give_up(&mut self, _: Chunks) {
        self.close().await;
    }
}

impl Module {
    /// `OPEN_CONNECT`. Without an ID, the module makes one.
    async fn open(&mut self, id: Option<Uuid>, chunk_bytes: u32) -> Result<Stream, DeviceError> {
        let mut wanted = chunk_bytes;
        for _ in 0..=PROPOSALS {
            let request = OpenConnect {
                source: self.settings.source.clone(),
                destination: self.settings.destination.clone(),
                key_stream_id: id,
                qos_parameters: QualityOfService {
                    key_chunk_size: Some(wanted),
                    timeout_ms: u32::try_from(DEVICE_PATIENCE.as_millis()).ok(),
                    ttl_seconds: Some(self.settings.ttl_seconds),
                },
            };
            let opened = self.client()?.open_connect(&request).await;
            let opened = opened.map_err(|error| self.failed(error))?;
            let offered = opened.qos_parameters.and_then(|qos| qos.key_chunk_size);
            match opened.status {
                Status::SUCCESSFUL | Status::PEER_NOT_CONNECTED => {
                    let chunk_bytes = offered.unwrap_or(wanted);
                    if id.is_some() && chunk_bytes != wanted {
                        return Err(DeviceError(format!(
                            "it gives chunks of {chunk_bytes} bytes, and the other one {wanted}"
                        )));
                    }
                    let Some(opened) = opened.key_stream_id.filter(|opened| id.is_none_or(|id| id == *opened)) else {
                        return Err(DeviceError("it opens another stream than it was asked for".to_owned()));
                    };
                    return Ok(Stream { id: opened, chunk_bytes, next: 0 });
                }
                Status::COUNTER_PROPOSAL => {
                    match offered.filter(|offered| (1..=Etsi004::MOST_CHUNK_BYTES).contains(offered)) {
                        Some(offered) if id.is_none() && offered != wanted => wanted = offered,
                        _ => return Err(opened.status.into()),
                    }
                }
                status => return Err(status.into()),
            }
        }
        Err(Status::COUNTER_PROPOSAL.into())
    }

    /// `GET_KEY` for each index, all or none.
    async fn get(&mut self, chunks: &Chunks) -> Result<Zeroizing<Vec<u8>>, DeviceError> {
        let indexes: Vec<_> = (0..u32::from(chunks.count)).map(|offset| chunks.first.saturating_add(offset)).collect();
        let got = self.client()?.get_key(chunks.stream, &indexes).await;
        let got = got.map_err(|error| self.failed(error))?;
        match got.status {
            Status::SUCCESSFUL => {}
            Status::NO_SUCH_STREAM => {
                // The module was restarted.
                self.stream = None;
                return Err(got.status.into());
            }
            status => return Err(status.into()),
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(indexes.len() * chunks.chunk_bytes as usize));
        if got.indexes != indexes || got.keys.len() != indexes.len() {
            return Err(other_keys());
        }
        for key in &got.keys {
            let key = BASE64_STANDARD.decode(key.as_bytes()).map(Zeroizing::new).map_err(|_| other_keys())?;
            if key.len() != chunks.chunk_bytes as usize {
                return Err(other_keys());
            }
            bytes.extend_from_slice(&key);
        }
        Ok(bytes)
    }

    /// `CLOSE`. If it fails, the module ends the stream with its TTL.
    async fn close(&mut self) {
        if let Some(stream) = self.stream.take()
            && let Ok(client) = self.client()
            && let Err(error) = client.close(stream.id).await
        {
            tracing::debug!(stream = %stream.id, %error, "a key stream is not closed");
        }
    }

    fn client(&mut self) -> Result<&Client, DeviceError> {
        match &mut self.client {
            Some(client) => Ok(client),
            none => Ok(none.insert(Client::new(&self.settings.module)?)),
        }
    }

    fn failed(&mut self, error: DeviceError) -> DeviceError {
        self.client = None;
        error
    }
}

fn other_keys() -> DeviceError {
    DeviceError("it gives other keys than it was asked for".to_owned())
}

/// How often a module may propose another length of chunks.
const PROPOSALS: u32 = 2;

#[cfg(test)]
mod tests;
