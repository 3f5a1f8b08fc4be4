//! What each key of the DRKey hierarchy is derived from.
//!
//! Every step is `Schedule::derive`, that is AES-128-CBC-MAC, of one of these inputs under the key one level above.
//! Source: scionproto `doc/cryptography/drkey.rst`; the layouts of both "generic" and "specific" derivation are those of
//! its `pkg/drkey`. An input starts with its type, so that no two steps under one key can collide.

use photongate_crypto::Input;
use photongate_wire::{IsdAs, UnixNanos};

use crate::host_address::HostAddress;
use crate::protocol::Protocol;

/// Whom an AS-AS key is between. Swapped sides have another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AsPair {
    /// The AS that derives the key: the receiver of the packets it authenticates.
    pub fast: IsdAs,
    /// The AS that must be given the key: the sender.
    pub slow: IsdAs,
}

/// Level 1 in SCION: `K(fast→slow)`, under the secret value of the fast side.
pub fn level1_input(slow: IsdAs) -> Input {
    Input::concat(&[kind::AS_AS], &slow.to_be_bytes())
}

/// Level 1 in LightningFilter: `K(fast→slow)` in the epoch from `epoch_start`, under a secret that both ASes share.
pub fn shared_secret_input(pair: AsPair, epoch_start: UnixNanos) -> Input {
    let mut bytes = [0; 25];
    bytes[0] = kind::AS_AS;
    bytes[1..9].copy_from_slice(&pair.fast.to_be_bytes());
    bytes[9..17].copy_from_slice(&pair.slow.to_be_bytes());
    bytes[17..].copy_from_slice(&epoch_start.0.to_be_bytes());
    Input::new(&bytes)
}

/// Level 2 towards a host of the slow side: `K(fast→slow:host)`, under the generic level 1 key.
pub fn as_host_input(protocol: Protocol, host: HostAddress) -> Input {
    generic(kind::AS_HOST, protocol, host)
}

/// Level 2 for a host of the fast side: `K(fast:host→slow)`, under the generic level 1 key.
#[inline]
pub fn host_as_input(protocol: Protocol, host: HostAddress) -> Input {
    generic(kind::HOST_AS, protocol, host)
}

/// Level 2 towards a host of the slow side, under the level 1 key of a predefined protocol.
pub fn specific_as_host_input(host: HostAddress) -> Input {
    specific(kind::AS_HOST, host)
}

/// Level 2 for a host of the fast side, under the level 1 key of a predefined protocol.
pub fn specific_host_as_input(host: HostAddress) -> Input {
    specific(kind::HOST_AS, host)
}

/// Level 3, generic and specific alike: `K(fast:host→slow:host)` for `host` of the slow side, under the HOST-AS key.
#[inline]
pub fn host_host_input(host: HostAddress) -> Input {
    specific(kind::HOST_HOST, host)
}

/// The key of packets in `lf2` (`docs/protocol/lf2.md`), in the place of [`host_host_input`]: for `host` of the slow side, under the
/// HOST-AS key. Another first byte, so that LF and `lf2` never share a key.
#[inline]
pub fn lf2_host_host_input(host: HostAddress) -> Input {
    specific(kind::LF2_HOST_HOST, host)
}

#[inline(always)]
fn generic(kind: u8, protocol: Protocol, host: HostAddress) -> Input {
    let [high, low] = protocol.to_be_bytes();
    let (address_type, len) = address_type::of(host);
    Input::with_tail(&[kind, high, low, address_type], host.bytes(), len)
}

#[inline(always)]
fn specific(kind: u8, host: HostAddress) -> Input {
    let (address_type, len) = address_type::of(host);
    Input::with_tail(&[kind, address_type], host.bytes(), len)
}

/// Key types, the first byte of every input.
mod kind {
    pub(super) const AS_AS: u8 = 0;
    pub(super) const AS_HOST: u8 = 1;
    pub(super) const HOST_AS: u8 = 2;
    pub(super) const HOST_HOST: u8 = 3;
    /// Ours. SCION counts from 0 up.
    pub(super) const LF2_HOST_HOST: u8 = 0xf2;
}

/// The type and length bits of an address, as in the SCION common header (DT and DL).
mod address_type {
    use crate::host_address::{HostAddress, Kind};

    /// Of `host`, and how many bytes its address has in an input.
    #[inline]
    pub(super) fn of(host: HostAddress) -> (u8, usize) {
        match host.kind() {
            Kind::V4 => (IPV4, 4),
            Kind::V6 => (IPV6, 16),
            Kind::Service => (SERVICE, 4),
        }
    }

    const IPV4: u8 = 0x0;
    const IPV6: u8 = 0x3;
    const SERVICE: u8 = 0x4;
}
