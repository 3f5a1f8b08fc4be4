//! One value of a configuration file, and what can be made of it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use photongate_wire::Nanos;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::known::Known;
use super::long_list::LongList;
use super::path::FieldPath;
use super::report::{Report, Reported};
use super::section::Section;
use super::{Place, suggest};

/// A value with its place, so that whoever refuses it can say where it stands.
pub struct Value<'d> {
    report: &'d Report<'d>,
    place: Place,
    content: Content<'d>,
    concealed: bool,
    /// The field's place in the tree of all fields ever asked for.
    known_at: Known,
}

/// What a value is made of.
#[derive(Clone, Copy)]
pub(super) enum Content<'d> {
    /// A table that the file leaves out.
    Absent,
    /// A value of the tree, whose positions count from this offset of the text.
    Tree(&'d DeValue<'d>, usize),
    /// A list whose items are not in the tree.
    Long(&'d LongList<'d>),
}

/// What a configuration value can be read as.
pub trait FromValue: Sized {
    /// A value as an operator would write it, quotes included.
    const EXAMPLE: &'static str;

    /// Reads `value`.
    ///
    /// # Errors
    /// It is not such a value; the problem has been reported.
    fn from_value(value: &Value<'_>) -> Result<Self, Reported>;
}

/// A value that remembers where it stood, for checks that compare fields.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stood.
    pub place: Place,
}

