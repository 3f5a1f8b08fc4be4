//! The two connections of a session: frames with bounds and time-outs, tags on what is classical, heartbeats on what is quantum.
//!
//! An end that has nothing to say for a while shows on the quantum connection that it lives: there it costs no key.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, interval, sleep_until, timeout, timeout_at};
use zeroize::Zeroizing;

use super::SessionError;
use crate::authentication::{Authenticator, TAG_LEN, Tag};
use crate::channel::{ChannelSettings, Train};
use crate::control::Control;
use crate::message::{Malformed, Message, Reader};

/// A connection, as frames: a length of four bytes, then as many bytes.
pub(crate) struct Frames<S> {
    stream: S,
    incoming: BytesMut,
    longest: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(crate) fn new(stream: S, longest: usize) -> Self {
        Self { stream, incoming: BytesMut::new(), longest }
    }

    /// Allows frames of that many bytes.
    pub(crate) fn allow(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// The next frame. Nothing is lost if the future is dropped before it is done.
    pub(crate) async fn next(&mut self) -> Result<Bytes, SessionError> {
        loop {
            if let Some((&length, rest)) = self.incoming.split_first_chunk() {
                let length = u32::from_be_bytes(length) as usize;
                if length > self.longest {
                    return Err(SessionError::TooLong { length, longest: self.longest });
                }
                if rest.len() >= length {
                    self.incoming.advance(4);
                    return Ok(self.incoming.split_to(length).freeze());
                }
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(SessionError::Closed);
            }
        }
    }

    pub(crate) async fn send(&mut self, parts: &[&[u8]], patience: Duration) -> Result<(), SessionError> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        // In one piece, so that it leaves in as few packets as it fits into. A train's seed is in it.
        let mut frame = Zeroizing::new(Vec::with_capacity(4 + length));
        frame.extend((length as u32).to_be_bytes());
        parts.iter().for_each(|part| frame.extend_from_slice(part));
        let written = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        match timeout(patience, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(SessionError::Silent(patience)),
        }
    }
}

/// Both connections of a session.
pub(crate) struct Wires<S> {
    pub(crate) classical: Frames<S>,
    pub(crate) quantum: Frames<S>,
    pub(crate) patience: Duration,
    pub(crate) outgoing: Authenticator,
    pub(crate) incoming: Authenticator,
    pub(crate) control: Control,
}

