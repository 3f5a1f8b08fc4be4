use super::*;

#[test]
fn whoever_knows_the_same_servers_makes_the_same_first_configuration() {
    let one = Membership::founding([("b".into(), StoreId(2)), ("a".into(), StoreId(1))]).unwrap();
    let other = Membership::founding([("a".into(), StoreId(1)), ("b".into(), StoreId(2))]).unwrap();
    assert_eq!(one, other);
    assert_eq!(one.member(&"a".into()).unwrap().pid, Pid(1));
    let replaced = Membership::founding([("a".into(), StoreId(1)), ("b".into(), StoreId(3))]).unwrap();
    assert_ne!(one.cluster, replaced.cluster);
}

#[test]
fn a_replaced_member_gets_a_number_that_nobody_had() {
    let next = abc().changed(&MemberChange::Replace { name: "b".into(), store: StoreId(9), address: None }).unwrap();
    assert_eq!(next.member(&"b".into()).unwrap().pid, Pid(4));
    let removed = next.changed(&MemberChange::Remove { name: "b".into() }).unwrap();
    let again = removed.changed(&MemberChange::Add { name: "b".into(), store: StoreId(9), address: None }).unwrap();
    assert_eq!(again.member(&"b".into()).unwrap().pid, Pid(5));
    assert_eq!(again.configuration, ConfigurationId(4));
    assert_eq!(again.cluster, abc().cluster);
}

#[test]
fn a_member_keeps_the_address_at_which_it_came_in_until_it_comes_in_at_another() {
    let (d, at) = (NodeName::from("d"), |port: u16| Some(format!("192.0.2.4:{port}").into()));
    let add = MemberChange::Add { name: d.clone(), store: StoreId(4), address: at(1) };
    let added = abc().changed(&add).unwrap();
    assert!(added.fulfils(&add) && added.member(&d).unwrap().address == at(1));
    let replaced = added.changed(&MemberChange::Replace { name: d.clone(), store: StoreId(5), address: None }).unwrap();
    assert_eq!(replaced.member(&d).unwrap().address, at(1));
    let moves = MemberChange::Replace { name: d.clone(), store: StoreId(5), address: at(2) };
    assert!(!replaced.fulfils(&moves));
    assert_eq!(replaced.changed(&moves).unwrap().member(&d).unwrap().address, at(2));
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let (a, d) = (NodeName::from("a"), NodeName::from("d"));
    let refused = |change| abc().changed(&change).unwrap_err();
    assert_eq!(
        refused(MemberChange::Add { name: a.clone(), store: StoreId(9), address: None }),
        BadMembership::NameTaken { name: a.clone() }
    );
    assert_eq!(
        refused(MemberChange::Add { name: d.clone(), store: StoreId(3), address: None }),
        BadMembership::StoreTaken { store: StoreId(3) }
    );
    assert_eq!(refused(MemberChange::Remove { name: d.clone() }), BadMembership::NotAMember { name: d });
    let two = abc().changed(&MemberChange::Remove { name: a }).unwrap();
    assert_eq!(two.changed(&MemberChange::Remove { name: "b".into() }), Err(BadMembership::Size { members: 1 }));
}

fn abc() -> Membership {
    Membership::founding([("a".into(), StoreId(1)), ("b".into(), StoreId(2)), ("c".into(), StoreId(3))]).unwrap()
}
