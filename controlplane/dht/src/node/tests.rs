//! One node, and what others say to it.

use std::collections::BTreeSet;

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};

use super::*;
use crate::message::{Answer, Complaint, ErrorReply, Known, Magic, Query, Question, Stored, Token};

#[test]
fn a_newcomer_gets_no_place_before_it_has_answered() {
    let mut node = node(Settings::default());
    let newcomer = contact(1);
    let outputs = node.hears(newcomer.address, query(newcomer, Question::FindNode(Id([9; 32]))));
    assert_eq!(node.0.contacts().count(), 0);
    let magic = magic_to(&outputs, newcomer, &Question::Ping);
    let outputs = node.hears(newcomer.address, answer(magic, newcomer));
    assert_eq!(node.0.contacts().collect::<Vec<_>>(), [newcomer]);
    assert!(outputs.iter().any(|output| matches!(output, Output::Notice(Notice::Joined))));
}

#[test]
fn who_is_reached_only_after_its_query_was_given_up_is_pinged_then() {
    let mut node = node(Settings::default());
    let slow = contact(1);
    let outputs = node.tell(Input::Bootstrap(vec![slow.address]));
    assert!(sent_to(&outputs, slow.address).is_some());
    assert!(node.tell(Input::Connected(slow)).is_empty(), "it is asked already");
    for _ in 0..2 {
        node.1 = Nanos(node.1.0 + 500_000_000);
        node.tell(Input::Wake);
    }
    let outputs = node.tell(Input::Connected(slow));
    node.hears(slow.address, answer(magic_to(&outputs, slow, &Question::Ping), slow));
    assert_eq!(node.0.contacts().collect::<Vec<_>>(), [slow]);
    assert!(node.tell(Input::Connected(slow)).is_empty(), "it is known already");
}

#[test]
fn an_answer_counts_only_with_its_magic_and_from_the_address_that_was_asked() {
    let mut node = node(Settings::default());
    let newcomer = contact(1);
    let outputs = node.tell(Input::Bootstrap(vec![newcomer.address]));
    let magic = magic_to(&outputs, newcomer, &Question::Ping);
    node.hears(contact(2).address, answer(magic, newcomer));
    node.hears(newcomer.address, answer(Magic(magic.0 ^ 1), newcomer));
    assert_eq!(node.0.contacts().count(), 0);
    node.hears(newcomer.address, answer(magic, newcomer));
    assert_eq!(node.0.contacts().count(), 1);
    node.hears(newcomer.address, answer(magic, contact(3)));
    assert_eq!(node.0.contacts().collect::<Vec<_>>(), [newcomer], "it was answered already");
}

#[test]
fn a_value_is_taken_only_with_a_token_that_was_given_to_the_same_address() {
    let mut node = node(Settings::default());
    let (asks, key) = (contact(1), Id([9; 32]));
    let store = Question::StoreValue { key, size: 9_999, data: None };
    assert_eq!(node.answers(asks.address, query(asks, store.clone())), refusal(Complaint::Token));
    let token = node.token_for(asks);
    let elsewhere = contact(2);
    assert_eq!(node.answers(elsewhere.address, with(token, elsewhere, store.clone())), refusal(Complaint::Token));
    let outputs = node.hears(asks.address, with(token, asks, store));
    assert!(outputs.iter().any(|output| matches!(output, Output::Pull { size: 9_999, from, .. } if *from == asks)));
}

#[test]
fn who_pushes_something_else_than_its_key_says_is_not_heard_any_more() {
    let mut node = node(Settings::default());
    let asks = contact(1);
    let token = node.token_for(asks);
    let store = Question::StoreValue { key: Id::of(b"value"), size: 5, data: Some(b"other".to_vec()) };
    let outputs = node.hears(asks.address, with(token, asks, store));
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Notice(Notice::Banned(who)) if who.address == asks.address))
    );
    assert!(!outputs.iter().any(|output| matches!(output, Output::Store { .. })));
    assert!(node.hears(asks.address, query(asks, Question::Ping)).is_empty());
}

#[test]
fn a_small_value_is_stored_and_given_along_with_the_answer() {
    let mut node = node(Settings::default());
    let (asks, key) = (contact(1), Id::of(b"value"));
    let token = node.token_for(asks);
    let store = Question::StoreValue { key, size: 5, data: Some(b"value".to_vec()) };
    let outputs = node.hears(asks.address, with(token, asks, store));
    assert!(outputs.iter().any(|output| matches!(output, Output::Store { data, .. } if data == b"value")));
    node.tell(Input::Held { key, size: 5, republish: true });
    let outputs = node.hears(asks.address, query(asks, Question::FindValue(key)));
    assert!(
        outputs.iter().any(|output| matches!(output, Output::Send { attach: Some(attached), .. } if *attached == key))
    );
    node.tell(Input::Dropped(key));
    let outputs = node.hears(asks.address, query(asks, Question::FindValue(key)));
    assert!(outputs.iter().all(|output| matches!(output, Output::Send { attach: None, .. })));
}

