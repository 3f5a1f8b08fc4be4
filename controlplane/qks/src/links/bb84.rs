//! Key material from a simulated QKD link that really runs BB84 between the two servers, over TCP connections of its own.
//!
//! It is for trials and tests: whoever reads the connection that stands for light knows the keys. Protocol and simulation are
//! the crate `photongate-bb84`; here it becomes a source.

use std::pin::Pin;
use std::time::Duration;

use photongate_bb84::{KeyBlock, Link, Phase as LinkPhase, SessionError, Status};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use uuid::Builder;

use super::{Block, LinkEnd, LinkSource, Origin, Phase, Quality, SourceError, SourceState};
use crate::ids::StreamId;

pub use photongate_bb84::{BadSetting, ChannelSettings, Control, Parameters, Secret};

/// What a simulated QKD link is like. Who leads follows from the servers' names; only the lead's `parameters` and `channel`
/// count.
#[derive(Clone)]
pub struct Bb84Settings {
    /// Where the two ends meet. One listens, the other connects.
    pub endpoint: Endpoint,
    /// What the two ends share, so that each knows whom it talks to.
    pub secret: Secret,
    /// How blocks are made.
    pub parameters: Parameters,
    /// What the channel is like at the beginning.
    pub channel: ChannelSettings,
    /// How long to wait for a sign of life from the other end.
    pub patience: Duration,
}

/// Where the two ends of a link meet: a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// This end waits here.
    Listen(String),
    /// The other end waits there.
    Connect(String),
}

/// A simulated QKD link.
#[derive(Clone)]
pub struct Bb84 {
    settings: Bb84Settings,
    control: Control,
}

impl Bb84 {
    /// A link with these settings.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn new(settings: Bb84Settings) -> Result<Self, BadSetting> {
        settings.parameters.check()?;
        Ok(Self { control: Control::new(settings.channel)?, settings })
    }

    /// A handle that changes the channel while the link runs: rate, loss, noise, and the eavesdropper.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    async fn produce(self: Box<Self>, end: LinkEnd) -> Result<(), SourceError> {
        let (blocks, made) = mpsc::channel(QUEUE);
        let (status, shown) = watch::channel(Status::default());
        let Bb84Settings { endpoint, secret, parameters, patience, .. } = self.settings;
        let link = Link { lead: end.leads(), secret, parameters, patience, control: self.control, blocks, status };
        let meet = async {
            match &endpoint {
                Endpoint::Listen(address) => match bind(address, &end).await {
                    Some(listener) => link.listen(listener).await,
                    None => Ok(()),
                },
                Endpoint::Connect(address) => link.connect(address).await,
            }
        };
        let (ended, (), ()) = tokio::join!(meet, hand_over(made, &end), show(shown, &end.state));
        ended.map_err(|error: SessionError| SourceError(error.to_string()))
    }
}

impl LinkSource for Bb84 {
    fn kind(&self) -> &'static str {
        "bb84"
    }

    fn origin(&self) -> Origin {
        Origin::Qkd
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(self.produce(end))
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(self.clone())
    }
}

/// Listens, as soon as the address is free. There is `None` once blocks are not wanted any more.
async fn bind(address: &str, end: &LinkEnd) -> Option<TcpListener> {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => {
                let reason = format!("cannot listen on {address}: {error}");
                tracing::warn!(link = %end.link, %reason, "a simulated QKD link cannot begin yet");
                end.state.send_replace(SourceState { phase: Phase::Waiting, reason: Some(reason), quality: None });
            }
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = end.blocks.closed() => return None,
        }
    }
}

async fn hand_over(mut made: mpsc::Receiver<KeyBlock>, end: &LinkEnd) {
    loop {
        let made = tokio::select! {
            made = made.recv() => made,
            () = end.blocks.closed() => None,
        };
        let Some(KeyBlock { id, key }) = made else { return };
        let stream = StreamId(Builder::from_random_bytes(id.stream).into_uuid());
        let block = Block { stream, number: id.number, bytes: key, origin: Origin::Qkd, kept: None };
        if end.blocks.send(block).await.is_err() {
            return;
        }
    }
}

async fn show(mut shown: watch::Receiver<Status>, state: &watch::Sender<SourceState>) {
    while shown.changed().await.is_ok() {
        state.send_replace(SourceState::from(&*shown.borrow_and_update()));
    }
}

