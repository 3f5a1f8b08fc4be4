//! The requests, one method each. What they ask and answer is in [`crate::api::model`].

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ANSWER_WITHIN, Answer, CHANGE_WITHIN, Client, ClientError};
use crate::api::{
    AsListInForce, Changes, LogLevel, LogSettings, Peer, PeerName, PeersPage, PrefetchOutcome, ReloadOutcome,
    RevokeOutcome, RevokeRequest, Status, Worker,
};
use crate::as_list::Format;
use crate::keys::Direction;

/// Which peers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersAsked {
    /// Those behind this one: [`PeersPage::next`] of the page before.
    pub after: Option<String>,
    /// At most so many, from 1 to 1000; else the filter decides.
    pub limit: Option<usize>,
    /// Only degraded ones.
    pub degraded: bool,
    /// Only those whose ISD-AS, name or prefixes contain this; at most 64 characters.
    pub search: Option<String>,
}

/// An AS list as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsListText {
    /// The list, without secrets.
    pub text: String,
    /// Which generation it is.
    pub generation: u64,
}

impl Client {
    /// The filter at a glance.
    ///
    /// # Errors
    /// No answer, or a refusal; as for every request.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get(&["api", "v1", "status"], &[]).await
    }

    /// The workers.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn workers(&self) -> Result<Vec<Worker>, ClientError> {
        self.get(&["api", "v1", "workers"], &[]).await
    }

    /// Some peers, in the order of ISD-AS and DRKey protocol.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn peers(&self, asked: &PeersAsked) -> Result<PeersPage, ClientError> {
        let limit = asked.limit.map(|limit| limit.to_string());
        let parameters = [
            ("after", asked.after.as_deref()),
            ("limit", limit.as_deref()),
            ("degraded", asked.degraded.then_some("true")),
            ("search", asked.search.as_deref()),
        ];
        let query: Vec<_> = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.get(&["api", "v1", "peers"], &query).await
    }

    /// One peer.
    ///
    /// # Errors
    /// As for [`Self::status`]; status 404 if there is no such peer.
    pub async fn peer(&self, peer: &PeerName) -> Result<Peer, ClientError> {
        self.get(&["api", "v1", "peers", &peer.isd_as, &peer.drkey_protocol.to_string()], &[]).await
    }

    /// The AS list in force as text, without secrets.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn as_list(&self, format: Format) -> Result<AsListText, ClientError> {
        let request = self.request(Method::GET, AS_LIST, &[]).header(ACCEPT, format.content_type());
        let answer = self.within(ANSWER_WITHIN, self.send(request)).await?;
        let not_ours = |what: &str| ClientError::NotOurs { server: self.server.clone(), what: what.to_owned() };
        let generation = generation(&answer.headers).ok_or_else(|| not_ours("a list without a generation as ETag"))?;
        let text = String::from_utf8(answer.body.into()).map_err(|_| not_ours("a list that is no text"))?;
        Ok(AsListText { text, generation })
    }

    /// Which AS list is in force.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn as_list_in_force(&self) -> Result<AsListInForce, ClientError> {
        self.get(&["api", "v1", "as-list", "in-force"], &[]).await
    }

    /// What a list would change. Changes nothing.
    ///
    /// # Errors
    /// As for [`Self::status`]; status 422 with every mistake in the list.
    pub async fn check_as_list(&self, list: Bytes, format: Format) -> Result<Changes, ClientError> {
        let request = self.request(Method::POST, &["api", "v1", "as-list", "check"], &[]);
        let request = request.header(CONTENT_TYPE, format.content_type()).body(list);
        let answer = self.within(CHANGE_WITHIN, self.send(request)).await?;
        self.parse(&answer.body)
    }

    /// Replaces the AS list of generation `replaced`.
    ///
    /// # Errors
    /// As for [`Self::check_as_list`]; status 412 if another generation is in force by now.
    pub async fn replace_as_list(&self, list: Bytes, format: Format, replaced: u64) -> Result<Changes, ClientError> {
        let request = self.request(Method::PUT, AS_LIST, &[]);
        let request = request.header(CONTENT_TYPE, format.content_type()).header(IF_MATCH, format!("\"{replaced}\""));
        let answer = self.within(CHANGE_WITHIN, self.send(request.body(list))).await?;
        self.parse(&answer.body)
    }

    /// Fetches a peer's next keys now.
    ///
    /// # Errors
    /// As for [`Self::peer`].
    pub async fn prefetch(&self, peer: &PeerName) -> Result<PrefetchOutcome, ClientError> {
        let protocol = peer.drkey_protocol.to_string();
        self.post(&["api", "v1", "peers", &peer.isd_as, &protocol, "prefetch"]).await
    }

    /// Takes a peer's keys of one direction, or of both, out of use. No worker holds them when this returns.
    ///
    /// # Errors
    /// As for [`Self::peer`]; status 503 if it is not certain that they are out of use.
    pub async fn revoke(&self, peer: &PeerName, direction: Option<Direction>) -> Result<RevokeOutcome, ClientError> {
        let protocol = peer.drkey_protocol.to_string();
        let path = ["api", "v1", "peers", &peer.isd_as, &protocol, "revoke"];
        self.tell(Method::POST, &path, &RevokeRequest { direction }).await
    }

    /// Reads the configuration anew.
    ///
    /// # Errors
    /// As for [`Self::status`]; status 422 with every mistake in it, 409 if a changed field needs a restart.
    pub async fn reload(&self) -> Result<ReloadOutcome, ClientError> {
        self.post(&["api", "v1", "reload"]).await
    }

    /// What is logged.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn log_settings(&self) -> Result<LogSettings, ClientError> {
        self.get(LOG_LEVEL, &[]).await
    }

    /// Logs messages of this and of greater severity from now on.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn set_log_level(&self, level: LogLevel) -> Result<LogSettings, ClientError> {
        self.tell(Method::PUT, LOG_LEVEL, &LogSettings { level }).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        let answer = self.within(CHANGE_WITHIN, self.send(self.request(Method::POST, path, &[]))).await?;
        self.parse(&answer.body)
    }

    async fn tell<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        what: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        let request = self.request(method, path, &[]).json(what);
        let Answer { body, .. } = self.within(CHANGE_WITHIN, self.send(request)).await?;
        self.parse(&body)
    }
}

fn generation(headers: &HeaderMap) -> Option<u64> {
    headers.get(ETAG)?.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

const AS_LIST: &[&str] = &["api", "v1", "as-list"];
const LOG_LEVEL: &[&str] = &["api", "v1", "log-level"];
