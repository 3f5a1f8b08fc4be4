//! What a key server tells all others about itself, and how much of it is too much.

use photongate_wire::IsdAs;
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use crate::encoding::{self, Bytes64};
use crate::ids::{QksId, SaeId};

/// One part of what a key server tells all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// The server that it is from and about.
    pub origin: QksId,
    /// What makes it newer than others of its origin and kind.
    pub stamp: Stamp,
    /// What it says.
    pub content: Content,
}

/// The order of what one origin advertised. No clock is involved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Grows with every start of the origin.
    pub boot: u64,
    /// Grows with every advertisement since.
    pub sequence: u64,
}

/// What an advertisement says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Content {
    /// Type S: what is attached to the origin.
    #[serde(rename = "S")]
    Attached(Attached),
    /// Type K: where the origin has key links.
    #[serde(rename = "K")]
    Adjacent(Adjacent),
}

/// What is attached to a server, or a part of it. The parts of one stamp take effect together, once all are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Which part this is, counted from 0.
    pub page: u16,
    /// How many parts there are.
    pub pages: u16,
    /// Applications that get their keys there, in ascending order.
    pub saes: Vec<SaeId>,
    /// Autonomous systems whose DRKeys it makes, in ascending order.
    #[serde(with = "encoding::texts")]
    pub ases: Vec<IsdAs>,
}

/// A server's key links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjacent {
    /// Where other servers reach it, if it wants to be reached by more than its neighbours.
    pub url: Option<String>,
    /// The other ends, in ascending order.
    pub neighbours: Vec<Neighbour>,
}

/// The other end of a key link, and how the link does as its near end sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The server at the other end.
    pub server: QksId,
    /// What using the link costs.
    pub cost: Cost,
    /// Key bits in stock that nobody has taken yet.
    pub free_bits: u64,
}

/// An advertisement with its origin's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What was signed.
    pub advertisement: Advertisement,
    /// By whom.
    pub seal: Seal,
}

/// A signature and the certificates that tell whose it is. Routing itself does not look into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The signer's certificate (DER), then those of its issuers.
    pub chain: Vec<Bytes64>,
    /// Which way of signing: a `SignatureScheme` of TLS 1.3 (RFC 8446, section 4.2.3).
    pub scheme: u16,
    /// Over [`Advertisement::signed_bytes`].
    pub signature: Bytes64,
}

/// The two kinds of advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// [`Content::Attached`].
    #[serde(rename = "S")]
    Attached,
    /// [`Content::Adjacent`].
    #[serde(rename = "K")]
    Adjacent,
}

/// Which advertisement is meant, whatever its stamp.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Its origin.
    pub origin: QksId,
    /// Its kind.
    pub kind: Kind,
    /// Which part it is; 0 for type K.
    pub page: u16,
}

/// Why an advertisement is not even looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More of something than is allowed.
    #[error("it is too large")]
    TooLarge,
    /// A list is not in ascending order, or names something twice.
    #[error("a list in it is not in ascending order")]
    Unordered,
    /// A page that cannot be.
    #[error("it is a page that does not exist")]
    NoSuchPage,
    /// A stamp after which none could come.
    #[error("no stamp can follow its own")]
    LastStamp,
    /// A server names itself as its neighbour.
    #[error("it names its origin as a neighbour")]
    OwnNeighbour,
    /// A URL that no server can be reached at.
    #[error("its URL is not one of https")]
    Url,
}

impl Stamp {
    /// Where an origin begins.
    pub const fn first(boot: u64) -> Self {
        Self { boot, sequence: 0 }
    }

    /// The next one of the same origin; `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        if self.sequence < LARGEST_COUNT {
            return Some(Self { boot: self.boot, sequence: self.sequence + 1 });
        }
        if self.boot < LARGEST_COUNT { Some(Self { boot: self.boot + 1, sequence: 0 }) } else { None }
    }
}

impl Advertisement {
    /// Which one it is.
    pub fn key(&self) -> Key {
        Key { origin: self.origin.clone(), kind: self.kind(), page: self.page() }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self.content {
            Content::Attached(_) => Kind::Attached,
            Content::Adjacent(_) => Kind::Adjacent,
        }
    }

    /// Which part it is.
    pub(super) const fn page(&self) -> u16 {
        match &self.content {
            Content::Attached(attached) => attached.page,
            Content::Adjacent(_) => 0,
        }
    }

    /// Of how many parts.
    pub(super) const fn pages(&self) -> u16 {
        match &self.content {
            Content::Attached(attached) => attached.pages,
            Content::Adjacent(_) => 1,
        }
    }

