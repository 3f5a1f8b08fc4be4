//! Carries out what a line asks for, whichever way the line came.

use std::sync::Arc;

use photongate_net::http::{Audit, Caller, Outcome, Role};

use crate::handle::Handle;
use crate::lines::{Answered, Asked, MemberWord};
use crate::membership::{MemberChange, NodeName};
use crate::node::{Reply, Request};

/// Who asks, and how much patience they have.
#[derive(Clone, Debug)]
pub struct Asker {
    /// What documents will name as their author.
    pub author: Arc<str>,
    /// Which way they ask.
    pub from: Arc<str>,
    /// Where changes of members are written down.
    pub audit: Audit,
    /// Whether a change is tried until it is known what came of it, however long that takes.
    pub is_patient: bool,
}

impl Asker {
    /// Does what is asked, and says what came of it. Watches are another matter.
    pub async fn carry_out(&self, handle: &Handle, asked: Asked) -> Answered {
        let author = Arc::clone(&self.author);
        let reply = match asked {
            Asked::Write { counted: None, change } if self.is_patient => handle.write_at_last(author, change).await,
            Asked::Write { counted: None, change } => handle.write(author, change).await,
            Asked::Write { counted: Some((client, sequence)), change } if self.is_patient => {
                handle.ask_at_last(client, sequence, &author, &change).await
            }
            Asked::Write { counted: Some((client, sequence)), change } => {
                handle.ask(Request::Write { client, sequence, author, change }).await
            }
            Asked::Request(request) => handle.ask(request).await,
            Asked::Status => {
                let status = serde_json::to_value(handle.board().status()).expect("a status is made of text");
                return Answered::done(status);
            }
            Asked::Member(word, name) => return self.change_members(handle, word, &name).await,
            Asked::Watch { .. } => return Answered::refused("bad_command", "nobody can watch here: use the socket"),
        };
        Answered::to(reply)
    }

    async fn change_members(&self, handle: &Handle, word: MemberWord, name: &str) -> Answered {
        let change = match member_change(handle, word, name) {
            Ok(change) => change,
            Err(error) => return Answered::refused("not_connected", error.to_string()),
        };
        let (who, from) = (self.author.to_string(), self.from.to_string());
        let caller = Caller { name: who, role: Role::Admin, from };
        let intent = match self.audit.begin(&caller, "members.change", format!("{word:?} {name}")) {
            Ok(intent) => intent,
            Err(problem) => return Answered::refused("not_audited", problem.detail.unwrap_or_default()),
        };
        let reply = handle.ask(Request::ChangeMembers(change)).await;
        match &reply {
            Reply::MembersChanged(_) => intent.end(Outcome::Done, ""),
            Reply::Refused(refusal) => intent.end(Outcome::Refused, &refusal.to_string()),
            Reply::Done(_) | Reply::Read { .. } => intent.end(Outcome::Failed, "another answer than was asked for"),
        }
        Answered::to(reply)
    }
}

/// The change in the node's terms. Who joins must be connected, as only it knows its disk.
///
/// # Errors
/// It is not.
pub fn member_change(handle: &Handle, word: MemberWord, name: &str) -> Result<MemberChange, NotConnected> {
    let node = NodeName::from(name);
    let store = |node| handle.board().store_of(node).ok_or_else(|| NotConnected { name: name.to_owned() });
    Ok(match word {
        MemberWord::Remove => MemberChange::Remove { name: node },
        MemberWord::Add => MemberChange::Add { store: store(&node)?, name: node },
        MemberWord::Replace => MemberChange::Replace { store: store(&node)?, name: node },
    })
}

/// A node that is to join is not connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} is not connected to this node: put it into `servers` here, start it, and wait until `photongate px status` shows it"
)]
pub struct NotConnected {
    /// Its name.
    pub name: String,
}
