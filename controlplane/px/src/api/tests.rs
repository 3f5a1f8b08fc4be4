use photongate_net::http::description_mistakes;

use super::openapi::described;

#[test]
fn every_reference_leads_somewhere_every_operation_has_its_own_name_and_changes_are_for_admins() {
    assert_eq!(description_mistakes(&described()), Vec::<String>::new());
}
