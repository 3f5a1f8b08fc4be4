//! Carries out what a line asks for, whichever way the line came.

use std::sync::Arc;

use photongate_net::NodeAddress;
use photongate_net::http::{Audit, Caller, Outcome, Role};
use photongate_net::pki::Host;

use crate::config::ServerConfig;
use crate::handle::Handle;
use crate::lines::{Answered, Asked, MemberWish, MemberWord};
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
            Asked::Member(wish) => return self.change_members(handle, &wish).await,
            Asked::Watch { .. } => return Answered::refused("bad_command", "nobody can watch here: use the socket"),
        };
        Answered::to(reply)
    }

    async fn change_members(&self, handle: &Handle, wish: &MemberWish) -> Answered {
        let (who, from) = (self.author.to_string(), self.from.to_string());
        let caller = Caller { name: who, role: Role::Admin, from };
        let intent = match self.audit.announce(&caller, "members.change", wish.to_string()).await {
            Ok(intent) => intent,
            Err(problem) => return Answered::refused("not_audited", problem.detail.unwrap_or_default()),
        };
        let change = match member_change(handle, wish).await {
            Ok(change) => change,
            Err(error) => {
                intent.conclude(Outcome::Refused, &error.to_string()).await;
                return Answered::refused(error.word(), error.to_string());
            }
        };
        let reply = handle.ask(Request::ChangeMembers(change)).await;
        match &reply {
            Reply::MembersChanged(_) => intent.conclude(Outcome::Done, "").await,
            Reply::Refused(refusal) => intent.conclude(Outcome::Refused, &refusal.to_string()).await,
            Reply::Done(_) | Reply::Read { .. } => {
                intent.conclude(Outcome::Failed, "another answer than was asked for").await;
            }
        }
        Answered::to(reply)
    }
}

/// The change in the node's terms. Who joins must be connected, as only it knows its disk; if it is said where it is, it is waited for.
///
/// # Errors
/// It is not, or the address is none.
pub async fn member_change(handle: &Handle, wish: &MemberWish) -> Result<MemberChange, CannotJoin> {
    let name = NodeName::from(wish.name.as_str());
    if wish.change == MemberWord::Remove {
        return Ok(MemberChange::Remove { name });
    }
    let store = match &wish.addr {
        None => handle.board().store_of(&name),
        Some(text) => {
            let is_name = Host::is_name(&wish.name);
            let addr = NodeAddress::parse(text, None).filter(|_| is_name);
            let addr = addr.ok_or_else(|| CannotJoin::BadAddress { address: text.clone() })?;
            handle.meet(ServerConfig { addr, server_name: wish.name.to_ascii_lowercase() }).await
        }
    };
    let store = store.ok_or_else(|| CannotJoin::NotConnected { name: wish.name.clone() })?;
    let address = wish.addr.as_deref().map(Arc::from);
    Ok(match wish.change {
        MemberWord::Replace => MemberChange::Replace { name, store, address },
        MemberWord::Add | MemberWord::Remove => MemberChange::Add { name, store, address },
    })
}

/// Why a node cannot join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotJoin {
    /// It is not connected to the node that is asked.
    #[error(
        "{name} is not connected to this node: start it, say where it is (`--addr`), and see in `photongate px status` of both why they \
         do not connect"
    )]
    NotConnected {
        /// Its name.
        name: String,
    },
    /// The address is none.
    #[error("{address:?} is {}", NodeAddress::NOT_ONE)]
    BadAddress {
        /// What was given.
        address: String,
    },
}

impl CannotJoin {
    /// The word that programs know it by.
    fn word(&self) -> &'static str {
        match self {
            Self::NotConnected { .. } => "not_connected",
            Self::BadAddress { .. } => "bad_command",
        }
    }
}
