//! Standard output, for commands that print a result.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Prints `text` as it stands. That nobody reads it any more, as under `| head`, is not an error.
///
/// # Errors
/// It cannot be written, as when the disk behind it is full.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::at_run_time(format!("photongate: standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}