/// What goes over the connection that stands for light.
pub(crate) enum Pulse {
    /// Nothing: the sender lives.
    Heartbeat,
    /// Photons, and what they meet on their way.
    Train(Train, ChannelSettings),
    /// The receiver's operator has changed the channel.
    Settings(ChannelSettings),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wires<S> {
    pub(crate) async fn send(&mut self, message: &Message) -> Result<(), SessionError> {
        let body = message.encode();
        let number = self.outgoing.number().to_be_bytes();
        let tag = self.outgoing.tag(&body)?.to_bytes();
        self.classical.send(&[&number, &body, &tag], self.patience).await
    }

    /// The next message. As long as the other end shows that it lives, it may take its time.
    pub(crate) async fn receive(&mut self) -> Result<Message, SessionError> {
        let mut deadline = Instant::now() + self.patience;
        loop {
            tokio::select! {
                frame = self.classical.next() => return self.open(&frame?),
                frame = self.quantum.next() => self.note(&frame?)?,
                () = sleep_until(deadline) => return Err(SessionError::Silent(self.patience)),
            }
            deadline = Instant::now() + self.patience;
        }
    }

    /// The next train.
    pub(crate) async fn receive_train(&mut self) -> Result<(Train, ChannelSettings), SessionError> {
        loop {
            let deadline = Instant::now() + self.patience;
            let frame = timeout_at(deadline, self.quantum.next()).await;
            match Pulse::decode(&frame.map_err(|_| SessionError::Silent(self.patience))??)? {
                Pulse::Heartbeat => {}
                Pulse::Train(train, settings) => return Ok((train, settings)),
                Pulse::Settings(_) => return Err(SessionError::Unexpected { due: "a train", found: "settings" }),
            }
        }
    }

    pub(crate) async fn send_pulse(&mut self, pulse: &Pulse) -> Result<(), SessionError> {
        let body = Zeroizing::new(pulse.encode());
        self.quantum.send(&[&body], self.patience).await
    }

    /// Waits for something of this end's own, and shows the other end meanwhile that this one lives.
    pub(crate) async fn idle<T>(&mut self, wait: impl Future<Output = T>) -> Result<T, SessionError> {
        tokio::pin!(wait);
        let mut heartbeats = interval(HEARTBEAT);
        loop {
            tokio::select! {
                value = &mut wait => return Ok(value),
                frame = self.quantum.next() => self.note(&frame?)?,
                _ = heartbeats.tick() => self.send_pulse(&Pulse::Heartbeat).await?,
            }
        }
    }

    /// Takes what comes over the quantum connection while no train is due.
    fn note(&self, frame: &[u8]) -> Result<(), SessionError> {
        match Pulse::decode(frame)? {
            Pulse::Heartbeat => {}
            Pulse::Settings(settings) => self.control.follow(settings),
            Pulse::Train(..) => return Err(SessionError::Unexpected { due: "a message", found: "a train" }),
        }
        Ok(())
    }

    fn open(&mut self, frame: &[u8]) -> Result<Message, SessionError> {
        let expected = self.incoming.number();
        let (number, rest) = frame.split_first_chunk().ok_or(Malformed)?;
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(Malformed)?;
        let number = u64::from_be_bytes(*number);
        if number != expected {
            return Err(SessionError::OutOfOrder { expected, found: number });
        }
        if !self.incoming.tag(body)?.matches(&Tag::new(*tag)) {
            return Err(SessionError::NotAuthentic { number });
        }
        Ok(Message::decode(body)?)
    }
}

impl Pulse {
    fn encode(&self) -> Vec<u8> {
        // Room for the largest, so that no copy of a seed is left behind.
        let mut out = Vec::with_capacity(128);
        match self {
            Self::Heartbeat => out.push(0),
            Self::Train(train, settings) => {
                out.push(1);
                out.extend(train.number.to_be_bytes());
                out.extend(train.pulses.to_be_bytes());
                out.extend_from_slice(train.seed.as_slice());
                put_settings(&mut out, settings);
            }
            Self::Settings(settings) => {
                out.push(2);
                put_settings(&mut out, settings);
            }
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, SessionError> {
        let mut reader = Reader(bytes);
        let pulse = match reader.byte()? {
            0 => Self::Heartbeat,
            1 => {
                let number = u64::from_be_bytes(reader.array()?);
                let pulses = u32::from_be_bytes(reader.array()?);
                let train = Train { number, pulses, seed: reader.seed()? };
                Self::Train(train, settings(&mut reader)?)
            }
            2 => Self::Settings(settings(&mut reader)?),
            _ => return Err(Malformed.into()),
        };
        reader.end()?;
        Ok(pulse)
    }
}

fn put_settings(out: &mut Vec<u8>, settings: &ChannelSettings) {
    out.extend(settings.pulses_per_second.to_be_bytes());
    let values = [
        settings.loss_db,
        settings.detector_efficiency,
        settings.dark_count_probability,
        settings.misalignment,
        settings.eavesdropper,
    ];
    values.iter().for_each(|value| out.extend(value.to_be_bytes()));
}

fn settings(reader: &mut Reader<'_>) -> Result<ChannelSettings, Malformed> {
    let settings = ChannelSettings {
        pulses_per_second: u64::from_be_bytes(reader.array()?),
        loss_db: reader.float()?,
        detector_efficiency: reader.float()?,
        dark_count_probability: reader.float()?,
        misalignment: reader.float()?,
        eavesdropper: reader.float()?,
    };
    settings.check().map_err(|_| Malformed)?;
    Ok(settings)
}

/// The longest frame of a classical connection whose other end has yet to prove that it has the secret, in bytes.
pub(crate) const LONGEST_GREETING: usize = 256;
/// The longest frame of the classical connection, in bytes: the clicks of the longest train.
pub(crate) const LONGEST_CLASSICAL: usize = 8 * 1024 * 1024;
/// The longest frame of the quantum connection.
pub(crate) const LONGEST_QUANTUM: usize = 256;
/// How often an end that waits shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
