//! What the core must know of each peer's connection: it is one once messages go through and the peer has said who it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::membership::NodeName;
use crate::node::{Hello, Input, PeerMessage};
use crate::peer::PeerEvent;

/// The peers' connections, as the core sees them.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<Arc<str>, Link>);

#[derive(Debug, Default)]
struct Link {
    is_up: bool,
    hello: Option<Hello>,
}

/// What follows from an event.
#[derive(Debug, Default)]
pub(super) struct Consequence {
    /// What the core is told.
    pub(super) input: Option<Input>,
    /// Who is to be told who we are.
    pub(super) greet: Option<Arc<str>>,
    /// Whether it concerns who is connected, and what they are.
    pub(super) is_about_the_peer: bool,
}

impl Links {
    /// Takes an event.
    pub(super) fn take(&mut self, event: PeerEvent<PeerMessage>) -> Consequence {
        match event {
            PeerEvent::Up(peer) => {
                let link = self.0.entry(Arc::clone(&peer)).or_default();
                link.is_up = true;
                let input = link.hello.clone().map(|hello| connected(&peer, hello));
                Consequence { input, greet: Some(peer), is_about_the_peer: true }
            }
            PeerEvent::Down(peer) => {
                let link = self.0.remove(&peer).unwrap_or_default();
                let was_connected = link.is_up && link.hello.is_some();
                let peer = NodeName::from(&*peer);
                let input = was_connected.then_some(Input::Disconnected { peer });
                Consequence { input, greet: None, is_about_the_peer: true }
            }
            PeerEvent::Gone(peer) => {
                let peer = NodeName::from(&*peer);
                Consequence { input: Some(Input::Gone { peer }), ..Consequence::default() }
            }
            PeerEvent::Message(peer, PeerMessage::Hello(hello)) => {
                if hello.name.as_str() != &*peer {
                    tracing::warn!(%peer, "it says that it is {}, and its certificate says otherwise", hello.name);
                    return Consequence::default();
                }
                let link = self.0.entry(Arc::clone(&peer)).or_default();
                let is_first = link.hello.replace(hello.clone()).is_none();
                let input = link.is_up.then(|| match is_first {
                    true => connected(&peer, hello),
                    // It is the same as before, and says that something about it has changed.
                    false => Input::Message { peer: NodeName::from(&*peer), message: PeerMessage::Hello(hello) },
                });
                Consequence { input, greet: None, is_about_the_peer: true }
            }
            PeerEvent::Message(peer, message) => {
                let is_connected = self.0.get(&peer).is_some_and(|link| link.is_up && link.hello.is_some());
                let peer = NodeName::from(&*peer);
                // What comes before is lost, which the core makes good when it hears of the connection.
                let input = is_connected.then_some(Input::Message { peer, message });
                Consequence { input, ..Consequence::default() }
            }
        }
    }

    /// Those who are connected, and what they said they are.
    pub(super) fn hellos(&self) -> impl Iterator<Item = &Hello> {
        self.0.values().filter(|link| link.is_up).filter_map(|link| link.hello.as_ref())
    }
}

fn connected(peer: &str, hello: Hello) -> Input {
    Input::Connected { peer: NodeName::from(peer), hello }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{ConfigurationId, StoreId};

    #[test]
    fn a_peer_is_connected_when_it_is_up_and_has_said_who_it_is() {
        let mut links = Links::default();
        let up = links.take(PeerEvent::Up("b".into()));
        assert!(up.input.is_none() && up.greet.is_some());
        let hello = links.take(PeerEvent::Message("b".into(), hello("b")));
        assert!(matches!(hello.input, Some(Input::Connected { .. })));
    }

    #[test]
    fn a_hello_that_comes_first_counts_as_soon_as_messages_go_through() {
        let mut links = Links::default();
        assert!(links.take(PeerEvent::Message("b".into(), hello("b"))).input.is_none());
        assert!(links.take(PeerEvent::Message("b".into(), PeerMessage::Gap)).input.is_none());
        assert!(matches!(links.take(PeerEvent::Up("b".into())).input, Some(Input::Connected { .. })));
        assert!(matches!(
            links.take(PeerEvent::Message("b".into(), PeerMessage::Gap)).input,
            Some(Input::Message { .. })
        ));
    }

    #[test]
    fn a_connection_that_is_gone_is_told_once_and_needs_a_new_hello() {
        let mut links = Links::default();
        links.take(PeerEvent::Up("b".into()));
        links.take(PeerEvent::Message("b".into(), hello("b")));
        assert!(matches!(links.take(PeerEvent::Down("b".into())).input, Some(Input::Disconnected { .. })));
        assert!(links.take(PeerEvent::Down("b".into())).input.is_none());
        assert!(links.take(PeerEvent::Up("b".into())).input.is_none());
    }

    #[test]
    fn what_a_connected_peer_says_of_itself_later_is_a_message() {
        let mut links = Links::default();
        links.take(PeerEvent::Up("b".into()));
        links.take(PeerEvent::Message("b".into(), hello("b")));
        assert!(matches!(links.take(PeerEvent::Message("b".into(), hello("b"))).input, Some(Input::Message { .. })));
    }

    #[test]
    fn nobody_is_taken_for_another_than_its_certificate_says() {
        let mut links = Links::default();
        links.take(PeerEvent::Up("b".into()));
        assert!(links.take(PeerEvent::Message("b".into(), hello("c"))).input.is_none());
    }

    fn hello(name: &str) -> PeerMessage {
        let (name, store) = (NodeName::from(name), StoreId(1));
        PeerMessage::Hello(Hello {
            name,
            store,
            cluster: None,
            configuration: ConfigurationId(0),
            servers: Default::default(),
        })
    }
}
