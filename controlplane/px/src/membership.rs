//! Who votes: the members of a configuration, by name, number and disk.
//!
//! A member is a name (the one in its certificate), a [`Pid`] and a [`StoreId`]. A machine that lost its disk comes back with another
//! store id, so it is not the member any more: it might have promised or accepted what it does not know of. It is let in again under a
//! pid that nobody ever had. The members change only through the log, one configuration after the other.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    command::{Pid, Revision},
    digest::Fnv128,
};

/// Who votes, from a place in the log on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which cluster this is: the same in all its configurations.
    pub cluster: ClusterId,
    /// Counts the configurations, from 1.
    pub configuration: ConfigurationId,
    /// Where the log of this configuration begins: its first entry has the revision behind this one.
    pub base: Revision,
    /// The pid that the next new member gets.
    pub next_pid: Pid,
    /// In the order of their pids.
    pub members: Vec<Member>,
}

impl Membership {
    /// The first configuration of a cluster. Whoever knows the same servers makes the same one.
    ///
    /// # Errors
    /// [`BadMembership`] if there are fewer than two servers, or two of one name or one store.
    pub fn founding(servers: impl IntoIterator<Item = (NodeName, StoreId)>) -> Result<Self, BadMembership> {
        let mut servers: Vec<_> = servers.into_iter().collect();
        servers.sort();
        let members: Vec<_> = (1..)
            .zip(servers)
            .map(|(pid, (name, store))| Member { name, pid: Pid(pid), store, address: None })
            .collect();
        let membership = Self {
            cluster: ClusterId::of(&members),
            configuration: ConfigurationId(1),
            base: Revision(0),
            next_pid: Pid(members.len() as u64 + 1),
            members,
        };
        membership.check()?;
        Ok(membership)
    }

    /// The configuration after this one, in which `change` is made. Where it begins is set when it is decided.
    ///
    /// # Errors
    /// [`BadMembership`] if the change makes no sense in this configuration.
    pub fn changed(&self, change: &MemberChange) -> Result<Self, BadMembership> {
        let mut next = self.clone();
        next.configuration = ConfigurationId(self.configuration.0 + 1);
        match change {
            MemberChange::Add { name, store, address } => {
                if self.member(name).is_some() {
                    return Err(BadMembership::NameTaken { name: name.clone() });
                }
                next.admit(name.clone(), *store, address.clone());
            }
            MemberChange::Replace { name, store, address } => {
                let before = next.expel(name)?;
                next.admit(name.clone(), *store, address.clone().or(before.address));
            }
            MemberChange::Remove { name } => drop(next.expel(name)?),
        }
        next.check()?;
        Ok(next)
    }

    /// Whether the members are already what `change` would make of them.
    #[must_use]
    pub fn fulfils(&self, change: &MemberChange) -> bool {
        match change {
            MemberChange::Add { name, store, address } | MemberChange::Replace { name, store, address } => {
                let is_at = |member: &Member| address.is_none() || member.address == *address;
                self.member(name).is_some_and(|member| member.store == *store && is_at(member))
            }
            MemberChange::Remove { name } => self.member(name).is_none(),
        }
    }

    /// The member of this name.
    #[must_use]
    pub fn member(&self, name: &NodeName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// The member with this number.
    #[must_use]
    pub fn by_pid(&self, pid: Pid) -> Option<&Member> {
        self.members.iter().find(|member| member.pid == pid)
    }

    fn admit(&mut self, name: NodeName, store: StoreId, address: Option<Arc<str>>) {
        self.members.push(Member { name, pid: self.next_pid, store, address });
        self.next_pid = Pid(self.next_pid.0 + 1);
    }

    fn expel(&mut self, name: &NodeName) -> Result<Member, BadMembership> {
        let index = self.members.iter().position(|member| member.name == *name);
        index.map(|index| self.members.remove(index)).ok_or_else(|| BadMembership::NotAMember { name: name.clone() })
    }

    fn check(&self) -> Result<(), BadMembership> {
        if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&self.members.len()) {
            return Err(BadMembership::Size { members: self.members.len() });
        }
        let mut names = BTreeSet::new();
        let mut stores = BTreeSet::new();
        for member in &self.members {
            if !names.insert(&member.name) {
                return Err(BadMembership::NameTaken { name: member.name.clone() });
            }
            if !stores.insert(member.store) {
                return Err(BadMembership::StoreTaken { store: member.store });
            }
        }
        Ok(())
    }
}

