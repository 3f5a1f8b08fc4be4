//! What the filter says: the numbers of each second as they come, the rest asked for once a second.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use photongate_agent::api::{PeersPage, Sample, Status, Worker};
use photongate_agent::client::{Client, ClientError, Heard, PeersAsked};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Something new.
#[derive(Debug)]
pub(super) enum News {
    /// The numbers of a second.
    Sample(Box<Sample>),
    /// What was asked for.
    Polled(Box<Polled>),
    /// The filter does not answer, or refuses; says why.
    Lost(String),
}

/// What is asked for once a second.
#[derive(Debug)]
pub(super) struct Polled {
    /// When, since the feed began.
    pub at: Duration,
    pub status: Status,
    pub workers: Vec<Worker>,
    /// Which peers were asked for.
    pub asked: PeersAsked,
    pub peers: PeersPage,
    /// Degraded peers, if those asked for are but a page of all.
    pub degraded: PeersPage,
}

/// Asks and listens in the background until it is dropped.
pub(super) struct Feed {
    news: mpsc::Receiver<News>,
    wanted: watch::Sender<PeersAsked>,
    tasks: JoinSet<()>,
}

impl Feed {
    /// Begins, with the peers that are `wanted`.
    pub(super) fn start(client: &Client, wanted: PeersAsked) -> Self {
        // Little room: what is not shown in time need not be shown.
        let (sender, news) = mpsc::channel(4);
        let (wanted, asked) = watch::channel(wanted);
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(client.clone(), sender.clone()));
        tasks.spawn(poll(client.clone(), asked, sender));
        Self { news, wanted, tasks }
    }

    /// Asks for other peers from now on.
    pub(super) fn want(&self, asked: &PeersAsked) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted != asked;
            wanted.clone_from(asked);
            is_new
        });
    }

    /// Waits for something new.
    ///
    /// # Panics
    /// A task of its own has panicked.
    pub(super) async fn next(&mut self) -> News {
        tokio::select! {
            Some(news) = self.news.recv() => news,
            Some(ended) = self.tasks.join_next() => {
                ended.expect("tasks of the feed do not panic");
                unreachable!("they end only when nobody waits for news any more")
            }
        }
    }
}

async fn listen(client: Client, news: mpsc::Sender<News>) {
    let mut samples = pin!(client.samples());
    while let Some(heard) = samples.next().await {
        let new = match heard {
            Heard::Sample(sample) => News::Sample(sample),
            Heard::Lost { error, .. } => News::Lost(error.to_string()),
        };
        if news.send(new).await.is_err() {
            return;
        }
    }
}

async fn poll(client: Client, mut wanted: watch::Receiver<PeersAsked>, news: mpsc::Sender<News>) {
    let start = Instant::now();
    let mut second = interval(EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // At once when somebody looks for other peers, but for a moment in which they go on typing.
        tokio::select! {
            _ = second.tick() => {}
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let _ = timeout(WHILE_TYPING, wanted.changed()).await;
            }
        }
        let asked = wanted.borrow_and_update().clone();
        let new = match ask(&client, asked, start).await {
            Ok(polled) => News::Polled(Box::new(polled)),
            Err(error) => News::Lost(error.to_string()),
        };
        if news.send(new).await.is_err() {
            return;
        }
    }
}

async fn ask(client: &Client, asked: PeersAsked, start: Instant) -> Result<Polled, ClientError> {
    let status = client.status().await?;
    let workers = client.workers().await?;
    let peers = client.peers(&asked).await?;
    let is_part = peers.next.is_some() || asked.after.is_some();
    let degraded = if is_part && status.peers.degraded > 0 {
        client.peers(&PeersAsked { after: None, degraded: true, ..asked.clone() }).await?
    } else {
        PeersPage::default()
    };
    Ok(Polled { at: start.elapsed(), status, workers, asked, peers, degraded })
}

const EVERY: Duration = Duration::from_secs(1);

const WHILE_TYPING: Duration = Duration::from_millis(150);
