//! How the ends of a source talk: questions and answers in JSON, and what their hashes are bound to.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Channel, ChannelError, LinkEnd, Question};
use crate::ids::{LinkId, QksId};

/// Which link, and who is who.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) link: LinkId,
    pub(super) leader: QksId,
    pub(super) follower: QksId,
}

impl Names {
    /// Those of the link that `end` belongs to. They are the same at both ends.
    pub(super) fn of(end: &LinkEnd) -> Self {
        let (leader, follower) = if end.leads() { (&end.local, &end.remote) } else { (&end.remote, &end.local) };
        Self { link: end.link.clone(), leader: leader.clone(), follower: follower.clone() }
    }

    /// A hash of the names and `parts`.
    pub(super) fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let names = [self.link.as_str(), self.leader.as_str(), self.follower.as_str()].map(str::as_bytes);
        hash(&[&names, parts].concat())
    }
}

/// SHA-256 of `parts`, each with its length before it, so that no two lists of parts give the same.
pub(super) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).expect("a length fits into 64 bits").to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Asks the other end.
///
/// # Errors
/// [`ChannelError`]; also if the answer is none of those that there are.
pub(super) async fn ask<A: DeserializeOwned>(
    peer: &dyn Channel,
    question: &impl Serialize,
    patience: Duration,
) -> Result<A, ChannelError> {
    let answer = peer.ask(json(question), patience).await?;
    parsed(&answer).ok_or_else(|| ChannelError::NoAnswer("what it says cannot be read".to_owned()))
}

/// What the other end asks. `None`: it is no question. Then there is no answer either.
pub(super) fn asked<Q: DeserializeOwned>(question: &Question) -> Option<Q> {
    parsed(&question.body)
}

/// Answers. Whether anybody still waits for it is of no concern: they ask again.
pub(super) fn answer(question: Question, answer: &impl Serialize) {
    drop(question.answer.send(json(answer)));
}

fn json(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message).expect("messages have only fields that JSON has, too").into()
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
