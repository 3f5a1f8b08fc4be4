//! Why a command ends without success, and with which exit status.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// What ends a command early. Printed on standard error, for a person to read.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// What was given cannot be used: arguments, a configuration, or the machine itself. Exit status 2.
    pub(crate) fn bad_input(message: impl Display) -> Self {
        Self { status: 2, message: message.to_string() }
    }

    /// The command ran, and failed or found something. Exit status 1.
    pub(crate) fn at_run_time(message: impl Display) -> Self {
        Self { status: 1, message: message.to_string() }
    }

    /// As [`at_run_time`](Self::at_run_time), with an exit status of its own, which the command's help explains.
    pub(crate) fn with_status(status: u8, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }

    /// Prints the message, if there is one, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        remark(&self.message);
        ExitCode::from(self.status)
    }
}

/// Tells the operator something beside the result, on standard error; nothing if it is empty.
pub(crate) fn remark(message: &str) {
    if !message.is_empty() {
        // Not `eprintln!`, which panics when nobody reads standard error any more.
        let _ = writeln!(io::stderr(), "{message}");
    }
}
