//! Questions to a running filter, over DPDK's telemetry socket.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::Value;

/// A connection to the telemetry socket of one filter.
#[derive(Debug)]
pub(super) struct Telemetry(OwnedFd);

impl Telemetry {
    /// Connects to the filter that keeps its sockets in `directory`.
    ///
    /// # Errors
    /// It is not running, or its telemetry is off.
    pub(super) fn connect(directory: &Path) -> Result<Self> {
        let path = directory.join("dpdk_telemetry.v2");
        let socket = socket::socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(TIMEOUT_SECONDS))?;
        socket::connect(socket.as_raw_fd(), &UnixAddr::new(&path)?).with_context(|| path.display().to_string())?;
        let connection = Self(socket);
        // DPDK introduces itself.
        connection.receive()?;
        Ok(connection)
    }

    /// What the filter answers to `question`, such as `/photongate/counters`.
    ///
    /// # Errors
    /// It has no answer, or not in time.
    pub(super) fn ask(&self, question: &str) -> Result<Value> {
        socket::send(self.0.as_raw_fd(), question.as_bytes(), MsgFlags::MSG_NOSIGNAL).context("telemetry")?;
        let mut answer = self.receive()?;
        let name = question.split(',').next().unwrap_or(question);
        let value = answer.get_mut(name).map(Value::take).filter(|value| !value.is_null());
        value.with_context(|| format!("the filter does not answer {question}"))
    }

    fn receive(&self) -> Result<Value> {
        let mut buffer = vec![0; LONGEST_ANSWER];
        let length = socket::recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("telemetry")?;
        serde_json::from_slice(&buffer[..length]).context("telemetry")
    }
}

const TIMEOUT_SECONDS: i64 = 5;

/// DPDK's own limit is 16 KiB.
const LONGEST_ANSWER: usize = 1 << 16;
