//! One table of a configuration file, and the fields a reader asks it for.

use std::rc::Rc;

use toml::de::DeTable;

use super::known::Known;
use super::long_list::LongList;
use super::path::FieldPath;
use super::report::{Report, Reported};
use super::suggest::suggestion;
use super::value::{Content, FromValue, Value};
use super::{Place, Problems};

/// A table whose fields are being read. What is left unread when the reader is done is reported as unknown.
pub struct Section<'d> {
    report: &'d Report<'d>,
    /// The section itself: its name, and its header or opening brace.
    place: Place,
    /// The name again, for those of its fields to begin with.
    path: Rc<FieldPath>,
    /// `None` if the file leaves the section out.
    table: Option<&'d DeTable<'d>>,
    /// The offset in the text that positions in the table count from.
    base: usize,
    /// A list of tables that belongs to the section and is not in the table.
    long_list: Option<&'d LongList<'d>>,
    /// Whether values must not be shown, because one of them is a secret.
    concealed: bool,
    /// The fields that were asked for, and the section's place in the tree of all fields ever asked for.
    known: Vec<&'static str>,
    known_at: Known,
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
            None => Err(self.missing(name, example)),
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
        let (value, known_at) = self.look_up(name);
        value.unwrap_or_else(|| Value::absent(self.report, self.place_of(name), known_at)).section(read)
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
        mut read: impl FnMut(&mut Section<'_>) -> Result<T, Reported>,
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
        self.table.is_some_and(|table| table.contains_key(name)) || self.long_list(name).is_some()
    }

    /// Where the field stands, or the section that lacks it.
    pub fn place_of(&self, name: &str) -> Place {
        let value = self.table.and_then(|table| table.get(name)).map(|value| self.base + value.span().start);
        let offset = value.or(self.long_list(name).map(LongList::start)).unwrap_or(self.place.offset);
        Place { field: FieldPath::member(&self.path, name.to_owned()), offset }
    }

    /// Reports that the field called `name` is not there; `example` is a value for it, as TOML has it.
    pub fn missing(&self, name: &str, example: &str) -> Reported {
        self.refuse(name, format!("missing: add {}", self.report.assignment(name, example)))
    }

    /// Reports the problems of another file that this one names, beside its own.
    pub fn refuse_all(&self, problems: Problems) -> Reported {
        self.report.adopt(problems)
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
    pub(super) fn root(report: &'d Report<'d>, table: &'d DeTable<'d>, long_list: Option<&'d LongList<'d>>) -> Self {
        let place = Place { field: FieldPath::ROOT, offset: 0 };
        Self { long_list, ..Self::new(report, place, Some(table), 0, Known::ROOT) }
    }

    pub(super) fn new(
        report: &'d Report<'d>,
        place: Place,
        table: Option<&'d DeTable<'d>>,
        base: usize,
        known_at: Known,
    ) -> Self {
        let path = Rc::new(place.field.clone());
        let known = Vec::with_capacity(FIELDS);
        Self { report, place, path, table, base, long_list: None, concealed: false, known, known_at }
    }

    /// Has `read` ask for the fields, then reports those it did not ask for.
    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Reported>) -> Result<T, Reported> {
        let outcome = read(&mut self);
        let in_table = self.table.into_iter().flat_map(DeTable::keys);
        let in_table = in_table.map(|key| (&**key.get_ref(), self.base + key.span().start));
        let fields = in_table.chain(self.long_list.map(|list| (list.name, list.start())));
        let mut reported = Ok(());
        for (name, offset) in fields.filter(|(name, _)| !self.known.contains(name)) {
            let place = Place { field: FieldPath::member(&self.path, name.to_owned()), offset };
            let message = format!("unknown field: {}", suggestion(name, &self.known));
            reported = Err(self.report.problem(&place, message));
        }
        reported.and(outcome)
    }

    /// The field's value, if the file gives one. From now on the field is a known one.
    fn value(&mut self, name: &'static str) -> Option<Value<'d>> {
        self.look_up(name).0
    }

    fn look_up(&mut self, name: &'static str) -> (Option<Value<'d>>, Known) {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let known_at = self.report.knows(self.known_at, name);
        let in_table = self.table.and_then(|table| table.get(name));
        let in_table =
            in_table.map(|value| (Content::Tree(value.get_ref(), self.base), self.base + value.span().start));
        let content = in_table.or(self.long_list(name).map(|list| (Content::Long(list), list.start())));
        let value = content.map(|(content, offset)| {
            let place = Place { field: FieldPath::member(&self.path, name), offset };
            Value::new(self.report, place, content, self.concealed, known_at)
        });
        (value, known_at)
    }

    fn long_list(&self, name: &str) -> Option<&'d LongList<'d>> {
        self.long_list.filter(|list| list.name == name)
    }
}

/// Most sections have no more fields than this.
const FIELDS: usize = 8;
