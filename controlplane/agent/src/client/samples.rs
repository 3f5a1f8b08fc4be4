//! The numbers of each second, as a stream that survives the filter's absence.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Response;

use super::lines::{Event, Events};
use super::{ANSWER_WITHIN, Client, ClientError};
use crate::api::Sample;

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The numbers of a second.
    Sample(Box<Sample>),
    /// Nothing is heard at present. The connection is tried again by itself after `retry_after`.
    Lost {
        /// Why.
        error: ClientError,
        /// When the next attempt is made, from now.
        retry_after: Duration,
    },
}

impl Client {
    /// The present numbers, and then those of each second, for ever. When the connection is lost, it says so and connects anew, ever more
    /// rarely while that fails.
    pub fn samples(&self) -> impl Stream<Item = Heard> + Send + use<> {
        let listener = Listener { client: self.clone(), state: State::Wait(Duration::ZERO), next_wait: SHORTEST_WAIT };
        unfold(listener, |mut listener| async move {
            let heard = listener.next().await;
            Some((heard, listener))
        })
    }
}

struct Listener {
    client: Client,
    state: State,
    next_wait: Duration,
}

enum State {
    Wait(Duration),
    Listen(Box<Connection>),
}

struct Connection {
    response: Response,
    events: Events,
    /// What has come and was not asked for yet.
    complete: VecDeque<Event>,
}

impl Listener {
    async fn next(&mut self) -> Heard {
        match self.try_next().await {
            Ok(sample) => {
                // Only what is understood proves that the other side is in order: an answer alone does not.
                self.next_wait = SHORTEST_WAIT;
                Heard::Sample(Box::new(sample))
            }
            Err(error) => {
                let retry_after = self.next_wait;
                self.state = State::Wait(retry_after);
                self.next_wait = LONGEST_WAIT.min(retry_after * 2);
                Heard::Lost { error, retry_after }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Sample, ClientError> {
        if let State::Wait(time) = self.state {
            tokio::time::sleep(time).await;
            self.state = State::Listen(Box::new(self.client.listen().await?));
        }
        let State::Listen(connection) = &mut self.state else { unreachable!("just connected") };
        connection.next_sample(&self.client).await
    }
}

impl Connection {
    async fn next_sample(&mut self, client: &Client) -> Result<Sample, ClientError> {
        let server = client.server();
        loop {
            while let Some(event) = self.complete.pop_front() {
                if event.name == b"sample" {
                    return client.parse(&event.data);
                }
            }
            let chunk = self.response.chunk().await.map_err(|error| ClientError::on_the_way(server, &error))?;
            let ended = || ClientError::Broken { server: server.clone(), why: "the filter has ended it".to_owned() };
            let events = self.events.push(&chunk.ok_or_else(ended)?);
            let not_ours = |what: String| ClientError::NotOurs { server: server.clone(), what };
            self.complete.extend(events.map_err(|error| not_ours(error.to_string()))?);
        }
    }
}

impl Client {
    async fn listen(&self) -> Result<Connection, ClientError> {
        let request = self.request(Method::GET, &["api", "v1", "events"], &[]).header(ACCEPT, EVENT_STREAM);
        let response = self.within(ANSWER_WITHIN, self.begin(request)).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with(EVENT_STREAM) {
            let what = format!("{kind:?} in the place of events");
            return Err(ClientError::NotOurs { server: self.server.clone(), what });
        }
        Ok(Connection { response, events: Events::default(), complete: VecDeque::new() })
    }
}

const EVENT_STREAM: &str = "text/event-stream";

/// How soon a lost connection is tried again.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);

/// How seldom it is tried in the end.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
