use std::collections::BTreeSet;

use serde_json::{Value, to_value};

use super::openapi::described;

#[test]
fn every_reference_of_the_description_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let document = to_value(described()).unwrap();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 5);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let names: Vec<_> =
        operations(&document).map(|(_, operation)| operation["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn what_changes_something_is_for_admins() {
    let document = to_value(described()).unwrap();
    let changing: Vec<_> = operations(&document).filter(|(method, _)| method != "get").collect();
    assert_eq!(changing.len(), 4);
    for (_, operation) in changing {
        assert_eq!(operation["security"][0]["token"][0], "admin", "{operation}");
    }
}

fn operations(document: &Value) -> impl Iterator<Item = (String, Value)> {
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().iter());
    operations.map(|(method, operation)| (method.clone(), operation.clone())).collect::<Vec<_>>().into_iter()
}

fn collect<'d>(value: &'d Value, references: &mut BTreeSet<&'d str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
