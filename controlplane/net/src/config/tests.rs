mod kinds;
mod secrets;

use std::net::IpAddr;

use ipnet::IpNet;
use photongate_wire::{IsdAs, MacAddress, Nanos, UnixNanos};

use super::*;

#[test]
fn a_file_without_mistakes_gives_its_values() {
    let text = r#"
        name = "east"
        count = 0x10
        share = 1e-6
        ready = true
        wait = "250ms"
        isd_as = "1-ff00:0:110"
        ether = "02:00:00:00:00:0a"
        address = "2001:db8::1"
        prefix = "192.0.2.0/24"
        since = 2026-01-01T01:00:00+01:00
    "#;
    let loaded = read_text(FILE.as_ref(), text, |root| {
        assert_eq!(root.required::<String>("name")?, "east");
        assert_eq!(root.required::<u8>("count")?, 16);
        assert_eq!(root.required_with("share", "0.1", |share| share.decimal(0.0..=1.0))?, 1e-6);
        assert!(root.required::<bool>("ready")?);
        assert_eq!(root.required::<Nanos>("wait")?, Nanos::from_millis(250));
        assert_eq!(root.required::<IsdAs>("isd_as")?.to_string(), "1-ff00:0:110");
        assert_eq!(root.required::<MacAddress>("ether")?, MacAddress([2, 0, 0, 0, 0, 10]));
        assert_eq!(root.required::<IpAddr>("address")?.to_string(), "2001:db8::1");
        assert_eq!(root.required::<IpNet>("prefix")?.to_string(), "192.0.2.0/24");
        assert_eq!(root.required::<UnixNanos>("since")?, UnixNanos(1_767_225_600_000_000_000));
        Ok(())
    });
    assert!(loaded.unwrap().warnings.is_empty());
}

