//! Numbers for Prometheus: collected in [`Families`] when somebody asks, and written in its text format.

mod families;
mod measures;
mod plain;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use families::{Families, Label};
pub use measures::{Counter, Latency};

/// The media type of [`text`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything in `registry`, in text format 0.0.4.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a string takes any text");
    plain::from_open_metrics(&text)
}
