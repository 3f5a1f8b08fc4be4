//! What datagrams look like, and that any message survives the way.

use std::net::SocketAddr;

use proptest::{collection::vec, option, prelude::*};

use super::*;

#[test]
fn a_query_looks_as_documented() {
    let query = Message::Query(Query {
        magic: Magic(4_711),
        requestor: Contact { id: Id([0xab; 32]), address: "192.0.2.7:6881".parse().unwrap() },
        question: Question::FindNode(Id([0x5a; 32])),
        token: None,
        padded: false,
    });
    let requestor = format!(r#"{{"id":"{}","addr":"192.0.2.7","port":6881}}"#, "ab".repeat(32));
    let params = format!(r#"{{"id":"{}"}}"#, "5a".repeat(32));
    let expected = format!(r#"{{"magic":4711,"requestor":{requestor},"type":"find_node","params":{params}}}"#);
    assert_eq!(String::from_utf8(query.encode()).unwrap(), expected);
}

#[test]
fn every_example_of_the_documentation_is_a_message() {
    let examples: Vec<_> =
        DOCUMENTATION.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 10, "{}", examples.len());
    for example in examples {
        let message = Message::decode(example.as_bytes()).unwrap_or_else(|why| panic!("{why}: {example}"));
        let [documented, written] = [example.as_bytes(), &message.encode()].map(|text| {
            let mut value: serde_json::Value = serde_json::from_slice(text).unwrap();
            value.pointer_mut("/params").and_then(serde_json::Value::as_object_mut).map(|params| params.remove("pad"));
            value
        });
        assert_eq!(documented, written, "nothing in an example is overlooked");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let text = format!(r#"{{"magic":1,"resp":true,"x":[{{}}],"result":{{"id":"{}","more":1}}}}"#, "ab".repeat(32));
    let expected =
        Answer { magic: Magic(1), id: Id([0xab; 32]), nodes: vec![], token: None, value: None, stored: None };
    assert_eq!(Message::decode(text.as_bytes()), Ok(Message::Answer(expected)));
}

#[test]
fn an_error_is_understood_without_its_magic() {
    let expected = ErrorReply { magic: None, complaint: Complaint::Other };
    assert_eq!(Message::decode(br#"{"error":"no such thing"}"#), Ok(Message::Error(expected)));
}

#[test]
fn a_query_that_lacks_something_can_be_refused() {
    let requestor = format!(r#"{{"id":"{}","addr":"192.0.2.7","port":1}}"#, "ab".repeat(32));
    for (kind, complaint) in [
        ("find_node", Complaint::MissingParameter),
        ("drop_table", Complaint::UnknownType),
        ("", Complaint::UnknownType),
    ] {
        let text = format!(r#"{{"magic":9,"requestor":{requestor},"type":"{kind}"}}"#);
        let refused = Malformed::Refused(ErrorReply { magic: Some(Magic(9)), complaint });
        assert_eq!(Message::decode(text.as_bytes()), Err(refused));
    }
}

#[test]
fn what_is_no_message_is_malformed() {
    for text in ["", "{}", "[]", "17", r#"{"magic":1}"#, r#"{"magic":1,"resp":true}"#, r#"{"magic":-1,"resp":true}"#] {
        assert_eq!(Message::decode(text.as_bytes()), Err(Malformed::NotAMessage), "{text}");
    }
    assert_eq!(Message::decode(&[b' '; LARGEST + 1]), Err(Malformed::TooLong { bytes: LARGEST + 1 }));
}

#[test]
fn what_is_nested_too_deeply_is_not_read() {
    let nested = |depth: usize| format!(r#"{{"magic":1,"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(Message::decode(nested(7).as_bytes()), Err(Malformed::NotAMessage));
    assert_eq!(Message::decode(nested(8).as_bytes()), Err(Malformed::TooDeep));
    assert_eq!(Message::decode(br#"{"magic":1,"x":"[[[[[[[[[\"[[[["}"#), Err(Malformed::NotAMessage));
}

#[test]
fn a_token_is_not_shown() {
    assert_eq!(format!("{:?}", Token([7; 16])), "Token(..)");
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(message in any_message()) {
        let datagram = message.encode();
        if datagram.len() <= LARGEST {
            prop_assert_eq!(Message::decode(&datagram), Ok(message));
        }
    }

    #[test]
    fn a_padded_query_has_its_full_length(query in any_query()) {
        let wanted = query.question.padded_bytes();
        let bare = Message::Query(Query { padded: false, ..query.clone() }).encode();
        let padded = Message::Query(Query { padded: true, ..query }).encode();
        prop_assert!(padded.len() == wanted || bare.len() + 9 > wanted);
        prop_assert!(padded.len() >= wanted);
    }

    #[test]
    fn an_answer_is_no_longer_than_foretold(answer in any_answer()) {
        let most = answer.most_bytes();
        let value = answer.value.as_ref().and_then(|value| value.data.as_ref());
        let most_with_value = most + value.map_or(0, |data| DATA_FIELD + data.len().div_ceil(3) * 4);
        prop_assert!(Message::Answer(answer).encode().len() <= most_with_value);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }
}

pub(crate) fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any_query().prop_map(Message::Query),
        any_answer().prop_map(Message::Answer),
        (option::of(any::<u64>()), any_complaint())
            .prop_map(|(magic, complaint)| Message::Error(ErrorReply { magic: magic.map(Magic), complaint })),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    (any::<u64>(), any_contact(), any_question(), option::of(any::<[u8; 16]>()), any::<bool>()).prop_map(
        |(magic, requestor, question, token, padded)| Query {
            magic: Magic(magic),
            requestor,
            question,
            token: token.map(Token),
            padded,
        },
    )
}

fn any_question() -> impl Strategy<Value = Question> {
    prop_oneof![
        Just(Question::Ping),
        any_id().prop_map(Question::FindNode),
        any_id().prop_map(Question::FindValue),
        (any_id(), any::<u64>(), option::of(vec(any::<u8>(), 0..600)))
            .prop_map(|(key, size, data)| Question::StoreValue { key, size, data }),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let value = (vec(any_contact(), 0..4), any::<u32>(), option::of(vec(any::<u8>(), 0..300)));
    let stored = option::of(prop_oneof![Just(Stored::Kept), Just(Stored::Pull), Just(Stored::Noted)]);
    let token = option::of(any::<[u8; 16]>());
    (any::<u64>(), any_id(), vec(any_contact(), 0..8), token, option::of(value), stored).prop_map(
        |(magic, id, nodes, token, value, stored)| Answer {
            magic: Magic(magic),
            id,
            nodes,
            token: token.map(Token),
            value: value.map(|(providers, count, data)| Known { providers, count, data }),
            stored,
        },
    )
}

fn any_complaint() -> impl Strategy<Value = Complaint> {
    prop_oneof![Just(Complaint::Token), Just(Complaint::Quota), Just(Complaint::UnknownType), Just(Complaint::Other)]
}

pub(crate) fn any_contact() -> impl Strategy<Value = Contact> {
    (any_id(), any::<SocketAddr>())
        .prop_map(|(id, address)| Contact { id, address: SocketAddr::new(address.ip().to_canonical(), address.port()) })
}

pub(crate) fn any_id() -> impl Strategy<Value = Id> {
    any::<[u8; 32]>().prop_map(Id)
}

const DOCUMENTATION: &str = include_str!("../../../../docs/protocol/dht.md");
