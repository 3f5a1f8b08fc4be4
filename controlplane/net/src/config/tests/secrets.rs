//! Secrets in the file itself or in files of their own: no message shows them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use photongate_crypto::Key;
use photongate_wire::UnixNanos;

use super::*;

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

fn key_file(folder: &Path, name: &str) -> Result<Loaded<Key>, Problems> {
    let text = format!("a = {name:?}");
    read_text(&folder.join(FILE), &text, |root| root.required_with("a", "\"file\"", Value::key_file))
}

fn write(folder: &Path, name: &str, content: &str, mode: u32) {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
