//! The problems found so far, while a file is being read.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, Error as SyntaxError};

use super::known::{Known, KnownFields};
use super::path::FieldPath;
use super::{Format, Loaded, Place, Position, Problem, Problems, json};

/// Proof that a problem was reported. Only reporting one makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported(());

/// Collects what is found in one file.
pub(super) struct Report<'d> {
    file: &'d Path,
    text: &'d str,
    format: Format,
    problems: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
    /// Problems of other files, which this one names.
    elsewhere: RefCell<Vec<Problem>>,
    known: RefCell<KnownFields>,
    /// Where lines begin, once somebody has asked.
    line_starts: OnceCell<Vec<usize>>,
}

/// A problem whose line is not known yet: lines are counted once, when all problems have been found.
struct Finding {
    offset: usize,
    field: String,
    message: String,
}

impl<'d> Report<'d> {
    pub(super) fn new(file: &'d Path, text: &'d str, format: Format) -> Self {
        Self {
            file,
            text,
            format,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            elsewhere: RefCell::default(),
            known: RefCell::default(),
            line_starts: OnceCell::new(),
        }
    }

    /// The file that is read: paths in it start from its folder.
    pub(super) fn file(&self) -> &'d Path {
        self.file
    }

    pub(super) fn text(&self) -> &'d str {
        self.text
    }

    /// A field with a value, in the way of the file's format; `example` is the value in TOML.
    pub(super) fn assignment(&self, name: &str, example: &str) -> String {
        match self.format {
            Format::Toml => format!("{name} = {example}"),
            Format::Json => format!("{name:?}: {}", json::example(example)),
        }
    }

    pub(super) fn problem(&self, place: &Place, message: impl Into<String>) -> Reported {
        self.problems.borrow_mut().push(Finding::new(place, message.into()));
        Reported(())
    }

    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Finding::new(place, message.into()));
    }

    /// Takes over what was found in another file.
    pub(super) fn adopt(&self, problems: Problems) -> Reported {
        self.elsewhere.borrow_mut().extend(problems);
        Reported(())
    }

    /// Remembers that a reader knows the field `name` of the section at `parent`.
    pub(super) fn knows(&self, parent: Known, name: &'static str) -> Known {
        self.known.borrow_mut().member(parent, name)
    }

    /// The place in the tree of known fields of a list's items.
    pub(super) fn knows_items(&self, list: Known) -> Known {
        self.known.borrow_mut().items(list)
    }

    /// Reports that the text at `offset` cannot be read.
    pub(super) fn syntax_error(&self, offset: usize, message: impl Into<String>) -> Reported {
        self.problem(&Place { field: FieldPath::ROOT, offset }, message)
    }

    /// Reports that the field `key`, which stands at `offset`, stands there for the second time.
    pub(super) fn given_twice(&self, offset: usize, key: &str) -> Reported {
        self.syntax_error(offset, format!("`{key}` is given twice: keep one of them"))
    }

    /// Parses a part of the text by itself, as TOML. Positions in the tree count from the part's beginning.
    pub(super) fn part(&self, range: Range<usize>) -> Result<DeTable<'d>, Reported> {
        let (part, base) = (&self.text[range.clone()], range.start);
        if part.len() > LONGEST_RECOVERABLE {
            return DeTable::parse(part).map(Spanned::into_inner).map_err(|error| {
                self.syntax_errors(&[error], base);
                Reported(())
            });
        }
        let (table, errors) = DeTable::parse_recoverable(part);
        if self.syntax_errors(&errors, base) { Ok(table.into_inner()) } else { Err(Reported(())) }
    }

    /// Reports what the TOML parser could not read, and returns whether the rest is still worth reading: after a field
    /// that is given twice it is, after anything else fields may seem missing that are not. Positions count from `base`.
    fn syntax_errors(&self, errors: &[SyntaxError], base: usize) -> bool {
        let mut readable = true;
        let mut last_line = None;
        for error in errors {
            let span = error.span().unwrap_or_default();
            let span = base + span.start..base + span.end;
            let starts = self.line_starts.get_or_init(|| line_starts(self.text));
            let line_start = starts[starts.partition_point(|start| *start <= span.start).max(1) - 1];
            let is_duplicate = error.message() == DUPLICATE_KEY;
            if is_duplicate {
                readable &= !self.text[line_start..].trim_start_matches([' ', '\t']).starts_with('[');
            } else {
                readable = false;
            }
            // The parser stumbles over the rest of a line it could not read; only the first message helps.
            if last_line != Some(line_start) {
                if is_duplicate {
                    self.given_twice(span.start, self.text.get(span.clone()).unwrap_or_default());
                } else {
                    self.syntax_error(span.start, format!("not TOML: {}", error.message()));
                }
            }
            last_line = Some(line_start);
        }
        readable
    }

    /// The outcome: `config`, if nothing was reported.
    pub(super) fn conclude<T>(self, config: Result<T, Reported>) -> Result<Loaded<T>, Problems> {
        let place = |findings: RefCell<Vec<Finding>>| placed(findings.into_inner(), self.file, self.text);
        let mut problems = place(self.problems);
        problems.append(&mut self.elsewhere.into_inner());
        match config {
            Ok(config) if problems.is_empty() => {
                Ok(Loaded { config, warnings: place(self.warnings), fields: self.known.into_inner().names() })
            }
            _ => Err(Problems::new(problems)),
        }
    }
}

impl Finding {
    fn new(place: &Place, message: String) -> Self {
        Self { offset: place.offset, field: place.field.to_string(), message }
    }
}

/// The findings in the order of the text. One walk through the text serves them all, however many there are and however long
/// its lines.
fn placed(mut findings: Vec<Finding>, file: &Path, text: &str) -> Vec<Problem> {
    findings.sort_by_key(|finding| finding.offset);
    let mut position = Position { line: 1, column: 1 };
    let mut walked = 0;
    let problem = |Finding { offset, field, message }: Finding| {
        let offset = offset.min(text.len());
        for byte in &text.as_bytes()[walked..offset] {
            if *byte == b'\n' {
                position = Position { line: position.line + 1, column: 1 };
            } else if !is_continuation(*byte) {
                position.column += 1;
            }
        }
        walked = offset;
        Problem { file: file.to_owned(), position: Some(position), field, message }
    };
    findings.into_iter().map(problem).collect()
}

/// Whether `byte` goes on with a character of UTF-8 that has begun before.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Offsets at which lines begin. At least one.
fn line_starts(text: &str) -> Vec<usize> {
    [0].into_iter().chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect()
}

/// How the TOML parser names a field that is given twice.
const DUPLICATE_KEY: &str = "duplicate key";

/// Of what is longer only the first syntax error is reported: every two bytes may be one, and each takes a hundred bytes of memory.
const LONGEST_RECOVERABLE: usize = 1 << 20;