#[test]
fn who_announced_a_value_is_named_to_others() {
    let mut node = node(Settings::default());
    let (has, asks, key) = (contact(1), contact(2), Id([9; 32]));
    let token = node.token_for(has);
    node.hears(has.address, with(token, has, Question::StoreValue { key, size: 99, data: None }));
    let Message::Answer(answer) = node.answers(asks.address, query(asks, Question::FindValue(key))) else { panic!() };
    assert_eq!(answer.value, Some(Known { providers: vec![has], count: 1, data: None }));
}

#[test]
fn an_address_announces_no_more_than_its_share() {
    let limits = Limits { announcements: 2, ..Limits::default() };
    let mut node = node(Settings { limits, ..Settings::default() });
    let asks = contact(1);
    let token = node.token_for(asks);
    let mut announce = |key: u8| {
        let question = Question::StoreValue { key: Id([key; 32]), size: 9_999, data: None };
        node.answers(asks.address, with(token, asks, question))
    };
    assert!(matches!(announce(1), Message::Answer(Answer { stored: Some(Stored::Pull), .. })));
    assert!(matches!(announce(2), Message::Answer(_)));
    assert_eq!(announce(3), refusal(Complaint::Quota));
}

#[test]
fn an_answer_to_an_unproven_address_is_at_most_three_times_the_query() {
    let mut node = node(Settings::default());
    node.knows(1..40);
    let asks = contact(200);
    let token = node.token_for(asks);
    for bytes in (150..1_400).step_by(50) {
        let message = Message::Query(query(asks, Question::FindNode(Id([9; 32]))));
        let from = Source { address: asks.address, proven: None };
        let outputs = node.tell(Input::Message { from, bytes, message });
        let answer = outputs.iter().find_map(|output| match output {
            Output::Send { to, message: message @ Message::Answer(_), .. } if *to == asks.address => {
                Some(message.encode().len())
            }
            _ => None,
        });
        assert!(answer.is_some_and(|answer| answer <= 3 * bytes), "{answer:?} bytes for {bytes}");
    }
    let Message::Answer(answer) = node.answers(asks.address, with(token, asks, Question::FindNode(Id([9; 32])))) else {
        panic!()
    };
    assert_eq!(answer.nodes.len(), 7, "a token proves the address");
}

#[test]
fn a_query_is_sent_again_and_then_given_up() {
    let mut node = node(Settings::default());
    node.knows(1..2);
    let request = RequestId(7);
    let outputs = node.tell(Input::Find { request, wanted: Wanted::Nodes(Id([9; 32])) });
    assert_eq!(outputs.len(), 1);
    node.1 = Nanos(node.1.0 + 500_000_000);
    let again = node.tell(Input::Wake);
    assert_eq!(format!("{again:?}"), format!("{outputs:?}"), "with the same magic");
    node.1 = Nanos(node.1.0 + 500_000_000);
    let outputs = node.tell(Input::Wake);
    assert!(matches!(&outputs[..], [Output::Found { request: RequestId(7), found }] if found.nearest.is_empty()));
}

#[test]
fn what_cannot_be_reached_is_given_up_at_once() {
    let mut node = node(Settings::default());
    node.knows(1..2);
    node.tell(Input::Find { request: RequestId(7), wanted: Wanted::Nodes(Id([9; 32])) });
    let outputs = node.tell(Input::Unreachable(contact(1).address));
    assert!(matches!(&outputs[..], [Output::Found { .. }]));
}

#[test]
fn nobody_makes_a_node_ask_itself_or_its_own_machine() {
    let mut node = node(Settings::default());
    node.knows(1..2);
    let outputs = node.tell(Input::Find { request: RequestId(7), wanted: Wanted::Nodes(Id([9; 32])) });
    let magic = magic_to(&outputs, contact(1), &Question::FindNode(Id([9; 32])));
    let harmful = ["127.0.0.1:22", "0.0.0.0:1", "224.0.0.1:1", "192.0.2.9:0"];
    let mut nodes: Vec<_> =
        harmful.iter().map(|address| Contact { address: address.parse().unwrap(), ..contact(3) }).collect();
    nodes.push(Contact { address: contact(4).address, ..node.0.me });
    let Message::Answer(answer) = answer(magic, contact(1)) else { unreachable!() };
    let outputs = node.hears(contact(1).address, Message::Answer(Answer { nodes, ..answer }));
    assert!(matches!(&outputs[..], [Output::Found { .. }]), "{outputs:?}");
}

