use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use photongate_crypto::Key;
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
fn values_of_the_wrong_kind_are_refused() {
    let text = "a = \"yes\"\nb = 1\nc = 1.5\nd = \"x\"\n[e]\n";
    let problems = problems(text, |root| {
        let a = root.required::<bool>("a");
        let b = root.list::<bool>("b");
        let c = root.required::<u8>("c");
        let d = root.section("d", strict);
        let e = root.required::<String>("e");
        Ok((a?, b?, c?, d?, e?))
    });
    assert_eq!(
        problems,
        [
            "f.toml:1:5: a: \"yes\" is text: write true or false, without quotes",
            "f.toml:2:5: b: this is a whole number: write a list in brackets: [ … ]",
            "f.toml:3:5: c: 1.5 is a decimal number: write a whole number",
            "f.toml:4:5: d: this is text: write a table of fields",
            "f.toml:5:1: e: this is a table: write text in quotes",
        ]
    );
}

#[test]
fn numbers_beyond_all_types_are_too_large_or_too_small() {
    assert_eq!(refusal::<u64>("99999999999999999999"), "99999999999999999999 is too large: 0 to 18446744073709551615");
    assert!(refusal::<u64>(&"9".repeat(50)).contains("is too large"));
    assert_eq!(refusal::<u16>("-9223372036854775808"), "-9223372036854775808 is too small: 0 to 65535");
}

#[test]
fn a_share_outside_its_range_is_refused() {
    for text in ["1.5", "-1", "nan", "inf"] {
        let problems =
            problems(&format!("a = {text}"), |root| root.required_with("a", "0.1", |a| a.decimal(1e-9..=0.5)));
        assert_eq!(problems, [format!("f.toml:1:5: a: {text} is out of range: 1e-9 to 5e-1")]);
    }
}

#[test]
fn durations_need_a_whole_number_and_a_known_unit() {
    for (text, nanos) in
        [("1ns", 1), ("2us", 2_000), ("3 ms", 3_000_000), ("1m", 60_000_000_000), ("2h", 7_200_000_000_000)]
    {
        assert_eq!(value::<Nanos>(&format!("{text:?}")), Nanos(nanos));
    }
    let how = r#"write a whole number and a unit (ns, us, ms, s, m, h, d), like "500ms""#;
    for text in ["", "5", "s", "-5s", "1.5s", "5 weeks", "5ss"] {
        assert_eq!(refusal::<Nanos>(&format!("{text:?}")), format!("{text:?} is not a duration: {how}"));
    }
    assert_eq!(refusal::<Nanos>("5"), format!("5 has no unit: {how}"));
    assert_eq!(refusal::<Nanos>("\"213504d\""), "\"213504d\" is too long: at most 213503d");
}

#[test]
fn times_are_rfc_3339_or_utc_without_saying_so() {
    let leap_day = UnixNanos(1_709_210_096_000_000_000);
    assert_eq!(value::<UnixNanos>("\"2024-02-29T12:34:56\""), leap_day);
    assert_eq!(value::<UnixNanos>("2024-02-29T12:34:56"), leap_day);
    assert_eq!(value::<UnixNanos>("\"2024-02-29T12:34:56Z\""), leap_day);
    assert_eq!(value::<UnixNanos>("\"2024-02-29T14:34:56+02:00\""), leap_day);
}

#[test]
fn what_is_no_complete_time_is_refused() {
    for text in
        ["\"\"", "\"2023-02-29T12:34:56\"", "\"2024-02-29\"", "2024-02-29", "\"2024-02-29 12:34:56\"", "\"tomorrow\""]
    {
        assert_eq!(refusal::<UnixNanos>(text), format!("{text} is not a time: write it like 2026-01-01T00:00:00Z"));
    }
    assert_eq!(
        refusal::<UnixNanos>("1969-12-31T23:59:59Z"),
        "1969-12-31T23:59:59Z is before 1970: no key was valid then"
    );
    assert_eq!(refusal::<UnixNanos>("1"), "1 is a whole number: write a time, like \"2026-01-01T00:00:00Z\"");
}

