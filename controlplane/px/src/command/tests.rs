use super::*;

#[test]
fn a_name_has_one_to_256_printable_characters() {
    assert!("as-list/1-ff00:0:110".parse::<Name>().is_ok());
    assert!("ü".repeat(256).parse::<Name>().is_ok());
    assert_eq!("".parse::<Name>(), Err(BadName::Length { characters: 0 }));
    assert_eq!("x".repeat(257).parse::<Name>(), Err(BadName::Length { characters: 257 }));
    assert_eq!("a b".parse::<Name>(), Err(BadName::Character { character: ' ' }));
    assert_eq!("a\r".parse::<Name>(), Err(BadName::Character { character: '\r' }));
}

#[test]
fn a_value_of_more_than_64_kib_is_refused_wherever_it_comes_from() {
    let text = serde_json::to_string(&Value::new(vec![7; Value::MAX]).unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap().len(), Value::MAX);
    assert_eq!(Value::new(vec![7; Value::MAX + 1]), Err(ValueTooLong { length: Value::MAX + 1 }));
    assert!(serde_json::from_str::<Value>(&text.replace("Bw==", "BwcH")).is_err());
}

#[test]
fn a_client_id_is_32_hexadecimal_digits() {
    let client = ClientId::new(0xfeed, Revision(7));
    assert_eq!(client.to_string(), "000000000000feed0000000000000007");
    assert_eq!(client.to_string().parse(), Ok(client));
    assert_eq!("+00000000000feed0000000000000007".parse::<ClientId>(), Err(BadClientId));
    let json = serde_json::to_string(&client).unwrap();
    assert_eq!(serde_json::from_str::<ClientId>(&json).unwrap(), client);
}
