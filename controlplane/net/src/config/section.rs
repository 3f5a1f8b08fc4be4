//! One table of a configuration file, and the fields a reader asks it for.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::report::{Report, Reported};
use super::suggest::suggestion;
use super::value::{FromValue, Value};
use super::{Place, value};

/// A table whose fields are being read. What is left unread when the reader is done is reported as unknown.
pub struct Section<'d> {
    report: &'d Report<'d>,
    /// The section itself: its name, and its header or opening brace.
    place: Place,
    /// `None` if the file leaves the section out.
    table: Option<&'d DeTable<'d>>,
    /// Whether values must not be shown, because one of them is a secret.
    concealed: bool,
    known: BTreeSet<&'static str>,
}

impl<'d> Section<'d> {
    /// Reads a field that must be there.
    ///
    /// # Errors
    /// It is missing, or its value was refused.
    pub fn required<T: FromValue>(&mut self, name: &'static str) -> Result<T, Reported> {
        self.required_with(name, T::EXAMPLE, T::from_value)
    }

    /// Reads a field that must be there with `read`; `example` is a value for the message that asks to add it.
    ///
    /// # Errors
    /// As [`required`](Self::required).
    pub fn required_with<T>(
        &mut self,
        name: &'static str,
        example: &str,
        read: impl FnOnce(&Value<'d>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        match self.value(name) {
            Some(value) => read(&value),
            None => Err(self.refuse(name, format!("missing: add {name} = {example}"))),
        }
    }

    /// Reads a field that may be absent.
    ///
    /// # Errors
    /// Its value was refused.
    pub fn optional<T: FromValue>(&mut self, name: &'static str) -> Result<Option<T>, Reported> {
        self.optional_with(name, T::from_value)
    }

    /// Reads a field that may be absent with `read`.
    ///
    /// # Errors
    /// As [`optional`](Self::optional).
    pub fn optional_with<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'d>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.value(name).map(|value| read(&value)).transpose()
    }

    /// Reads a field that is `default` when absent.
    ///
    /// # Errors
    /// Its value was refused.
    pub fn or<T: FromValue>(&mut self, name: &'static str, default: T) -> Result<T, Reported> {
        self.or_with(name, default, T::from_value)
    }

    /// Reads a field that is `default` when absent with `read`.
    ///
    /// # Errors
    /// As [`or`](Self::or).
    pub fn or_with<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&Value<'d>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        Ok(self.optional_with(name, read)?.unwrap_or(default))
    }

    /// Reads a list that is empty when absent. Every item is read, also after one was refused.
    ///
    /// # Errors
    /// It is no list, or an item was refused.
    pub fn list<T: FromValue>(&mut self, name: &'static str) -> Result<Vec<T>, Reported> {
        self.or_with(name, Vec::new(), |list| list.items(T::from_value))
    }

    /// Reads a table with `read`. One that is absent is read as if it were there without a field, so that the defaults
    /// of its fields stand in one place.
    ///
    /// # Errors
    /// It is no table, a field of it is unknown, or `read` gave up.
    pub fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'d>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        self.value(name).unwrap_or_else(|| Value::absent(self.report, self.place_of(name))).section(read)
    }

    /// Reads a table with `read`, unless it is absent.
    ///
    /// # Errors
    /// As [`section`](Self::section).
    pub fn optional_section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'d>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.optional_with(name, |value| value.section(read))
    }

    /// Reads a list of tables, which may be absent, with `read`. Every table is read, also after one was refused.
    ///
    /// # Errors
    /// It is no list of tables, or a table was refused.
    pub fn sections<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'d>) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        self.or_with(name, Vec::new(), |list| list.items(|item| item.section(&mut read)))
    }

    /// From now on no message shows a value of this section: for a section with a secret in it, as a secret may
    /// have been written into the wrong field.
    pub fn conceal(&mut self) {
        self.concealed = true;
    }

    /// Whether the file gives the field.
    pub fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Where the field stands, or the section that lacks it.
    pub fn place_of(&self, name: &str) -> Place {
        let value = self.table.and_then(|table| table.get(name));
        let offset = value.map_or(self.place.offset, |value| value.span().start);
        Place { field: value::member(&self.place.field, name), offset }
    }

    /// Reports a problem of the field called `name`.
    pub fn refuse(&self, name: &str, message: impl Into<String>) -> Reported {
        self.report.problem(&self.place_of(name), message)
    }

    /// Where the section stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Reports a problem of a field, or a section, anywhere in the file.
    pub fn refuse_at(&self, place: &Place, message: impl Into<String>) -> Reported {
        self.report.problem(place, message)
    }

    /// Reports that the field called `name` works, yet is hardly meant so.
    pub fn warn(&self, name: &str, message: impl Into<String>) {
        self.report.warning(&self.place_of(name), message);
    }

    /// As [`warn`](Self::warn), for a field anywhere in the file.
    pub fn warn_at(&self, place: &Place, message: impl Into<String>) {
        self.report.warning(place, message);
    }

    /// The whole file as one section.
    pub(super) fn root(report: &'d Report<'d>, table: &'d DeTable<'d>) -> Self {
        Self::new(report, Place { field: String::new(), offset: 0 }, Some(table), false)
    }

    pub(super) fn new(report: &'d Report<'d>, place: Place, table: Option<&'d DeTable<'d>>, concealed: bool) -> Self {
        Self { report, place, table, concealed, known: BTreeSet::new() }
    }

    /// Has `read` ask for the fields, then reports those it did not ask for.
    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Reported>) -> Result<T, Reported> {
        let outcome = read(&mut self);
        let unknown =
            self.table.into_iter().flat_map(DeTable::keys).filter(|key| !self.known.contains::<str>(key.get_ref()));
        let mut reported = Ok(());
        for key in unknown {
            let place = Place { field: value::member(&self.place.field, key.get_ref()), offset: key.span().start };
            let message = format!("unknown field: {}", suggestion(key.get_ref(), &self.known));
            reported = Err(self.report.problem(&place, message));
        }
        reported.and(outcome)
    }

    /// The field's value, if the file gives one. From now on the field is a known one.
    fn value(&mut self, name: &'static str) -> Option<Value<'d>> {
        self.known.insert(name);
        self.report.knows(&value::member(&self.place.field, name));
        let value = self.table?.get(name)?;
        Some(Value::new(self.report, self.place_of(name), value.get_ref(), self.concealed))
    }
}
