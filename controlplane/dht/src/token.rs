//! Tokens: whoever presents one received what was sent to its address not long ago.
//!
//! A token is the HMAC-SHA-256 of the address (and of the id that a certificate proves) under a secret that nobody else knows and that
//! changes all the time, cut to 16 bytes. Nothing has to be remembered for it.

use std::net::IpAddr;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use photongate_wire::Nanos;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    message::Token,
    node::{Random, Source},
};

/// Gives out tokens and knows them again.
pub(crate) struct Tokens {
    current: Key,
    previous: Key,
    change_at: Nanos,
}

impl Tokens {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { current: fresh(random), previous: fresh(random), change_at: Nanos(0) }
    }

    /// Takes another secret if it is time to. Tokens of the last one are good until the next change.
    pub(crate) fn change(&mut self, now: Nanos, every: Nanos, random: &mut Random) {
        if now >= self.change_at {
            self.previous = std::mem::replace(&mut self.current, fresh(random));
            self.change_at = now.saturating_add(every);
        }
    }

    pub(crate) fn give(&self, to: &Source) -> Token {
        token(&self.current, to)
    }

    /// Whether the token was given to the very same. The time taken says nothing about a good one.
    #[must_use]
    pub(crate) fn is_valid(&self, presented: &Token, from: &Source) -> bool {
        let [current, previous] = [&self.current, &self.previous].map(|key| token(key, from).0.ct_eq(&presented.0));
        (current | previous).into()
    }
}

fn token(key: &Key, to: &Source) -> Token {
    let mut hash = Context::with_key(key);
    match to.address.ip() {
        IpAddr::V4(address) => hash.update(&address.to_ipv6_mapped().octets()),
        IpAddr::V6(address) => hash.update(&address.octets()),
    }
    hash.update(&to.address.port().to_be_bytes());
    if let Some(id) = to.proven {
        hash.update(&id.0);
    }
    let whole = hash.sign();
    Token(*whole.as_ref().first_chunk().expect("a tag of SHA-256 has 32 bytes"))
}

fn fresh(random: &mut Random) -> Key {
    let mut secret = Zeroizing::new([0; 32]);
    random(secret.as_mut_slice());
    Key::new(HMAC_SHA256, secret.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    #[test]
    fn a_token_is_good_where_it_was_given_and_nowhere_else() {
        let tokens = Tokens::new(&mut counting());
        let here = source("192.0.2.7:6881");
        let token = tokens.give(&here);
        assert!(tokens.is_valid(&token, &here));
        assert!(!tokens.is_valid(&token, &source("192.0.2.7:6882")));
        assert!(!tokens.is_valid(&token, &source("192.0.2.8:6881")));
        assert!(!tokens.is_valid(&token, &Source { proven: Some(Id([1; 32])), ..here }));
        let mut forged = token;
        forged.0[15] ^= 1;
        assert!(!tokens.is_valid(&forged, &here));
    }

    #[test]
    fn a_token_outlives_one_change_of_the_secret_and_not_two() {
        let (mut random, here) = (counting(), source("[2001:db8::1]:6881"));
        let mut tokens = Tokens::new(&mut random);
        tokens.change(Nanos::from_secs(1), EVERY, &mut random);
        let token = tokens.give(&here);
        tokens.change(Nanos::from_secs(300), EVERY, &mut random);
        assert_eq!(tokens.give(&here), token, "it is not time yet");
        tokens.change(Nanos::from_secs(301), EVERY, &mut random);
        assert_ne!(tokens.give(&here), token);
        assert!(tokens.is_valid(&token, &here));
        tokens.change(Nanos::from_secs(601), EVERY, &mut random);
        assert!(!tokens.is_valid(&token, &here));
    }

    fn source(address: &str) -> Source {
        Source { address: address.parse().unwrap(), proven: None }
    }

    fn counting() -> Random {
        let mut counter = 0_u8;
        Box::new(move |bytes| {
            counter += 1;
            bytes.fill(counter);
        })
    }

    const EVERY: Nanos = Nanos::from_secs(300);
}
