//! The administration of a key server, exercised by schemathesis from the description that the server itself gives of it.

#[path = "support/schemathesis.rs"]
mod schemathesis;
#[path = "qks/site.rs"]
mod site;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_its_description_allows_the_administration_answers_as_described() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start("b").await;
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    site.more = format!("[admin]\nlisten = [\"{address}\"]\nrequests_per_second = 1_000_000\n");
    site.start("a").await;
    let folder = site.path("a");
    let token = fs::read_to_string(folder.join("state/admin.token")).unwrap();
    // Events never end; the other server may answer a moment later; and that there is no simulated link is an error by design.
    schemathesis::go_through(&address, token.trim(), &["/api/v1/events", "/readyz"], &folder);
    site.stop("a");
    assert!(!site.log("a").contains("panicked"));
}
