//! The way from one end of a source to the other, through the servers.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::client::{PeerClient, PeerError};
use crate::ids::LinkId;
use crate::links::{Channel, ChannelError};

/// Asks the other end of a source through the neighbour.
#[derive(Debug)]
pub struct PeerChannel {
    client: PeerClient,
    path: String,
}

impl PeerChannel {
    /// The channel of the source numbered `source` of a link.
    pub fn new(client: PeerClient, link: &LinkId, source: u16) -> Self {
        let link: String = url::form_urlencoded::byte_serialize(link.as_str().as_bytes()).collect();
        Self { client, path: format!("peer/v1/links/{}/{source}", link.replace('+', "%20")) }
    }
}

impl Channel for PeerChannel {
    fn ask(
        &self,
        question: Bytes,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ChannelError>> + Send + '_>> {
        Box::pin(async move {
            self.client.ask(&self.path, question, patience).await.map_err(|error| match error {
                PeerError::Unreachable(why) => ChannelError::Unreachable(why),
                PeerError::Refused(why) => ChannelError::NoAnswer(why),
                PeerError::Busy => ChannelError::Unreachable(error.to_string()),
            })
        })
    }
}