#[test]
fn who_is_named_under_a_wrong_id_is_found_under_its_own() {
    let mut node = node(Settings::default());
    node.knows(1..2);
    let (liar, target) = (contact(1), Id([9; 32]));
    let outputs = node.tell(Input::Find { request: RequestId(7), wanted: Wanted::Nodes(target) });
    let Message::Answer(lie) = answer(magic_to(&outputs, liar, &Question::FindNode(target)), liar) else {
        unreachable!()
    };
    let (slandered, friend) = (contact(2), contact(3));
    let nodes = vec![Contact { id: target, ..slandered }];
    let outputs = node.hears(liar.address, Message::Answer(Answer { nodes, ..lie.clone() }));
    let magic = magic_to(&outputs, slandered, &Question::FindNode(target));
    let truth = Answer { magic, id: slandered.id, nodes: vec![friend], ..lie };
    let outputs = node.hears(slandered.address, Message::Answer(truth));
    let magic = magic_to(&outputs, friend, &Question::FindNode(target));
    let outputs = node.hears(friend.address, answer(magic, friend));
    let found = outputs.iter().find_map(|output| match output {
        Output::Found { found, .. } => Some(&found.nearest),
        _ => None,
    });
    let everybody = BTreeSet::from([liar, slandered, friend]);
    assert_eq!(found.unwrap().iter().copied().collect::<BTreeSet<_>>(), everybody);
}

#[test]
fn with_certificates_nobody_has_an_id_of_their_choice() {
    let mut node = node(Settings { ids: IdRule::Certificate, ..Settings::default() });
    let asks = contact(1);
    let message = || Message::Query(query(asks, Question::Ping));
    let mut says = |proven| {
        let from = Source { address: asks.address, proven };
        sent_to(&node.tell(Input::Message { from, bytes: 200, message: message() }), asks.address).unwrap()
    };
    assert_eq!(says(None), refusal(Complaint::Id));
    assert_eq!(says(Some(contact(2).id)), refusal(Complaint::Id));
    assert!(matches!(says(Some(asks.id)), Message::Answer(_)));
}

#[test]
fn with_certificates_who_lies_is_banned_by_its_name_and_others_at_its_address_are_heard() {
    let mut node = node(Settings { ids: IdRule::Certificate, ..Settings::default() });
    let liar = contact(1);
    let lie = Question::StoreValue { key: Id::of(b"value"), size: 5, data: Some(b"other".to_vec()) };
    assert_eq!(node.answers_named(liar, query(liar, lie)), Some(refusal(Complaint::WrongHash)));
    let elsewhere = ["198.51.1.1:7000", "203.0.113.9:6881"].map(|address| address.parse().unwrap());
    for address in elsewhere {
        let liar = Contact { address, ..liar };
        assert_eq!(node.answers_named(liar, query(liar, Question::Ping)), None, "at {address}");
    }
    let neighbour = Contact { address: liar.address, ..contact(2) };
    assert!(matches!(node.answers_named(neighbour, query(neighbour, Question::Ping)), Some(Message::Answer(_))));
}

#[test]
fn with_certificates_whom_others_name_is_passed_over_if_it_is_banned_under_any_address() {
    let mut node = node(Settings { ids: IdRule::Certificate, ..Settings::default() });
    node.knows(1..2);
    let (friend, liar, key) = (contact(1), contact(2), Id([9; 32]));
    let outputs = node.tell(Input::Find { request: RequestId(7), wanted: Wanted::Holders { key, providers: 4 } });
    let magic = magic_to(&outputs, friend, &Question::FindValue(key));
    node.tell(Input::Ban(Source { address: liar.address, proven: Some(liar.id) }));
    let moved = Contact { address: "203.0.113.9:7000".parse().unwrap(), ..liar };
    let honest = Contact { address: liar.address, ..contact(3) };
    let Message::Answer(answer) = answer(magic, friend) else { unreachable!() };
    let value = Some(Known { providers: vec![liar, moved, honest], count: 3, data: None });
    let from = Source { address: friend.address, proven: Some(friend.id) };
    let message = Message::Answer(Answer { value, ..answer });
    let outputs = node.tell(Input::Message { from, bytes: 500, message });
    let found = outputs.iter().find_map(|output| match output {
        Output::Found { found, .. } => Some(found),
        _ => None,
    });
    assert_eq!(found.unwrap().providers, [honest]);
}