/// One who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name in its certificate.
    pub name: NodeName,
    /// Its number, never given to anybody else.
    pub pid: Pid,
    /// Its disk.
    pub store: StoreId,
    /// A host and a port where the others reach it, if it came in at one. Else they know it by their configurations.
    pub address: Option<Arc<str>>,
}

/// A change of who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberChange {
    /// A machine joins.
    Add {
        /// Its name.
        name: NodeName,
        /// Its disk, as it said in its hello.
        store: StoreId,
        /// Where the others reach it; none: their configurations say so.
        address: Option<Arc<str>>,
    },
    /// A machine leaves.
    Remove {
        /// Its name.
        name: NodeName,
    },
    /// A machine lost its disk and joins with a new one, under a new pid.
    Replace {
        /// Its name.
        name: NodeName,
        /// Its new disk, as it said in its hello.
        store: StoreId,
        /// Where the others reach it from now on; none: where they did before.
        address: Option<Arc<str>>,
    },
}

impl MemberChange {
    /// Whom it is about.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        match self {
            Self::Add { name, .. } | Self::Remove { name } | Self::Replace { name, .. } => name,
        }
    }
}

/// Why members cannot be changed like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMembership {
    /// Too few members are left, or there would be too many.
    #[error("a cluster has {MIN_MEMBERS} to {MAX_MEMBERS} members, not {members}")]
    Size {
        /// How many there would be.
        members: usize,
    },
    /// The name is that of a member already.
    #[error("{name} is a member already")]
    NameTaken {
        /// The name.
        name: NodeName,
    },
    /// The store is that of a member already.
    #[error("the store {store} belongs to another member: was a data directory copied?")]
    StoreTaken {
        /// The store.
        store: StoreId,
    },
    /// No member has the name.
    #[error("{name} is not a member")]
    NotAMember {
        /// The name.
        name: NodeName,
    },
}

/// The name of a node: the one in its certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeName {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Counts the configurations of a cluster, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigurationId(pub u32);

impl fmt::Display for ConfigurationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// 128 random bits that a data directory gets when it is made. Prints as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

/// Which cluster a node belongs to: a hash over its first members. Prints as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl ClusterId {
    fn of(members: &[Member]) -> Self {
        // It tells clusters apart that are mixed up by mistake; certificates keep out who lies.
        let mut hash = Fnv128::new();
        for member in members {
            hash.text(member.name.as_str()).bytes(&member.store.0.to_be_bytes());
        }
        Self(hash.finish())
    }
}

/// Text, `Debug` and serde of 128-bit ids: 32 hexadecimal digits.
macro_rules! hexadecimal {
    ($id:ident, $what:literal) => {
        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($id), "({:032x})"), self.0)
            }
        }

        impl FromStr for $id {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let bits = u128::from_str_radix(text, 16).ok().filter(|_| hexadecimal);
                bits.map(Self).ok_or(BadId { what: $what })
            }
        }

        impl Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hexadecimal!(StoreId, "store id");
hexadecimal!(ClusterId, "cluster id");

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} has 32 hexadecimal digits")]
pub struct BadId {
    what: &'static str,
}

/// Agreement takes two; OmniPaxos knows no smaller cluster.
const MIN_MEMBERS: usize = 2;
/// More only make every write slower.
const MAX_MEMBERS: usize = 15;

#[cfg(test)]
mod tests;
