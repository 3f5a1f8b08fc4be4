//! The kinds of values that configurations are made of, and how each is written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use photongate_wire::{IsdAs, MacAddress, Nanos, UnixNanos};

use super::{FromValue, Reported, Value};

impl FromValue for bool {
    const EXAMPLE: &'static str = "true";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        value.boolean()
    }
}

impl FromValue for String {
    const EXAMPLE: &'static str = "\"text\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        value.text().map(str::to_owned)
    }
}

impl FromValue for PathBuf {
    const EXAMPLE: &'static str = "\"folder/file\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        value.path()
    }
}

macro_rules! whole_number {
    ($($kind:ty),*) => { $(
        impl FromValue for $kind {
            const EXAMPLE: &'static str = "1";

            fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
                value.number(<$kind>::MIN..=<$kind>::MAX, "")
            }
        }
    )* };
}

whole_number!(u8, u16, u32, u64);

impl FromValue for IsdAs {
    const EXAMPLE: &'static str = "\"1-ff00:0:110\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let why = "is not an ISD-AS number: write it like 1-ff00:0:110 or 1-64512";
        value.text()?.parse().map_err(|_| value.refuse(why))
    }
}

impl FromValue for MacAddress {
    const EXAMPLE: &'static str = "\"02:00:00:00:00:01\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let why = "is not an Ethernet address: write it like 02:00:00:00:00:01";
        value.text()?.parse().map_err(|_| value.refuse(why))
    }
}

impl FromValue for IpAddr {
    const EXAMPLE: &'static str = "\"192.0.2.1\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let why = "is not an IP address: write it like 192.0.2.1 or 2001:db8::1";
        let address: Self = value.text()?.parse().map_err(|_| value.refuse(why))?;
        match unmapped(address) {
            Some(v4) => Err(value.refuse(format!("is an IPv4 address in IPv6 clothes: write {v4}"))),
            None => Ok(address),
        }
    }
}

impl FromValue for SocketAddr {
    const EXAMPLE: &'static str = "\"127.0.0.1:8479\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let text = value.text()?;
        text.parse().map_err(|_| match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => value.refuse(format!("has no port: write {address}:8479")),
            Ok(IpAddr::V6(address)) => value.refuse(format!("has no port: write [{address}]:8479")),
            Err(_) => value.refuse("is no address and port: write them like 127.0.0.1:8479 or [::1]:8479"),
        })
    }
}

impl FromValue for IpNet {
    const EXAMPLE: &'static str = "\"192.0.2.0/24\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let text = value.text()?;
        let why = "is not an IP prefix: write it like 192.0.2.0/24 or 2001:db8::/32";
        if let Ok(address) = text.parse::<IpAddr>() {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return Err(value.refuse(format!("has no prefix length: write {address}/{bits} for this one address")));
        }
        let prefix: Self = text.parse().map_err(|_| value.refuse(why))?;
        if let Some(v4) = unmapped(prefix.addr()) {
            return Err(value.refuse(format!("is an IPv4 prefix in IPv6 clothes: write {v4} and a length up to 32")));
        }
        let trimmed = prefix.trunc();
        if trimmed != prefix {
            let (own, alone) = (trimmed, Self::from(prefix.addr()));
            return Err(
                value.refuse(format!("has bits beyond its length: write {own}, or {alone} for the one address"))
            );
        }
        Ok(prefix)
    }
}

impl FromValue for Nanos {
    const EXAMPLE: &'static str = "\"500ms\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let how = r#"write a whole number and a unit (ns, us, ms, s, m, h, d), like "500ms""#;
        if value.is_number() {
            return Err(value.refuse(format!("has no unit: {how}")));
        }
        let text = value.text()?;
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
        let (Ok(count), Some((_, nanos))) = (count.parse::<u64>(), unit) else {
            return Err(value.refuse(format!("is not a duration: {how}")));
        };
        count.checked_mul(*nanos).map(Self).ok_or_else(|| value.refuse("is too long: at most 213503d"))
    }
}

impl FromValue for UnixNanos {
    const EXAMPLE: &'static str = "\"2026-01-01T00:00:00Z\"";

    /// RFC 3339; without an offset from UTC it is UTC, as LightningFilter writes it.
    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let text = value.instant()?;
        let utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        // The parsers also take a date alone, or a space for the `T`; for a secret's start that is too little said.
        let complete = text.len() >= "2026-01-01T00:00:00".len() && text.as_bytes().get(10) == Some(&b'T');
        let instant = text.parse::<Timestamp>().ok().or_else(utc).filter(|_| complete);
        let Some(instant) = instant else {
            return Err(value.refuse("is not a time: write it like 2026-01-01T00:00:00Z"));
        };
        let before_1970 = |_| value.refuse("is before 1970: no key was valid then");
        u64::try_from(instant.as_nanosecond()).map(Self).map_err(before_1970)
    }
}

/// The IPv4 address that an IPv6 address of the form `::ffff:a.b.c.d` stands for. Key derivation folds the two, so
/// that one host would otherwise have two entries.
fn unmapped(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    }
}

/// Units of durations, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
