//! One packet of a trace on its way from the worker to the client.

use photongate_pipeline::{PeerKey, PortIndex, Verdict};
use photongate_wire::UnixNanos;

/// The beginning of a packet, and what became of it.
#[derive(Debug)]
pub(crate) struct Record {
    /// The trace it belongs to.
    pub(crate) generation: u64,
    pub(crate) about: About,
    /// Packets of the trace that had been left out before this one.
    pub(crate) left_out_before: u64,
    len: usize,
    buffer: Box<[u8]>,
}

/// What a trace says of a packet beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// When it was judged.
    pub(crate) time: UnixNanos,
    /// By which port it arrived.
    pub(crate) port: PortIndex,
    pub(crate) worker: usize,
    pub(crate) verdict: Verdict,
    pub(crate) peer: Option<PeerKey>,
    /// Bytes of the packet as it arrived.
    pub(crate) original_len: usize,
}

impl Record {
    /// An empty record for up to `capacity` bytes of a packet.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let about = About {
            time: UnixNanos(0),
            port: PortIndex(0),
            worker: 0,
            verdict: Verdict::Control,
            peer: None,
            original_len: 0,
        };
        Self { generation: 0, about, left_out_before: 0, len: 0, buffer: vec![0; capacity].into() }
    }

    /// Replaces what the record holds, by as much of `bytes` as there is room for.
    pub(crate) fn fill(&mut self, generation: u64, about: About, bytes: &[u8]) {
        let len = bytes.len().min(self.buffer.len());
        self.buffer[..len].copy_from_slice(&bytes[..len]);
        (self.generation, self.about, self.len) = (generation, about, len);
    }

    /// The packet's bytes, as far as they were kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}
