//! JSON, turned into the tree that TOML is read as: what asks for fields sees no difference.

use std::borrow::Cow;
use std::ops::Range;

use jsonc_parser::ast::{Array, Object, ObjectPropName, Value as Json};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::report::{Report, Reported};

/// Reads the text of `report`. What cannot be read is reported; a field that is given twice, or is `null`, does not keep the rest
/// from being read.
pub(super) fn parse<'d>(report: &Report<'d>) -> Result<DeTable<'d>, Reported> {
    let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let document = parse_to_ast(report.text(), &collect, &STRICT).map_err(|error| {
        let why = error.kind().to_string();
        report.syntax_error(error.range().start, format!("not JSON: {}", lower_first(&why)))
    })?;
    match document.value {
        Some(Json::Object(object)) => table(object, report, 0),
        other => {
            let offset = other.map_or(0, |value| value.start());
            Err(report.syntax_error(offset, "not a configuration: write an object in braces: { … }"))
        }
    }
}

/// A value as it is written in TOML, written in JSON.
pub(super) fn example(toml: &str) -> String {
    DeValue::parse(toml).map_or_else(|_| toml.to_owned(), |value| to_json(value.get_ref()))
}

fn table<'d>(object: Object<'d>, report: &Report<'d>, depth: usize) -> Result<DeTable<'d>, Reported> {
    let mut table = DeTable::new();
    for property in object.properties {
        let span = span(property.name.range());
        let key = match property.name {
            ObjectPropName::String(name) => name.value,
            ObjectPropName::Word(name) => name.value.into(),
        };
        if let Json::NullKeyword(null) = &property.value {
            report.syntax_error(null.range.start, format!("`{key}` is null: leave it out instead"));
            continue;
        }
        if table.contains_key(&*key) {
            report.given_twice(span.start, &key);
            continue;
        }
        let value = value(property.value, report, depth)?;
        table.insert(Spanned::new(span, key), value);
    }
    Ok(table)
}

fn array<'d>(array: Array<'d>, report: &Report<'d>, depth: usize) -> Result<DeArray<'d>, Reported> {
    let mut items = DeArray::new();
    for element in array.elements {
        items.push(value(element, report, depth)?);
    }
    Ok(items)
}

fn value<'d>(value: Json<'d>, report: &Report<'d>, depth: usize) -> Result<Spanned<DeValue<'d>>, Reported> {
    let span = span(value.range());
    if depth == DEEPEST {
        return Err(report.syntax_error(span.start, "nested too deep: no field lies there"));
    }
    let value = match value {
        Json::StringLit(text) => DeValue::String(text.value),
        // Every number of JSON is one of TOML, which can be made no other way than by reading it.
        Json::NumberLit(number) => match DeValue::parse(number.value) {
            Ok(number) => number.into_inner(),
            Err(_) => return Err(report.syntax_error(span.start, "not JSON: this is no number")),
        },
        Json::BooleanLit(boolean) => DeValue::Boolean(boolean.value),
        Json::Object(object) => DeValue::Table(table(object, report, depth + 1)?),
        Json::Array(list) => DeValue::Array(array(list, report, depth + 1)?),
        Json::NullKeyword(_) => return Err(report.syntax_error(span.start, "a list has no place for null: remove it")),
    };
    Ok(Spanned::new(span, value))
}

fn to_json(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Datetime(datetime) => format!("\"{datetime}\""),
        DeValue::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| to_json(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let field = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                format!("{:?}: {}", name.get_ref(), to_json(value.get_ref()))
            };
            format!("{{ {} }}", table.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

fn span(range: jsonc_parser::common::Range) -> Range<usize> {
    range.start..range.end
}

/// The parser's messages begin with a capital; ours go on after a colon.
fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

/// Far more than any configuration has, far less than the stack can bear.
const DEEPEST: usize = 32;

/// JSON as in RFC 8259, and nothing else.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

#[cfg(test)]
mod tests;
