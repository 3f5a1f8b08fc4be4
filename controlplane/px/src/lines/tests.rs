use serde_json::json;

use super::*;
use crate::command::{Document, Outcome};
use crate::node::{Refusal, Reply};

#[test]
fn a_line_is_a_command_with_its_fields() {
    let line = br#"{"op":"put","name":"a","value":"text","expected":3,"id":[1]}"#;
    let mut operation = Operation::parse(line).unwrap();
    assert_eq!(operation.take_id(), Some(json!([1])));
    let Asked::Write { counted: None, change: Change::Put { name, value, expected } } = operation.asks().unwrap()
    else {
        panic!("it is a put that nobody counts");
    };
    assert_eq!((name.as_str(), &value.as_bytes()[..], expected), ("a", &b"text"[..], Some(Generation(3))));
}

#[test]
fn what_is_no_command_is_refused_with_its_reason_and_identity() {
    for (line, detail) in [
        (r#"{"op":"put","name":"a b","value":"","id":7}"#, "without blanks"),
        (r#"{"op":"put","name":"a","valu":"","id":7}"#, "unknown field `valu`"),
        (r#"{"op":"fly","id":7}"#, "unknown variant `fly`"),
        (r#"{"op":"delete","id":7}"#, "missing field `name`"),
    ] {
        let refused = Operation::parse(line.as_bytes()).unwrap_err().into_json();
        assert_eq!(
            (&refused["ok"], &refused["error"], &refused["id"]),
            (&json!(false), &json!("bad_command"), &json!(7))
        );
        assert!(refused["detail"].as_str().unwrap().contains(detail), "{refused}");
    }
    assert_eq!(Operation::parse(b"garbage").unwrap_err().into_json().get("id"), None);
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    for (line, detail) in [
        (r#"{"op":"put","name":"a"}"#, "neither value nor base64"),
        (r#"{"op":"put","name":"a","value":"","base64":""}"#, "both value and base64"),
        (r#"{"op":"put","name":"a","base64":"?"}"#, "base64: "),
        (r#"{"op":"delete","name":"a","sequence":1}"#, "client and sequence belong together"),
    ] {
        let refused = Operation::parse(line.as_bytes()).unwrap().asks().unwrap_err().into_json();
        assert!(refused["detail"].as_str().unwrap().contains(detail), "{line}: {refused}");
    }
}

#[test]
fn results_are_lines_that_programs_can_decide_by() {
    let written = Reply::Done(Outcome::Written { generation: Generation(2), revision: Revision(9) });
    let line = Answered::to(written).with_id(Some(json!("a"))).into_line();
    assert_eq!(String::from_utf8(line).unwrap(), "{\"generation\":2,\"id\":\"a\",\"ok\":true,\"revision\":9}\n");
    let conflict = Answered::to(Reply::Done(Outcome::Conflict { generation: Generation(2) })).into_json();
    assert_eq!((&conflict["error"], &conflict["generation"]), (&json!("conflict"), &json!(2)));
    let busy = Answered::to(Reply::Refused(Refusal::Busy)).into_json();
    assert_eq!(busy["error"], "busy");
}

#[test]
fn a_value_that_is_no_text_is_told_in_base64() {
    let mut document = Document {
        generation: Generation(1),
        revision: Revision(1),
        author: "ops".into(),
        time: crate::command::UnixMillis(5),
        value: Value::new(vec![0xff]).unwrap(),
    };
    assert_eq!(document_fields(None, &document)["base64"], "/w==");
    document.value = Value::new("ü".as_bytes().to_vec()).unwrap();
    assert_eq!(document_fields(None, &document)["value"], "ü");
}
