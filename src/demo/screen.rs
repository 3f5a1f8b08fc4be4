//! Standard output, in colour if it is a terminal.

use std::env;
use std::io::{self, IsTerminal, Write};

/// Where the demo tells its story.
#[derive(Debug)]
pub(crate) struct Screen {
    colour: bool,
}

impl Screen {
    /// Standard output. Colour on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn new() -> Self {
        Self { colour: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// Prints a line. That nobody reads it any more is no reason to leave the network standing, so errors are let pass.
    pub(crate) fn line(&self, text: &str) {
        let mut output = io::stdout().lock();
        let _ = writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush());
    }

    /// Prints what happens now, and what it led to: one line of the story.
    pub(crate) fn step(&self, what: &str, outcome: &str) {
        let dots = ".".repeat(STEP_WIDTH.saturating_sub(what.chars().count()));
        self.line(&format!("  {what} {} {outcome}", self.dim(&dots)));
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.paint("31", text)
    }

    /// A number of the table.
    pub(crate) fn green_unless_zero(&self, number: u64) -> String {
        let text = format!("{number:>7}");
        if number == 0 { text } else { self.green(&text) }
    }

    /// A number of the table.
    pub(crate) fn red_unless_zero(&self, number: u64) -> String {
        let text = format!("{number:>7}");
        if number == 0 { text } else { self.red(&text) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const STEP_WIDTH: usize = 62;
