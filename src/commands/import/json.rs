//! JSON objects read field by field: every mistake is collected, and every field that nobody asked for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

/// What was found while reading.
#[derive(Default)]
pub(super) struct Findings {
    /// What makes the file unusable.
    problems: RefCell<Vec<String>>,
    /// What was left out or means something else.
    notes: RefCell<Vec<String>>,
}

/// Proof that a problem was reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// An object, and which of its fields were asked for.
pub(super) struct Object<'j> {
    findings: &'j Findings,
    path: String,
    fields: &'j Map<String, Value>,
    known: RefCell<BTreeSet<&'static str>>,
}

/// A value and where it stands.
pub(super) struct Field<'j> {
    findings: &'j Findings,
    path: String,
    value: &'j Value,
}

impl Findings {
    /// Problems, or else notes.
    pub(super) fn conclude<T>(self, outcome: Result<T, Reported>) -> Result<(T, Vec<String>), Vec<String>> {
        match (outcome, self.problems.into_inner()) {
            (Ok(value), problems) if problems.is_empty() => Ok((value, self.notes.into_inner())),
            (_, problems) => Err(problems),
        }
    }

    /// The whole file.
    pub(super) fn root<'j>(&'j self, value: &'j Value) -> Field<'j> {
        Field { findings: self, path: String::new(), value }
    }
}

impl<'j> Object<'j> {
    /// The field called `name`, if it is there.
    pub(super) fn field(&self, name: &'static str) -> Option<Field<'j>> {
        self.known.borrow_mut().insert(name);
        let value = self.fields.get(name)?;
        Some(Field { findings: self.findings, path: self.path_of(name), value })
    }

    /// Reads the field called `name`, if it is there.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Field<'j>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.field(name).map(|field| read(&field)).transpose()
    }

    /// Reads the field called `name`, which must be there.
    pub(super) fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Field<'j>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        match self.field(name) {
            Some(field) => read(&field),
            None => Err(self.findings.problem(&self.path_of(name), "missing")),
        }
    }

    /// Notes something about the field called `name`.
    pub(super) fn note(&self, name: &str, message: impl Display) {
        self.findings.note(&self.path_of(name), message);
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl<'j> Field<'j> {
    /// Has `read` ask an object for its fields, then notes those it did not ask for.
    pub(super) fn object<T>(&self, read: impl FnOnce(&Object<'j>) -> Result<T, Reported>) -> Result<T, Reported> {
        let Value::Object(fields) = self.value else { return Err(self.refuse("must be an object: { … }")) };
        let known = RefCell::default();
        let object = Object { findings: self.findings, path: self.path.clone(), fields, known };
        let outcome = read(&object);
        for name in fields.keys().filter(|name| !object.known.borrow().contains(name.as_str())) {
            object.note(name, "unknown to LightningFilter too: left out");
        }
        outcome
    }

    /// Reads every item of a list.
    pub(super) fn items<T>(&self, read: impl Fn(&Field<'j>) -> Result<T, Reported>) -> Result<Vec<T>, Reported> {
        let Value::Array(items) = self.value else { return Err(self.refuse("must be a list: [ … ]")) };
        let item =
            |(index, value)| read(&Field { findings: self.findings, path: format!("{}[{index}]", self.path), value });
        let items: Vec<_> = items.iter().enumerate().map(item).collect();
        items.into_iter().collect()
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&'j str, Reported> {
        self.value.as_str().ok_or_else(|| self.refuse("must be text"))
    }

    /// The value as text that reads as a `T`, of which `example` is one.
    pub(super) fn parsed<T: FromStr>(&self, example: &str) -> Result<T, Reported> {
        // The text is not shown: it may be a secret, in the wrong field.
        self.text()?.parse().map_err(|_| self.refuse(format!("must be like {example}")))
    }

    /// The value as a whole number from 0 to `most`.
    pub(super) fn number(&self, most: u64) -> Result<u64, Reported> {
        let number = self.value.as_u64().filter(|number| *number <= most);
        number.ok_or_else(|| self.refuse(format!("must be a whole number from 0 to {most}")))
    }

    /// Reports that the value cannot be taken.
    pub(super) fn refuse(&self, message: impl Display) -> Reported {
        self.findings.problem(&self.path, message)
    }

    /// Notes something about the value.
    pub(super) fn note(&self, message: impl Display) {
        self.findings.note(&self.path, message);
    }
}

impl Findings {
    fn problem(&self, path: &str, message: impl Display) -> Reported {
        self.problems.borrow_mut().push(about(path, message));
        Reported(())
    }

    fn note(&self, path: &str, message: impl Display) {
        self.notes.borrow_mut().push(about(path, message));
    }
}

fn about(path: &str, message: impl Display) -> String {
    if path.is_empty() { message.to_string() } else { format!("{path}: {message}") }
}
