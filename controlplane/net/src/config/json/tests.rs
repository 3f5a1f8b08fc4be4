use photongate_wire::UnixNanos;

use crate::config::{Format, Reported, Section, read_as};

#[test]
fn json_and_toml_of_the_same_shape_read_alike() {
    let toml = "list = [{ count = 3 }, { count = -4 }]\nshare = 1e-3\nready = true\nsince = 2026-01-01T00:00:00Z\n";
    let json = r#"{"list":[{"count":3},{"count":-4}],"share":1e-3,"ready":true,"since":"2026-01-01T00:00:00Z"}"#;
    let expected = (vec![3, -4], 1e-3, true, UnixNanos(1_767_225_600_000_000_000));
    for (format, text) in [(Format::Toml, toml), (Format::Json, json)] {
        let loaded = read_as(format, "f".as_ref(), text, |root| {
            let list = root.sections("list", |item| item.required_with("count", "1", |count| count.number(-9..=9, "")));
            let share = root.required_with("share", "0.1", |share| share.decimal(0.0..=1.0));
            Ok((list?, share?, root.required::<bool>("ready")?, root.required::<UnixNanos>("since")?))
        });
        assert_eq!(loaded.unwrap().config, expected);
    }
}

#[test]
fn every_mistake_in_json_has_its_line_and_column() {
    let text = "{\n  \"list\": [{\"count\": 300}, {\"cuont\": 1}],\n  \"ä\": 1\n}";
    assert_eq!(
        problems(text),
        [
            "f.json:2:22: list[0].count: 300 is too large: 0 to 255",
            "f.json:2:28: list[1].count: missing: add \"count\": 1",
            "f.json:2:29: list[1].cuont: unknown field: did you mean `count`?",
            "f.json:3:3: ä: unknown field: the fields here are list",
        ]
    );
}

#[test]
fn a_field_given_twice_in_json_does_not_hide_other_mistakes() {
    assert_eq!(
        problems(r#"{"list": [{"count": 1, "count": 2}, {"count": "x"}]}"#),
        [
            "f.json:1:24: `count` is given twice: keep one of them",
            "f.json:1:47: list[1].count: \"x\" is text: write a whole number",
        ]
    );
}

#[test]
fn null_is_to_be_left_out() {
    assert_eq!(problems(r#"{"list": null}"#), ["f.json:1:10: `list` is null: leave it out instead"]);
    assert_eq!(problems(r#"{"list": [null]}"#), ["f.json:1:11: a list has no place for null: remove it"]);
}

#[test]
fn what_is_no_json_is_refused_where_it_stands() {
    for (text, expected) in [
        ("{\"list\": [1,]}", "f.json:1:12: not JSON: trailing commas are not allowed"),
        ("{ // ", "f.json:1:3: not JSON: comments are not allowed"),
        ("{\n\"list\" 1}", "f.json:2:8: not JSON: expected colon after the string or word in object property"),
        ("{list: 1}", "f.json:1:2: not JSON: expected string for object property"),
        ("{\"list\": 01}", "f.json:1:11: not JSON: expected comma"),
        ("[]", "f.json:1:1: not a configuration: write an object in braces: { … }"),
        ("", "f.json:1:1: not a configuration: write an object in braces: { … }"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for depth in [40, 400, 40_000] {
        let text = format!("{{\"list\": {}", "[".repeat(depth));
        let closed = format!("{text}{}}}", "]".repeat(depth));
        for text in [text, closed] {
            assert_eq!(problems(&text).len(), 1, "{depth} levels");
        }
    }
}

#[test]
fn no_message_about_json_shows_a_secret() {
    let secret = "0123456789abcdef0123456789abcdef";
    for text in [
        format!("{{\"list\": \"{secret}\"}}"),
        format!("{{\"list\": {secret}}}"),
        format!("{{\"list\": a{secret}}}"),
        format!("{{\"list\": \"{secret}}}"),
        format!("{{\"list\": \"{secret}\\x\"}}"),
    ] {
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(!problems[0].contains(&secret[4..12]), "{problems:?}");
    }
}

fn problems(text: &str) -> Vec<String> {
    let problems = read_as(Format::Json, "f.json".as_ref(), text, list).expect_err("the text has mistakes");
    problems.iter().map(ToString::to_string).collect()
}

fn list(root: &mut Section<'_>) -> Result<Vec<u8>, Reported> {
    root.sections("list", |item| item.required("count"))
}
