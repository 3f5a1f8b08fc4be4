//! A long list of tables, read table by table.
//!
//! The tree of a whole text takes fifteen times its length. For a list of a hundred thousand peers that would be some hundred
//! megabytes, and memory that was used once is rarely given back. So where a long text ends in a list of tables, each table is parsed
//! by itself when its turn comes.

use std::ops::Range;

/// The tables that a text ends in: all that follows the first `[[name]]`.
pub(super) struct LongList<'d> {
    /// What the list is called.
    pub(super) name: &'d str,
    /// Where each table is in the text, with its header.
    pub(super) tables: Vec<Range<usize>>,
}

impl<'d> LongList<'d> {
    /// The list at the end of `text`, if it is sure where its tables begin. What is before it is TOML of its own.
    pub(super) fn at_end_of(text: &'d str) -> Option<Self> {
        // In text of several lines anything may look like a header.
        if text.len() < LONG || text.contains("\"\"\"") || text.contains("'''") {
            return None;
        }
        let name = headers(text).filter_map(|(_, line)| list_name(line)).last()?;
        let mut starts = Vec::new();
        for (offset, line) in headers(text) {
            match list_name(line) {
                Some(other) if other == name => starts.push(offset),
                _ if starts.is_empty() || is_part_of(line, name) => (),
                // Another section after the list; or a list within a list, of which nobody knows where it ends.
                _ => return None,
            }
        }
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        Some(Self { name, tables: starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect() })
    }

    /// Where the list begins.
    pub(super) fn start(&self) -> usize {
        self.tables.first().map_or(0, |first| first.start)
    }
}

/// Lines that begin like a header, without what is before them, and where they begin.
fn headers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let content = line.trim_start_matches([' ', '\t']);
        let offset = next + line.len() - content.len();
        next += line.len();
        content.starts_with('[').then_some((offset, content))
    })
}

/// The name in `[[name]]`, if it needs no quotes.
fn list_name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("[[")?.split_once("]]")?;
    let rest = rest.trim();
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_bare && (rest.is_empty() || rest.starts_with('#'))).then_some(name)
}

/// Whether a header opens a table within the list's last table: `[name.other]`.
fn is_part_of(line: &str, name: &str) -> bool {
    line.trim_start_matches('[').strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

/// A shorter text is read at once.
const LONG: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_at_the_end_of_a_long_text_is_cut_into_its_tables() {
        let text = long("[a]\nx = 1\n", "[[b]] # first\nx = 1\n  [[b]]\n[b.c]\nx = 2\n", "");
        let list = LongList::at_end_of(&text).unwrap();
        assert_eq!((list.name, list.tables.len(), list.start()), ("b", 2, 10));
        assert!(text[list.tables[1].clone()].starts_with("[[b]]\n[b.c]\nx = 2\n"));
        assert_eq!(list.tables[1].end, text.len());
    }

    #[test]
    fn where_tables_begin_must_be_sure() {
        for (before, list, after) in [
            ("", "x = 1\n", ""),
            ("", "[[b]]\nx = \"\"\"\n[[b]]\n\"\"\"\n", ""),
            ("", "[[b]]\n", "[a]\n"),
            ("", "[[b]]\n", "[[a]]\n[b.c]\n"),
            ("", "[[b]]\nx = [\n[1],\n]\n", ""),
            ("", "[[b]]\n[[ b ]]\n", ""),
        ] {
            assert!(LongList::at_end_of(&long(before, list, after)).is_none(), "{before}{list}{after}");
        }
        assert!(LongList::at_end_of("[[b]]\n").is_none(), "short texts are read at once");
    }

    fn long(before: &str, list: &str, after: &str) -> String {
        format!("{before}{list}{}{after}", "# comment\n".repeat(LONG / 10))
    }
}
