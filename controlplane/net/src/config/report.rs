//! The problems found so far, while a file is being read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use toml::de::Error as SyntaxError;

use super::{Loaded, Place, Position, Problem, Problems};

/// Proof that a problem was reported. Only reporting one makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported(());

/// Collects what is found in one file.
pub(super) struct Report<'d> {
    file: &'d Path,
    text: &'d str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    fields: RefCell<BTreeSet<String>>,
}

impl Reported {
    /// For the one caller that has just seen syntax errors being reported.
    pub(super) fn earlier() -> Self {
        Self(())
    }
}

impl<'d> Report<'d> {
    pub(super) fn new(file: &'d Path, text: &'d str) -> Self {
        Self { file, text, problems: RefCell::default(), warnings: RefCell::default(), fields: RefCell::default() }
    }

    /// The file that is read: paths in it start from its folder.
    pub(super) fn file(&self) -> &'d Path {
        self.file
    }

    pub(super) fn problem(&self, place: &Place, message: impl Into<String>) -> Reported {
        self.problems.borrow_mut().push(self.at(place, message.into()));
        Reported(())
    }

    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.at(place, message.into()));
    }

    /// Remembers that a reader knows `field`; `ports[3].mtu` is remembered as `ports[].mtu`.
    pub(super) fn knows(&self, field: &str) {
        let mut in_index = false;
        let pattern = field.chars().filter(|&character| {
            in_index = in_index && character != ']';
            let keep = !in_index;
            in_index |= character == '[';
            keep
        });
        self.fields.borrow_mut().insert(pattern.collect());
    }

    /// Reports what the TOML parser could not read, and returns whether the rest is still worth reading: after a field
    /// that is given twice it is, after anything else fields may seem missing that are not.
    pub(super) fn syntax_errors(&self, errors: &[SyntaxError]) -> bool {
        let mut readable = true;
        let mut last_line = None;
        for error in errors {
            let span = error.span().unwrap_or_default();
            let line = self.position(span.start).line;
            let content = self.text.lines().nth(line - 1).unwrap_or_default().trim_start();
            let message = if error.message() == DUPLICATE_KEY {
                readable &= !content.starts_with('[');
                let key = self.text.get(span.clone()).unwrap_or_default();
                format!("`{key}` is given twice: keep one of them")
            } else {
                readable = false;
                format!("not TOML: {}", error.message())
            };
            // The parser stumbles over the rest of a line it could not read; only the first message helps.
            if last_line != Some(line) {
                self.problem(&Place { field: String::new(), offset: span.start }, message);
            }
            last_line = Some(line);
        }
        readable
    }

    /// The outcome: `config`, if nothing was reported.
    pub(super) fn conclude<T>(self, config: Result<T, Reported>) -> Result<Loaded<T>, Problems> {
        let problems = self.problems.into_inner();
        match config {
            Ok(config) if problems.is_empty() => {
                let mut warnings = self.warnings.into_inner();
                warnings.sort_by_key(|warning| warning.position);
                Ok(Loaded { config, warnings, fields: self.fields.into_inner() })
            }
            _ => Err(Problems::sorted(problems)),
        }
    }

    fn at(&self, place: &Place, message: String) -> Problem {
        let position = Some(self.position(place.offset));
        Problem { file: self.file.to_owned(), position, field: place.field.clone(), message }
    }

    fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Position { line, column: before[line_start..].chars().count() + 1 }
    }
}

/// How the TOML parser names a field that is given twice.
const DUPLICATE_KEY: &str = "duplicate key";
