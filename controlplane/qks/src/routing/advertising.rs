//! What a server tells its neighbours without being asked: its own advertisements, and all that waits to be brought to them.

use std::sync::Arc;

use photongate_wire::Nanos;

use super::advertisement::{Adjacent, Advertisement, Content, Kind, Neighbour, Signed};
use super::message::{Flooded, HEAVY, MOST_ADVERTISEMENTS, Message};
use super::{Action, Peer, Routing};
use crate::ids::QksId;

impl Routing {
    /// Signs what this server has to say, and has it sent to all neighbours.
    pub(super) fn advertise(&mut self, kind: Kind, now: Nanos) {
        let contents = match kind {
            Kind::Attached => self.own.pages().into_iter().map(Content::Attached).collect(),
            Kind::Adjacent => vec![Content::Adjacent(self.adjacent())],
        };
        let stamp = self.own.stamp.next().unwrap_or(self.own.stamp);
        let mut signed = Vec::new();
        for content in contents {
            let advertisement = Advertisement { origin: self.local.clone(), stamp, content };
            let Some(seal) = self.signatures.sign(&advertisement.signed_bytes()) else {
                self.own.rest(kind, now);
                return self.actions.push(Action::CannotSign);
            };
            signed.push(Arc::new(Signed { advertisement, seal }));
        }
        self.own.stamp = stamp;
        for signed in signed {
            let key = signed.advertisement.key();
            self.database.store(&Flooded { signed, age_millis: 0 }, now);
            for live in self.neighbours.values_mut().filter_map(|peer| peer.live.as_mut()) {
                live.outbox.put(key.clone());
            }
        }
        self.own.advertised(kind, self.settings.refresh, now);
        if kind == Kind::Adjacent {
            self.routes_changed();
        }
    }

    fn adjacent(&self) -> Adjacent {
        let live = self.neighbours.iter().filter(|(_, peer)| peer.live.is_some());
        let neighbour = |(server, peer): (&QksId, &Peer)| {
            let link = peer.link.as_ref()?;
            Some(Neighbour { server: server.clone(), cost: link.advertised, free_bits: link.stock.free_bits })
        };
        Adjacent { url: self.own.url.clone(), neighbours: live.filter_map(neighbour).collect() }
    }

    /// Sends what waits for the neighbours.
    pub(super) fn send(&mut self, now: Nanos) {
        for (name, peer) in &mut self.neighbours {
            let Some(live) = &mut peer.live else { continue };
            if live.compare_at <= now {
                live.compare_at = now.saturating_add(self.settings.compare);
                let message = Message::Summary(self.database.summary().to_vec());
                self.actions.push(Action::Send { to: name.clone(), message });
            }
            let keys = live.outbox.take(now, MOST_ADVERTISEMENTS, HEAVY, |key| self.database.weight(key));
            let advertisements: Vec<_> = keys.iter().filter_map(|key| self.database.flooded(key, now)).collect();
            if !advertisements.is_empty() {
                let message = Message::Advertisements(advertisements);
                self.actions.push(Action::Send { to: name.clone(), message });
            }
        }
    }
}