impl<'d> Value<'d> {
    /// The value as text.
    ///
    /// # Errors
    /// It is not text.
    pub fn text(&self) -> Result<&'d str, Reported> {
        match self.tree() {
            Some(DeValue::String(text)) => Ok(text),
            _ => Err(self.not("text in quotes")),
        }
    }

    /// The value as a whole number within `range`; `unit` says of what, for the message.
    ///
    /// # Errors
    /// It is no whole number, or it is outside `range`.
    pub fn number<T>(&self, range: RangeInclusive<T>, unit: &str) -> Result<T, Reported>
    where
        T: TryFrom<i128> + Into<i128> + Copy,
    {
        let Some(DeValue::Integer(digits)) = self.tree() else { return Err(self.not("a whole number")) };
        let (least, most): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
        let in_range = |number: &i128| (least..=most).contains(number);
        let number = i128::from_str_radix(digits.as_str(), digits.radix());
        if let Some(number) = number.clone().ok().filter(in_range).and_then(|number| T::try_from(number).ok()) {
            return Ok(number);
        }
        let direction = if number.is_ok_and(|number| number < least) { "small" } else { "large" };
        let space = if unit.is_empty() { "" } else { " " };
        Err(self.refuse(format!("is too {direction}: {least} to {most}{space}{unit}")))
    }

    /// Whether the value is a number, whole or not.
    pub fn is_number(&self) -> bool {
        matches!(self.tree(), Some(DeValue::Integer(_) | DeValue::Float(_)))
    }

    /// Whether the value is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.tree(), Some(DeValue::Array(_)))
    }

    /// Whether the value is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.tree(), Some(DeValue::Table(_)))
    }

    /// The value as a number, whole or not, within `range`.
    ///
    /// # Errors
    /// It is no number, or it is outside `range`.
    pub fn decimal(&self, range: RangeInclusive<f64>) -> Result<f64, Reported> {
        let digits = match self.tree() {
            Some(DeValue::Float(float)) => float.as_str(),
            Some(DeValue::Integer(integer)) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(self.not("a number")),
        };
        match digits.parse::<f64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(self.refuse(format!("is out of range: {:e} to {:e}", range.start(), range.end()))),
        }
    }

    /// The value as `true` or `false`.
    ///
    /// # Errors
    /// It is neither.
    pub fn boolean(&self) -> Result<bool, Reported> {
        match self.tree() {
            Some(&DeValue::Boolean(boolean)) => Ok(boolean),
            _ => Err(self.not("true or false, without quotes")),
        }
    }

    /// The value as an instant, in the text of RFC 3339: TOML has a kind of its own for them, and text does too.
    ///
    /// # Errors
    /// It is neither text nor an instant.
    pub(super) fn instant(&self) -> Result<String, Reported> {
        match self.tree() {
            Some(DeValue::Datetime(datetime)) => Ok(datetime.to_string()),
            Some(DeValue::String(text)) => Ok(text.to_string()),
            _ => Err(self.not(r#"a time, like "2026-01-01T00:00:00Z""#)),
        }
    }

    /// The value as one of several words.
    ///
    /// # Errors
    /// It is not text, or another word.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Reported> {
        let text = self.text()?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*choice);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        Err(self.refuse(format!("is not a choice here: write {}", suggest::alternatives(&words))))
    }

    /// The value as a path; one that does not start at the root starts at the folder of the configuration file.
    ///
    /// # Errors
    /// It is not text, or empty.
    pub fn path(&self) -> Result<PathBuf, Reported> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(self.refuse("is no path: write the name of a file"));
        }
        Ok(self.report.file().parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text)))
    }

    /// The value as a duration within bounds.
    ///
    /// # Errors
    /// It is no duration, or out of the bounds.
    pub fn span(&self, least: Nanos, most: Nanos) -> Result<Duration, Reported> {
        let span = Nanos::from_value(self)?;
        if (least..=most).contains(&span) {
            return Ok(span.into());
        }
        Err(self.refuse(format!("is out of bounds: {least} to {most}")))
    }

    /// The value as a table, whose fields `read` asks for.
    ///
    /// # Errors
    /// It is no table, a field is unknown, or `read` gave up.
    pub fn section<T>(&self, read: impl FnOnce(&mut Section<'d>) -> Result<T, Reported>) -> Result<T, Reported> {
        let (table, base) = self.table()?;
        let mut section = Section::new(self.report, self.place.clone(), table, base, self.known_at);
        if self.concealed {
            section.conceal();
        }
        section.read(read)
    }

    /// The value as a list whose items `read` reads: every item, also after one was refused.
    ///
    /// # Errors
    /// It is no list, or an item was refused.
    pub fn items<T>(&self, read: impl FnMut(&Value<'_>) -> Result<T, Reported>) -> Result<Vec<T>, Reported> {
        let mut items = Items {
            report: self.report,
            path: Rc::new(self.place.field.clone()),
            known_at: self.report.knows_items(self.known_at),
            concealed: self.concealed,
            read,
            index: 0,
            taken: Vec::new(),
            outcome: Ok(()),
        };
        match self.content {
            Content::Tree(DeValue::Array(list), base) => items.read_all(list, base),
            Content::Long(list) => {
                for table in &list.tables {
                    match self.report.part(table.clone()) {
                        Ok(part) => {
                            if let Some(DeValue::Array(list)) = part.get(list.name).map(Spanned::get_ref) {
                                items.read_all(list, table.start);
                            }
                        }
                        Err(reported) => items.refuse(reported),
                    }
                }
            }
            _ => return Err(self.not_even("a list in brackets: [ … ]")),
        }
        items.outcome.map(|()| items.taken)
    }

    /// Where the value stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Reports that the value cannot be taken. The message starts with the value, unless it is secret, so `why` goes
    /// on like "is too small: …".
    pub fn refuse(&self, why: impl AsRef<str>) -> Reported {
        let shown = self.shown().unwrap_or_else(|| "this".to_owned());
        self.report.problem(&self.place, format!("{shown} {}", why.as_ref()))
    }

    /// Reports that the value cannot be taken, without showing it.
    pub fn refuse_secret(&self, message: impl Into<String>) -> Reported {
        self.report.problem(&self.place, message)
    }

    /// Reports something that works, yet is hardly meant so.
    pub fn warn(&self, message: impl Into<String>) {
        self.report.warning(&self.place, message);
    }

    pub(super) fn new(
        report: &'d Report<'d>,
        place: Place,
        content: Content<'d>,
        concealed: bool,
        known_at: Known,
    ) -> Self {
        Self { report, place, content, concealed, known_at }
    }

    /// A table that the file leaves out; `place` is where it would stand.
    pub(super) fn absent(report: &'d Report<'d>, place: Place, known_at: Known) -> Self {
        Self { report, place, content: Content::Absent, concealed: false, known_at }
    }

    fn tree(&self) -> Option<&'d DeValue<'d>> {
        match self.content {
            Content::Tree(value, _) => Some(value),
            Content::Absent | Content::Long(_) => None,
        }
    }

    /// The table, and the offset that positions in it count from.
    fn table(&self) -> Result<(Option<&'d DeTable<'d>>, usize), Reported> {
        match self.content {
            Content::Absent => Ok((None, 0)),
            Content::Tree(DeValue::Table(table), base) => Ok((Some(table), base)),
            Content::Tree(..) | Content::Long(_) => Err(self.not_even("a table of fields")),
        }
    }

    fn not(&self, expected: &str) -> Reported {
        self.refuse(format!("is {}: write {expected}", self.kind()))
    }

    /// As `not`, without the value: what stands in the place of a table or a list may be one of the secrets in it.
    fn not_even(&self, expected: &str) -> Reported {
        self.refuse_secret(format!("this is {}: write {expected}", self.kind()))
    }

    fn kind(&self) -> &'static str {
        match self.tree() {
            Some(DeValue::String(_)) => "text",
            Some(DeValue::Integer(_)) => "a whole number",
            Some(DeValue::Float(_)) => "a decimal number",
            Some(DeValue::Boolean(_)) => "a yes or no",
            Some(DeValue::Datetime(_)) => "a time",
            Some(DeValue::Array(_)) => "a list",
            None if matches!(self.content, Content::Long(_)) => "a list",
            Some(DeValue::Table(_)) | None => "a table",
        }
    }

    /// The value as the operator wrote it, if it is short and may be shown.
    fn shown(&self) -> Option<String> {
        match self.tree()? {
            _ if self.concealed => None,
            DeValue::String(text) if text.chars().count() <= LONGEST_SHOWN => Some(format!("{text:?}")),
            DeValue::Integer(integer) => Some(integer.to_string()),
            DeValue::Float(float) => Some(float.to_string()),
            DeValue::Boolean(boolean) => Some(boolean.to_string()),
            DeValue::Datetime(datetime) => Some(datetime.to_string()),
            DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }
}

/// The items of a list, while they are being read.
struct Items<'d, T, R> {
    report: &'d Report<'d>,
    path: Rc<FieldPath>,
    known_at: Known,
    concealed: bool,
    read: R,
    index: usize,
    taken: Vec<T>,
    outcome: Result<(), Reported>,
}

impl<T, R: FnMut(&Value<'_>) -> Result<T, Reported>> Items<'_, T, R> {
    fn read_all(&mut self, items: &DeArray<'_>, base: usize) {
        self.taken.reserve(items.len());
        for item in items {
            let place = Place { field: FieldPath::item(&self.path, self.index), offset: base + item.span().start };
            let content = Content::Tree(item.get_ref(), base);
            match (self.read)(&Value::new(self.report, place, content, self.concealed, self.known_at)) {
                Ok(item) => self.taken.push(item),
                Err(reported) => self.outcome = Err(reported),
            }
            self.index += 1;
        }
    }

    /// Leaves out an item that could not even be parsed.
    fn refuse(&mut self, reported: Reported) {
        self.outcome = Err(reported);
        self.index += 1;
    }
}

impl<T: FromValue> FromValue for Located<T> {
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        Ok(Self { value: T::from_value(value)?, place: value.place().clone() })
    }
}

/// Longer text would make a message unreadable; the place says which text is meant.
const LONGEST_SHOWN: usize = 60;
