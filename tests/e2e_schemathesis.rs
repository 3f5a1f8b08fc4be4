//! The management interface, exercised by schemathesis from the description that the filter itself gives of it.

#![cfg(feature = "dataplane")]

#[path = "support/schemathesis.rs"]
mod schemathesis;
mod support;

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::{fs, process};

use support::lab::Filter;
use support::{PROGRAM, TIMEOUT, other_peers, patience};

#[test]
fn whatever_its_description_allows_the_interface_answers_as_described() {
    let patience = patience();
    let directory = tempfile::tempdir().unwrap();
    let name = format!("pg-test-{}-st", process::id());
    let address = free_address();
    fs::write(directory.path().join("peers.toml"), other_peers(5)).unwrap();
    let filter =
        Filter::start(Command::new(PROGRAM), directory.path(), &name, &config(&name, &address), &patience).unwrap();
    patience.until("the filter to be manageable", TIMEOUT, || Ok(TcpStream::connect(&address).ok())).unwrap();
    let token = fs::read_to_string(directory.path().join("state/admin.token")).unwrap();

    // Events never end; and whether the filter is ready depends on what was done to its peers.
    schemathesis::go_through(&address, token.trim(), &["/api/v1/events", "/readyz"], directory.path());
    let ended = filter.stop(&patience).unwrap();
    assert!(ended.with(0), "{}: {}", ended.status, ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

/// Where nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A filter that needs neither rights nor interfaces: nothing arrives at its ports, and what leaves them is gone.
fn config(name: &str, address: &str) -> String {
    format!(
        r#"
isd_as = "1-ff00:0:111"
[as_list]
file = "peers.toml"
[[ports]]
name = "inside"
device = "net_null0,no-rx=1"
role = "inside"
forward_to = "outside"
[[ports]]
name = "outside"
device = "net_null1,no-rx=1"
role = "outside"
forward_to = "inside"
[dpdk]
name = "{name}"
[control]
socket = "{name}.sock"
[state]
directory = "state"
[api]
socket = "api.sock"
listen = ["{address}"]
requests_per_second = 1_000_000
[duplicates]
packets_per_second = 100_000
"#
    )
}
