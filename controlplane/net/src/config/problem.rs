//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::vec;

use super::path::FieldPath;

/// One mistake in a configuration. Prints like a compiler's message: `filter.toml:12:7: ports[0].mtu: 20 is too small`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the operator named it.
    pub file: PathBuf,
    /// Where in the file; `None` if the file as a whole is meant.
    pub position: Option<Position>,
    /// The field, like `ports[0].mtu`; empty if no single field is meant.
    pub field: String,
    /// The value (unless it is secret), what is wrong with it, and what to do.
    pub message: String,
}

/// A position in a text. Both numbers count from one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

/// Where a field stands, for checks that compare fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The field, like `ports[0].mtu`.
    pub(super) field: FieldPath,
    /// Byte offset in the file of the value, or of the section that lacks it.
    pub(super) offset: usize,
}

/// All mistakes of a configuration, in the order of the file. Prints one a line, the first hundred of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problem {
    /// A problem of the file as a whole, as when it cannot be read.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), position: None, field: String::new(), message: message.into() }
    }
}

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// All problems, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(MOST_SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// Nobody corrects more at a time, and a list of a hundred thousand peers may have as many mistakes.
const MOST_SHOWN: usize = 100;