#[test]
fn addresses_and_prefixes_that_do_not_read_are_refused() {
    let refusals = [
        (refusal::<IsdAs>("\"1\""), r#""1" is not an ISD-AS number: write it like 1-ff00:0:110 or 1-64512"#),
        (refusal::<MacAddress>("\"2:0\""), r#""2:0" is not an Ethernet address: write it like 02:00:00:00:00:01"#),
        (refusal::<IpAddr>("\"1.2.3\""), r#""1.2.3" is not an IP address: write it like 192.0.2.1 or 2001:db8::1"#),
        (
            refusal::<IpAddr>("\"::ffff:1.2.3.4\""),
            r#""::ffff:1.2.3.4" is an IPv4 address in IPv6 clothes: write 1.2.3.4"#,
        ),
        (
            refusal::<SocketAddr>("\"localhost:1\""),
            r#""localhost:1" is no address and port: write them like 127.0.0.1:8479 or [::1]:8479"#,
        ),
        (refusal::<SocketAddr>("\"::1\""), r#""::1" has no port: write [::1]:8479"#),
        (
            refusal::<IpNet>("\"1.2.3/4\""),
            r#""1.2.3/4" is not an IP prefix: write it like 192.0.2.0/24 or 2001:db8::/32"#,
        ),
        (refusal::<IpNet>("\"::1\""), r#""::1" has no prefix length: write ::1/128 for this one address"#),
        (
            refusal::<IpNet>("\"::ffff:1.2.3.0/120\""),
            r#""::ffff:1.2.3.0/120" is an IPv4 prefix in IPv6 clothes: write 1.2.3.0 and a length up to 32"#,
        ),
        (
            refusal::<IpNet>("\"10.0.0.1/8\""),
            r#""10.0.0.1/8" has bits beyond its length: write 10.0.0.0/8, or 10.0.0.1/32 for the one address"#,
        ),
    ];
    for (refusal, expected) in refusals {
        assert_eq!(refusal, expected);
    }
}

#[test]
fn a_word_that_is_no_choice_is_answered_with_the_choices() {
    let choices = [("keep", 0), ("drop", 1), ("forward", 2)];
    let problems = problems("a = \"dorp\"", |root| root.required_with("a", "\"keep\"", |a| a.choice(&choices)));
    assert_eq!(problems, [r#"f.toml:1:5: a: "dorp" is not a choice here: write "keep", "drop" or "forward""#]);
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let paths = read_text("conf/f.toml".as_ref(), "a = \"x\"\nb = \"/x\"", |root| {
        Ok((root.required::<PathBuf>("a")?, root.required::<PathBuf>("b")?))
    });
    assert_eq!(paths.unwrap().config, (PathBuf::from("conf/x"), PathBuf::from("/x")));
    assert_eq!(refusal::<PathBuf>("\"\""), "\"\" is no path: write the name of a file");
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

#[test]
fn a_key_is_read_from_its_digits() {
    let key = value::<Key>("\"000102030405060708090a0b0c0D0E0F\"");
    assert_eq!(*key.as_bytes(), std::array::from_fn(|index| index as u8));
}

#[test]
fn no_message_shows_a_secret_even_where_it_does_not_belong() {
    let written = [
        format!("key = \"{SECRET}0\""),
        format!("key = \"{}\"", SECRET.replace('3', "x")),
        format!("key = [\"{SECRET}\"]"),
        format!("key = \"{SECRET}\"\nkey = \"{SECRET}\""),
        format!("key = \"{SECRET}"),
        format!("key = {SECRET}"),
        format!("secret = \"{SECRET}\""),
        format!("pair = \"{SECRET}\""),
        format!("pair = [\"{SECRET}\"]"),
        format!("pairs = \"{SECRET}\""),
        format!("pairs = [\"{SECRET}\"]"),
        format!("pairs = [{{ since = \"{SECRET}\", file = \"{SECRET}\", key = 1 }}]"),
        format!("pairs = [{{ sinc = \"{SECRET}\", key = \"{SECRET}\" }}]"),
    ];
    for text in written {
        let problems = problems(&text, |root| {
            let (key, pair, pairs) =
                (root.optional::<Key>("key"), root.section("pair", pair), root.sections("pairs", pair));
            Ok((key?, pair?, pairs?))
        });
        assert!(!problems.is_empty(), "{text} is not refused");
        for problem in problems {
            let digits = &SECRET[4..12];
            assert!(!problem.contains(digits), "{problem}");
        }
    }
}

#[test]
fn a_key_of_another_length_or_with_other_characters_is_refused() {
    assert_eq!(refusal::<Key>("\"0123\""), "this is no key: it has 4 characters, but a key is 32 hexadecimal digits");
    let text = format!("\"{}\"", SECRET.replace('f', "ä"));
    assert_eq!(refusal::<Key>(&text), "this is no key: its character 16 is no hexadecimal digit");
}

#[test]
fn a_key_file_is_read_when_only_its_owner_can() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good", &format!("{SECRET}\n"), 0o600);
    let key = key_file(folder.path(), "good").unwrap().config;
    assert_eq!(key.as_bytes()[..3], [0x01, 0x23, 0x45]);
}

#[test]
fn a_key_file_that_others_can_use_is_refused_with_the_command_that_fixes_it() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o640, 0o620, 0o604] {
        write(folder.path(), "open", SECRET, mode);
        let path = folder.path().join("open");
        let path = path.display();
        let expected =
            format!("the file {path} has mode {mode:03o}, so not only its owner can use it: run chmod 600 {path}");
        assert_eq!(message(key_file(folder.path(), "open")), expected);
    }
}

#[test]
fn a_key_file_without_a_key_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "long", &format!("{SECRET}{SECRET}"), 0o600);
    write(folder.path(), "huge", &"0".repeat(100_000), 0o600);
    let problem = |name, why: &str| {
        let path = folder.path().join(name);
        assert_eq!(message(key_file(folder.path(), name)), format!("the file {} {why}", path.display()));
    };
    problem("long", "does not hold a key: it has 64 characters, but a key is 32 hexadecimal digits");
    problem("huge", "is longer than 16384 bytes, so it holds no secret");
    problem("none", "cannot be read: No such file or directory (os error 2)");
    problem(".", "is no ordinary file");
}

#[test]
fn a_key_in_place_of_a_key_files_name_is_recognised() {
    assert_eq!(message(key_file(Path::new("."), SECRET)), "this is a key, not the name of a file that holds one");
}

/// Reads a section with one required field.
fn strict(section: &mut Section<'_>) -> Result<Located<u8>, Reported> {
    section.required("count")
}

/// Reads a section with a secret in it, or the name of a file that holds it.
fn pair(section: &mut Section<'_>) -> Result<(), Reported> {
    section.conceal();
    let since = section.optional::<UnixNanos>("since");
    let (key, file) = (section.optional::<Key>("key"), section.optional_with("file", Value::key_file));
    since?;
    key?;
    file?;
    Ok(())
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

fn key_file(folder: &Path, name: &str) -> Result<Loaded<Key>, Problems> {
    let text = format!("a = {name:?}");
    read_text(&folder.join(FILE), &text, |root| root.required_with("a", "\"file\"", Value::key_file))
}

/// The message of the only problem.
fn message<T>(outcome: Result<Loaded<T>, Problems>) -> String {
    let problems = outcome.err().expect("the text has a mistake");
    assert_eq!(problems.iter().len(), 1, "{problems}");
    problems.iter().next().unwrap().message.clone()
}

fn write(folder: &Path, name: &str, content: &str, mode: u32) {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

const FILE: &str = "f.toml";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
