//! The demo: two key servers, two filters, two hosts, one attacker, and a sum that comes out right.

mod attack;
pub(crate) mod frames;
mod host;
mod keys;
mod lab;
mod ledger;
mod plan;
mod replay;
mod screen;
mod stage;

use std::path::Path;

use anyhow::Result;
use photongate_net::Shutdown;

use lab::Patience;
use screen::Screen;

/// Plays the demo on standard output: in network namespaces, or in capture files where there can be none or
/// `without_namespaces` says so. Whether everything added up.
///
/// # Errors
/// Something does not work as it should, or the process was asked to stop. Nothing is left behind either way.
pub(crate) fn play(program: &Path, without_namespaces: bool, shutdown: Shutdown) -> Result<bool> {
    let (patience, screen) = (Patience::new(shutdown), Screen::new());
    screen.line(PICTURE);
    screen.line("");
    let asked = || without_namespaces.then(|| "you asked for it".to_owned());
    match asked().or_else(lab::missing) {
        None => stage::play(program, &patience, &screen),
        Some(why) => {
            screen
                .line(&format!("Without network namespaces, because {why}: the filters read and write capture files"));
            screen.line("instead, real ones of DPDK's all the same. There are no hosts, so no ping and no TCP.");
            screen.line("");
            replay::play(program, &patience, &screen)
        }
    }
}

const PICTURE: &str = "
              key server A ─ · ─ · ─ simulated QKD link ─ · ─ · ─ key server B
                   │                                                   │
                   │                    attacker                       │
                   │                        │                          │
   host A ──── filter A ════════════════ internet ════════════════ filter B ──── host B
   10.248.1.1   AS 1-ff00:0:111                      AS 20-ff00:0:112   10.248.2.1

   ──── plain packets        ════ the same packets with a proof of origin
";
