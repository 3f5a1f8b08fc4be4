//! What is told of a run that somebody wants to see.

use super::World;
use crate::node::{Input, Output, PeerMessage};

impl World {
    pub(in crate::simulation) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            say(self.now, &what());
        }
    }
}

pub(super) fn say(now: u64, what: &str) {
    if !what.is_empty() {
        eprintln!("{now:>9} {what}");
    }
}

/// Heartbeats and ticks would fill the trace.
pub(super) fn is_idle(input: &Input) -> bool {
    match input {
        Input::Tick => true,
        Input::Message { message, .. } => is_heartbeat(message),
        _ => false,
    }
}

pub(super) fn is_idle_output(output: &Output) -> bool {
    matches!(output, Output::Send { message, .. } if is_heartbeat(message)) || matches!(output, Output::Changed(_))
}

fn is_heartbeat(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Paxos(envelope) if matches!(envelope.message, omnipaxos::messages::Message::BLE(_)))
}