#[test]
fn with_certificates_a_share_goes_by_name_whichever_port_is_claimed() {
    let limits = Limits { announcements: 2, ..Limits::default() };
    let mut node = node(Settings { ids: IdRule::Certificate, limits, ..Settings::default() });
    let mut announce = |by: Contact, key: u8| {
        let question = Question::StoreValue { key: Id([key; 32]), size: 9_999, data: None };
        node.answers_named(by, query(by, question)).unwrap()
    };
    let at_port = |port| Contact { address: SocketAddr::new(contact(1).address.ip(), port), ..contact(1) };
    assert!(matches!(announce(at_port(1), 1), Message::Answer(_)));
    assert!(matches!(announce(at_port(2), 2), Message::Answer(_)));
    assert_eq!(announce(at_port(3), 3), refusal(Complaint::Quota));
    let neighbour = Contact { address: at_port(1).address, ..contact(2) };
    assert!(matches!(announce(neighbour, 4), Message::Answer(_)), "it has a share of its own");
}

#[test]
fn where_ids_are_bound_to_addresses_no_other_is_answered() {
    let mut node = node(Settings { ids: IdRule::Address, ..Settings::default() });
    let address = contact(1).address;
    let fitting = Contact { id: Id::of_address(address.ip(), [7; 32]), address };
    assert_eq!(node.answers(address, query(contact(1), Question::Ping)), refusal(Complaint::Id));
    assert!(matches!(node.answers(address, query(fitting, Question::Ping)), Message::Answer(_)));
}

/// A node and its clock.
struct Driven(Node, Nanos);

impl Driven {
    fn tell(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.0.handle(self.1, input, &mut outputs);
        outputs
    }

    fn hears(&mut self, from: SocketAddr, message: impl Into<Message>) -> Vec<Output> {
        let message = message.into();
        let bytes = message.encode().len();
        self.tell(Input::Message { from: Source { address: from, proven: None }, bytes, message })
    }

    fn answers(&mut self, from: SocketAddr, query: Query) -> Message {
        sent_to(&self.hears(from, query), from).expect("every query is answered")
    }

    /// What a node is answered whose certificate has its id.
    fn answers_named(&mut self, asks: Contact, query: Query) -> Option<Message> {
        let from = Source { address: asks.address, proven: Some(asks.id) };
        sent_to(&self.tell(Input::Message { from, bytes: 400, message: query.into() }), asks.address)
    }

    fn token_for(&mut self, asks: Contact) -> Token {
        match self.answers(asks.address, query(asks, Question::FindNode(asks.id))) {
            Message::Answer(Answer { token: Some(token), .. }) => token,
            other => panic!("no token in {other:?}"),
        }
    }

    fn knows(&mut self, numbers: std::ops::Range<u8>) {
        let known = numbers.map(|number| (contact(number), self.1)).collect();
        self.0.settle(known, self.1, self.1);
    }
}

fn node(settings: Settings) -> Driven {
    let mut random = TestRng::from_seed(RngAlgorithm::XorShift, &[7; 16]);
    let me = Contact { id: Id([0; 32]), address: "0.0.0.0:6881".parse().unwrap() };
    let node = Node::new(settings, me, Box::new(move |bytes| random.fill_bytes(bytes)));
    Driven(node, Nanos::from_secs(86_400))
}

/// Its magic is always the same: it is the other's affair whether that is wise.
fn query(from: Contact, question: Question) -> Query {
    Query { magic: Magic(4_711), requestor: from, question, token: None, padded: false }
}

fn with(token: Token, from: Contact, question: Question) -> Query {
    Query { token: Some(token), ..query(from, question) }
}

fn answer(magic: Magic, from: Contact) -> Message {
    Message::Answer(Answer { magic, id: from.id, nodes: vec![], token: None, value: None, stored: None })
}

fn refusal(complaint: Complaint) -> Message {
    Message::Error(ErrorReply { magic: Some(Magic(4_711)), complaint })
}

fn sent_to(outputs: &[Output], address: SocketAddr) -> Option<Message> {
    outputs.iter().find_map(|output| match output {
        Output::Send { to, message, .. } if *to == address => Some(message.clone()),
        _ => None,
    })
}

fn magic_to(outputs: &[Output], to: Contact, asked: &Question) -> Magic {
    let mut magics = outputs.iter().filter_map(|output| match output {
        Output::Send { to: address, message: Message::Query(query), .. } => {
            (*address == to.address && query.question == *asked).then_some(query.magic)
        }
        _ => None,
    });
    magics.next().expect("it is asked")
}

impl From<Query> for Message {
    fn from(query: Query) -> Self {
        Self::Query(query)
    }
}

/// All of them are far from the node, each in a network of its own.
fn contact(number: u8) -> Contact {
    Contact { id: Id([number | 0x80; 32]), address: SocketAddr::new([198, 51, number, 1].into(), 6_881) }
}
