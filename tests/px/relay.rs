//! What carries datagrams from one network to another as badly as it is told: late, out of order, twice, or not at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use photongate_px::testing::random::Random;

/// How a network is in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weather {
    /// How many of a hundred datagrams are lost, and how many come twice.
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Milliseconds that one takes. If they differ, one may overtake another.
    pub(crate) delay: Range<u64>,
    /// Bytes a second, if there is a bound. What would wait for longer than [`LONGEST_QUEUE`] is lost.
    pub(crate) rate: Option<u64>,
}

impl Weather {
    /// All goes through at once.
    pub(crate) const CALM: Self = Self { lost: 0, repeated: 0, delay: 0..0, rate: None };

    /// Nothing goes through, and nobody is told.
    pub(crate) const CUT: Self = Self { lost: 100, ..Self::CALM };
}

/// The weather at the moment.
pub(crate) type Sky = Arc<Mutex<Weather>>;

/// Carries the datagrams of one client to one server, and those that come back. Ends when it is dropped.
pub(crate) struct Relay {
    is_over: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

impl Relay {
    /// From whoever sends to `near` to where `far` is connected to, under the sky `there`; and back, under `back`.
    pub(crate) fn start(near: UdpSocket, far: UdpSocket, there: Sky, back: Sky) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        // The last one that sent: a client that starts anew has another port.
        let client = Arc::new(Mutex::new(None::<SocketAddr>));
        let (near, far) = (Arc::new(near), Arc::new(far));
        let noted = Arc::clone(&client);
        let (from, to) = (Arc::clone(&near), Arc::clone(&far));
        let to_server = Carrier::new(from, there, &is_over)
            .carry(move |sender| *noted.lock().unwrap() = Some(sender), move |datagram| drop(to.send(datagram)));
        let to_client = Carrier::new(far, back, &is_over).carry(
            |_| {},
            move |datagram| {
                if let Some(client) = *client.lock().unwrap() {
                    // Where nobody listens a datagram is lost, as it would be without this.
                    let _ = near.send_to(datagram, client);
                }
            },
        );
        Self { is_over, carriers: vec![to_server, to_client] }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
    }
}

/// One direction.
struct Carrier {
    from: Arc<UdpSocket>,
    sky: Sky,
    is_over: Arc<AtomicBool>,
    dice: Random,
    /// When the last datagram is through, if there is a bound to what goes through.
    busy_until: Instant,
    waiting: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    count: u64,
}

impl Carrier {
    fn new(from: Arc<UdpSocket>, sky: Sky, is_over: &Arc<AtomicBool>) -> Self {
        let dice = Random::new(u64::from(from.local_addr().unwrap().port()));
        let (waiting, busy_until) = (BinaryHeap::new(), Instant::now());
        Self { from, sky, is_over: Arc::clone(is_over), dice, busy_until, waiting, count: 0 }
    }

    fn carry(
        mut self,
        note: impl Fn(SocketAddr) + Send + 'static,
        deliver: impl Fn(&[u8]) + Send + 'static,
    ) -> JoinHandle<()> {
        thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            while !self.is_over.load(Ordering::Relaxed) {
                let patience = self.deliver_due(&deliver).clamp(Duration::from_micros(50), LOOK_AROUND);
                self.from.set_read_timeout(Some(patience)).unwrap();
                // An error is that of a datagram before: nobody listens.
                let Ok((length, sender)) = self.from.recv_from(&mut datagram) else { continue };
                note(sender);
                self.take(&datagram[..length]);
            }
        })
    }

    /// Delivers what is due, and says how long until something is.
    fn deliver_due(&mut self, deliver: &impl Fn(&[u8])) -> Duration {
        loop {
            let Some(Reverse((due, ..))) = self.waiting.peek() else { return LOOK_AROUND };
            let until = due.saturating_duration_since(Instant::now());
            if !until.is_zero() {
                return until;
            }
            let Reverse((_, _, datagram)) = self.waiting.pop().expect("it was just looked at");
            deliver(&datagram);
        }
    }

    fn take(&mut self, datagram: &[u8]) {
        let weather = self.sky.lock().unwrap().clone();
        let copies = 1 + usize::from(self.dice.within(0..100) < weather.repeated);
        for _ in 0..copies {
            if self.dice.within(0..100) < weather.lost {
                continue;
            }
            let now = Instant::now();
            let mut due = now;
            if let Some(rate) = weather.rate {
                let start = self.busy_until.max(now);
                if start - now > LONGEST_QUEUE {
                    continue;
                }
                self.busy_until = start + Duration::from_secs_f64(datagram.len() as f64 / rate as f64);
                due = self.busy_until;
            }
            if !weather.delay.is_empty() {
                due += Duration::from_millis(self.dice.within(weather.delay.clone()));
            }
            self.count += 1;
            self.waiting.push(Reverse((due, self.count, datagram.to_vec())));
        }
    }
}

/// What waits longer than so for a slow network is lost.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// How often it is looked whether all is over.
const LOOK_AROUND: Duration = Duration::from_millis(20);