#[test]
fn what_is_left_out_takes_its_default() {
    let loaded = read_text(FILE.as_ref(), "", |root| {
        Ok((root.or("count", 7_u8)?, root.optional::<String>("name")?, root.list::<String>("names")?))
    });
    assert_eq!(loaded.unwrap().config, (7, None, vec![]));
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_file() {
    let text = "count = 300\nname = 5\n[extra]\n";
    let problems = problems(text, |root| {
        let (name, count, missing) =
            (root.required::<String>("name"), root.or("count", 1_u8), root.required::<bool>("ready"));
        Ok((name?, count?, missing?))
    });
    assert_eq!(
        problems,
        [
            "f.toml:1:1: ready: missing: add ready = true",
            "f.toml:1:9: count: 300 is too large: 0 to 255",
            "f.toml:2:8: name: 5 is a whole number: write text in quotes",
            "f.toml:3:2: extra: unknown field: the fields here are count, name, ready",
        ]
    );
}

#[test]
fn a_misspelt_field_is_recognised() {
    let problems = problems("prots = []\n", |root| root.list::<String>("ports"));
    assert_eq!(problems, ["f.toml:1:1: prots: unknown field: did you mean `ports`?"]);
}

#[test]
fn columns_count_characters_not_bytes() {
    let problems = problems("a = { \"ä\" = 1, count = \"é\" }", |root| root.section("a", strict));
    assert_eq!(
        problems,
        [
            "f.toml:1:7: a.ä: unknown field: the fields here are count",
            "f.toml:1:24: a.count: \"é\" is text: write a whole number",
        ]
    );
}

#[test]
fn a_field_given_twice_does_not_hide_other_mistakes() {
    let problems = problems("count = 1\ncount = 2\nname = 3\n", |root| {
        let (count, name) = (root.required::<u8>("count"), root.required::<String>("name"));
        Ok((count?, name?))
    });
    assert_eq!(
        problems,
        [
            "f.toml:2:1: `count` is given twice: keep one of them",
            "f.toml:3:8: name: 3 is a whole number: write text in quotes",
        ]
    );
}

#[test]
fn a_section_given_twice_is_the_only_mistake_reported() {
    let problems = problems("[a]\ncount = 1\n[a]\n", |root| root.section("a", strict));
    assert_eq!(problems, ["f.toml:3:2: `a` is given twice: keep one of them"]);
}

#[test]
fn every_line_that_is_no_toml_is_reported() {
    let problems = problems("count = \nname : 3\n", |root| root.required::<u8>("count"));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("f.toml:1:9: not TOML: "), "{problems:?}");
    assert!(problems[1].starts_with("f.toml:2:"), "{problems:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let problems = read_file(Path::new("/nowhere/f.toml"), |_| Ok(())).unwrap_err();
    assert_eq!(problems.to_string(), "/nowhere/f.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn every_item_of_a_list_is_checked() {
    let problems = problems("names = [\"a\", 1, \"b\", 2]\n", |root| root.list::<String>("names"));
    assert_eq!(
        problems,
        [
            "f.toml:1:15: names[1]: 1 is a whole number: write text in quotes",
            "f.toml:1:23: names[3]: 2 is a whole number: write text in quotes",
        ]
    );
}

#[test]
fn sections_in_a_list_are_counted_from_zero() {
    let problems = problems("[[a]]\ncount = 1\n[[a]]\ncount = -1\n", |root| root.sections("a", strict));
    assert_eq!(problems, ["f.toml:4:9: a[1].count: -1 is too small: 0 to 255"]);
}

#[test]
fn a_field_missing_from_a_section_is_placed_at_the_section() {
    let problems = problems("\n\n[a]\n", |root| root.section("a", strict));
    assert_eq!(problems, ["f.toml:3:1: a.count: missing: add count = 1"]);
}

#[test]
fn a_check_that_compares_fields_names_the_place_of_one() {
    let problems = problems("[a]\ncount = 3\n[[b]]\ncount = 3\n", |root| {
        let first = root.section("a", strict)?;
        for other in root.sections("b", strict)? {
            if other.value == first.value {
                return Err(root.refuse_at(&other.place, "is a.count too"));
            }
        }
        Ok(())
    });
    assert_eq!(problems, ["f.toml:4:9: b[0].count: is a.count too"]);
}

#[test]
fn a_warning_does_not_refuse_the_file() {
    let loaded = read_text(FILE.as_ref(), "a = 1", |root| {
        let place = root.place_of("a");
        root.warn_at(&place, "is odd");
        root.required::<u8>("a")
    });
    assert_eq!(loaded.unwrap().warnings[0].to_string(), "f.toml:1:5: a: is odd");
}

#[test]
fn the_fields_a_reader_knows_are_listed_without_their_indices() {
    let loaded = read_text(FILE.as_ref(), "a = [{ count = 1 }, { count = 2 }]", |root| {
        let _ = root.or("b", true);
        root.sections("a", strict)
    });
    assert_eq!(Vec::from_iter(loaded.unwrap().fields), ["a", "a[].count", "b"]);
}

#[test]
fn of_very_many_problems_all_can_be_had_and_the_first_hundred_are_shown() {
    let text = "[[a]]\ncount = 300\n".repeat(100_000);
    let problems = read_text(FILE.as_ref(), &text, |root| root.sections("a", strict)).unwrap_err();
    assert_eq!(problems.iter().len(), 100_000);
    assert_eq!(problems.iter().last().unwrap().position.unwrap(), Position { line: 200_000, column: 9 });
    let shown = problems.to_string();
    assert_eq!(shown.lines().count(), 101);
    assert!(shown.ends_with("and 99900 more"), "{shown}");
}

#[test]
fn very_many_problems_in_one_line_are_found_in_one_walk() {
    let text = format!("a = [{}]", "{ count = 300 }, ".repeat(50_000));
    let problems = read_text(FILE.as_ref(), &text, |root| root.sections("a", strict)).unwrap_err();
    assert_eq!(problems.iter().last().unwrap().position.unwrap().column, 16 + 17 * 49_999);
}

#[test]
fn of_a_long_text_that_is_no_toml_the_first_error_is_reported() {
    let text = "=\n".repeat(1 << 20);
    assert_eq!(problems(&text, |_| Ok(())).len(), 1);
    let duplicate = format!("a = 1\na = 2\n{}", "# comment\n".repeat(1 << 17));
    assert_eq!(problems(&duplicate, |_| Ok(())), ["f.toml:2:1: `a` is given twice: keep one of them"]);
}

#[test]
fn a_long_list_is_read_like_a_short_one() {
    let (before, table) = ("[b]\ncount = 7\n", "[[a]]\ncount = 3\n[a.c]\ncount = 4\n");
    let mistaken = |nth: usize| match nth {
        10_000 => table.replace('3', "300"),
        20_000 => table.replace("= 4", ": 4"),
        30_000 => table.replace("3\n", "3\ncount = 5\n"),
        39_999 => table.replace("[a.c]\ncount", "[a.c]\ncuont"),
        _ => table.to_owned(),
    };
    let text = |mistakes: bool| {
        let tables = (0..40_000).map(|nth| if mistakes { mistaken(nth) } else { table.to_owned() });
        format!("{before}{}", tables.collect::<String>())
    };
    let read = |root: &mut Section<'_>| {
        let b = root.section("b", strict);
        let a = root.sections("a", |a| {
            let (own, inner) = (strict(a), a.section("c", strict));
            Ok((own?.value, inner?.value))
        });
        Ok((a?, b?.value))
    };
    assert!(text(false).len() > 1 << 20);
    let loaded = read_text(FILE.as_ref(), &text(false), read).unwrap();
    assert_eq!(loaded.config, (vec![(3, 4); 40_000], 7));
    assert_eq!(Vec::from_iter(loaded.fields), ["a", "a[].c", "a[].c.count", "a[].count", "b", "b.count"]);
    let found = problems(&text(true), read);
    let line = |nth: usize, line: usize| 2 + 4 * nth + line;
    assert_eq!(found[0], format!("f.toml:{}:9: a[10000].count: 300 is too large: 0 to 255", line(10_000, 2)));
    assert!(
        found[1].starts_with(&format!("f.toml:{}:", line(20_000, 4))) && found[1].contains("not TOML"),
        "{}",
        found[1]
    );
    assert_eq!(found[2], format!("f.toml:{}:1: `count` is given twice: keep one of them", line(30_000, 3)));
    let last = line(39_999, 4) + 1;
    assert_eq!(found[3], format!("f.toml:{}:1: a[39999].c.count: missing: add count = 1", last - 1));
    assert_eq!(found[4], format!("f.toml:{last}:1: a[39999].c.cuont: unknown field: did you mean `count`?"));
    assert_eq!(found.len(), 5);
}

#[test]
fn very_many_tables_that_are_no_toml_are_refused_in_one_walk() {
    let text = "[[a]]\ncount :\n".repeat(100_000);
    assert_eq!(problems(&text, |root| root.sections("a", strict)).len(), 100_000);
}

#[test]
fn a_long_list_that_is_unknown_or_given_twice_is_refused() {
    let list = "[[a]]\ncount = 3\n".repeat(70_000);
    assert_eq!(problems(&list, |_| Ok(())), ["f.toml:1:1: a: unknown field: there are no fields here"]);
    let twice = problems(&format!("a = []\n{list}"), |root| root.sections("a", strict));
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert_eq!(
        problems(&list, |root| root.required::<bool>("a")),
        ["f.toml:1:1: a: this is a list: write true or false, without quotes"]
    );
}

#[test]
fn problems_of_another_file_stand_behind_those_of_the_file_that_names_it() {
    let other = read_text("other.toml".as_ref(), "b = 1", |_| Ok(())).unwrap_err();
    let problems = problems("c = 1", |root| -> Result<(), Reported> { Err(root.refuse_all(other)) });
    assert_eq!(
        problems,
        [
            "f.toml:1:1: c: unknown field: there are no fields here",
            "other.toml:1:1: b: unknown field: there are no fields here",
        ]
    );
}

/// Reads a section with one required field.
fn strict(section: &mut Section<'_>) -> Result<Located<u8>, Reported> {
    section.required("count")
}

fn problems<T>(text: &str, read: impl FnOnce(&mut Section<'_>) -> Result<T, Reported>) -> Vec<String> {
    let problems = read_text(FILE.as_ref(), text, read).err().expect("the text has mistakes");
    problems.iter().map(ToString::to_string).collect()
}

/// What `text` is read as.
fn value<T: FromValue>(text: &str) -> T {
    read_text(FILE.as_ref(), &format!("a = {text}"), |root| root.required("a")).unwrap().config
}

/// Why `text` cannot be read as a `T`.
fn refusal<T: FromValue>(text: &str) -> String {
    message(read_text(FILE.as_ref(), &format!("a = {text}"), |root| root.required::<T>("a")))
}

/// The message of the only problem.
fn message<T>(outcome: Result<Loaded<T>, Problems>) -> String {
    let problems = outcome.err().expect("the text has a mistake");
    assert_eq!(problems.iter().len(), 1, "{problems}");
    problems.iter().next().unwrap().message.clone()
}

const FILE: &str = "f.toml";