impl From<&Status> for SourceState {
    fn from(status: &Status) -> Self {
        let (phase, reason) = match &status.phase {
            LinkPhase::Connecting(None) => (Phase::Starting, None),
            LinkPhase::Producing => (Phase::Producing, None),
            waiting @ (LinkPhase::Connecting(Some(_)) | LinkPhase::Full) => (Phase::Waiting, Some(waiting.to_string())),
            alarm @ LinkPhase::Alarm { .. } => (Phase::Alarm, Some(alarm.to_string())),
        };
        let measured = &status.statistics;
        let quality = Quality {
            qber: measured.qber,
            sifted_bits_per_second: measured.sifted_bits_per_second,
            secret_bits_per_second: measured.secret_bits_per_second,
            pulses: measured.pulses,
            sifted_bits: measured.sifted_bits,
            leaked_bits: measured.leaked_bits,
            secret_bits: measured.secret_bits,
            discarded_blocks: measured.discarded_blocks,
        };
        Self { phase, reason, quality: Some(quality) }
    }
}

/// Blocks that wait for the stock.
const QUEUE: usize = 1;
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::testing::{Net, Running, assert_same};
    use super::*;

    #[tokio::test]
    async fn both_servers_get_the_same_blocks_and_see_how_the_link_is() {
        let (mut lead, mut follower, _) = pair(0.0).await;
        for number in 0..3 {
            let (here, there) = (lead.block().await, follower.block().await);
            assert_same(&here, &there);
            assert_eq!((here.number, here.origin), (number, Origin::Qkd));
        }
        let measured = |state: &SourceState| state.quality.is_some_and(|quality| quality.secret_bits > 0);
        let quality = lead.state.wait_for(measured).await.unwrap().quality.unwrap();
        assert!((0.002..0.03).contains(&quality.qber) && quality.leaked_bits > 0, "{quality:?}");
        assert!(quality.sifted_bits > quality.secret_bits && quality.pulses > quality.sifted_bits, "{quality:?}");
    }

    #[tokio::test]
    async fn an_eavesdropper_is_an_alarm_that_names_ratio_and_threshold_until_she_is_gone() {
        let (mut lead, mut follower, control) = pair(1.0).await;
        for end in [&mut lead, &mut follower] {
            let reason = end.phase(Phase::Alarm).await;
            assert!(reason.contains("of the bits are wrong, more than 8.0 %"), "{reason}");
        }
        control.set(ChannelSettings::default()).unwrap();
        assert_same(&lead.block().await, &follower.block().await);
    }

    #[tokio::test]
    async fn an_end_whose_blocks_are_not_wanted_ends_and_the_other_one_waits() {
        let (lead, mut follower, _) = pair(0.0).await;
        drop(lead.blocks);
        lead.task.await.unwrap().unwrap();
        assert!(follower.phase(Phase::Waiting).await.contains("the other end"));
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        let sound = settings(Endpoint::Listen("[::1]:0".to_owned()));
        let channel = ChannelSettings { loss_db: -1.0, ..ChannelSettings::default() };
        let refused = Bb84::new(Bb84Settings { channel, ..sound.clone() }).err().unwrap();
        assert_eq!(refused.to_string(), "loss_db is -1, and has to be from 0 to 100");
        let parameters = Parameters { block_bits: 1, ..Parameters::default() };
        assert!(Bb84::new(Bb84Settings { parameters, ..sound }).is_err());
    }

    /// Two ends over loopback, and the channel between them, of which somebody intercepts that fraction.
    async fn pair(eavesdropper: f64) -> (Running, Running, Control) {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let lead = Bb84::new(settings(Endpoint::Listen(free.clone()))).unwrap();
        let follower = Bb84::new(settings(Endpoint::Connect(free))).unwrap();
        let (control, net) = (lead.control(), Net::new());
        control.set(ChannelSettings { eavesdropper, ..ChannelSettings::default() }).unwrap();
        (net.lead(lead), net.follow(follower), control)
    }

    fn settings(endpoint: Endpoint) -> Bb84Settings {
        Bb84Settings {
            endpoint,
            secret: Secret::new(Zeroizing::new(vec![3; 32])).unwrap(),
            parameters: Parameters { block_bits: 1 << 15, probe_pause_ms: 10, ..Parameters::default() },
            channel: ChannelSettings::default(),
            patience: Duration::from_secs(30),
        }
    }
}