    /// What is signed: the same bytes for equal advertisements, other bytes for others, and never those of anything else that
    /// the key might sign.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        put_text(&mut bytes, self.origin.as_str());
        put_number(&mut bytes, self.stamp.boot);
        put_number(&mut bytes, self.stamp.sequence);
        match &self.content {
            Content::Attached(attached) => {
                bytes.push(b'S');
                put_number(&mut bytes, u64::from(attached.page));
                put_number(&mut bytes, u64::from(attached.pages));
                put_number(&mut bytes, attached.saes.len() as u64);
                attached.saes.iter().for_each(|sae| put_text(&mut bytes, sae.as_str()));
                put_number(&mut bytes, attached.ases.len() as u64);
                attached.ases.iter().for_each(|isd_as| bytes.extend(isd_as.to_be_bytes()));
            }
            Content::Adjacent(adjacent) => {
                bytes.push(b'K');
                bytes.push(u8::from(adjacent.url.is_some()));
                put_text(&mut bytes, adjacent.url.as_deref().unwrap_or_default());
                put_number(&mut bytes, adjacent.neighbours.len() as u64);
                for neighbour in &adjacent.neighbours {
                    put_text(&mut bytes, neighbour.server.as_str());
                    bytes.push(neighbour.cost.get());
                    put_number(&mut bytes, neighbour.free_bits);
                }
            }
        }
        bytes
    }

    /// About how many bytes it takes in a message, without its seal.
    pub(super) fn weight(&self) -> usize {
        let names: usize = match &self.content {
            Content::Attached(attached) => {
                attached.saes.iter().map(|sae| sae.as_str().len() + 4).sum::<usize>() + 24 * attached.ases.len()
            }
            Content::Adjacent(adjacent) => {
                adjacent.neighbours.iter().map(|neighbour| neighbour.server.as_str().len() + 60).sum()
            }
        };
        names + 256
    }

    /// Whether it keeps to the bounds. Nothing is said about who it is from.
    ///
    /// # Errors
    /// The first bound that it does not keep to.
    pub fn check(&self) -> Result<(), Malformed> {
        if self.stamp.boot > LARGEST_COUNT || self.stamp.next().is_none() {
            return Err(Malformed::LastStamp);
        }
        match &self.content {
            Content::Attached(attached) => attached.check()?,
            Content::Adjacent(adjacent) => adjacent.check(&self.origin)?,
        }
        if self.weight() > HEAVIEST_ADVERTISEMENT { Err(Malformed::TooLarge) } else { Ok(()) }
    }
}

impl Attached {
    fn check(&self) -> Result<(), Malformed> {
        if self.pages == 0 || self.pages > MOST_PAGES || self.page >= self.pages {
            return Err(Malformed::NoSuchPage);
        }
        if self.saes.len() > MOST_PER_PAGE || self.ases.len() > MOST_PER_PAGE {
            return Err(Malformed::TooLarge);
        }
        if ascending(&self.saes) && ascending(&self.ases) { Ok(()) } else { Err(Malformed::Unordered) }
    }
}

impl Adjacent {
    fn check(&self, origin: &QksId) -> Result<(), Malformed> {
        if self.neighbours.len() > MOST_NEIGHBOURS {
            return Err(Malformed::TooLarge);
        }
        if self.neighbours.iter().any(|neighbour| neighbour.server == *origin) {
            return Err(Malformed::OwnNeighbour);
        }
        if !self.neighbours.is_sorted_by(|one, other| one.server < other.server) {
            return Err(Malformed::Unordered);
        }
        match &self.url {
            Some(url) if !is_url(url) => Err(Malformed::Url),
            _ => Ok(()),
        }
    }
}

impl Seal {
    /// Whether it is small enough to be looked at.
    pub(super) fn is_small(&self) -> bool {
        self.chain.len() <= LONGEST_CHAIN
            && self.chain.iter().all(|certificate| certificate.0.len() <= LARGEST_CERTIFICATE)
            && self.signature.0.len() <= LONGEST_SIGNATURE
    }

    /// About how many bytes it takes in a message.
    pub(super) fn weight(&self) -> usize {
        (self.chain.iter().map(|certificate| certificate.0.len()).sum::<usize>() + self.signature.0.len()) * 4 / 3 + 64
    }
}

/// Whether a text is a URL that an origin may advertise.
pub(super) fn is_url(text: &str) -> bool {
    text.len() <= LONGEST_URL && url::Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

fn ascending<T: Ord>(list: &[T]) -> bool {
    list.is_sorted_by(|one, other| one < other)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

fn put_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_be_bytes());
}

const DOMAIN: &[u8] = b"photongate routing advertisement 1\0";
/// Of boot and sequence. What is left above lets everybody compare without an overflow.
const LARGEST_COUNT: u64 = (1 << 62) - 1;
/// Pages of what is attached to one server.
pub const MOST_PAGES: u16 = 64;
/// Applications in one page, and autonomous systems.
pub const MOST_PER_PAGE: usize = 512;
/// Key links of one server.
pub const MOST_NEIGHBOURS: usize = 256;
/// Bytes of [`Adjacent::url`].
pub const LONGEST_URL: usize = 512;
/// Bytes, as [`Advertisement::weight`] counts them: a full page of the longest names.
const HEAVIEST_ADVERTISEMENT: usize = 192 * 1024;
/// Certificates in a [`Seal`].
pub(super) const LONGEST_CHAIN: usize = 4;
const LARGEST_CERTIFICATE: usize = 8 * 1024;
const LONGEST_SIGNATURE: usize = 8 * 1024;
