//! Where the keys of both filters come from: a key server at each site, and a QKD link between them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::lab::{KeyServer, KeyServers, Patience};
use super::plan::Common;
use super::screen::Screen;

/// Makes certificates, starts the key servers, and waits until the link between them has given the first keys.
///
/// # Errors
/// They do not start, or no keys come.
pub(super) fn start(
    common: &Common,
    directory: &Path,
    commands: [Command; 2],
    patience: &Patience,
    screen: &Screen,
) -> Result<KeyServers> {
    common.with_key_servers(directory, |plan| {
        plan.prepare()?;
        screen.step("certificates for two key servers and two filters", "made");
        let servers = plan.start(commands, patience)?;
        screen.step("two key servers, and a simulated QKD link between them", &describe(&servers.0[0])?);
        Ok(servers)
    })
}

/// What the link has brought so far.
fn describe(server: &KeyServer) -> Result<String> {
    let links = server.get("/api/v1/links")?;
    let taken = links.pointer("/0/taken_in_bytes").and_then(Value::as_u64).context("a link has brought something")?;
    let qber = links.pointer("/0/sources/0/quality/qber").and_then(Value::as_f64).context("a QKD link has a QBER")?;
    Ok(format!("{taken} bytes of key, {:.1} % errors", qber * 100.0))
}
