//! The management interface, exercised by schemathesis from the description that the filter itself gives of it.

#![cfg(feature = "dataplane")]

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

use support::lab::Filter;
use support::{PROGRAM, TIMEOUT, other_peers, patience};

#[test]
fn whatever_its_description_allows_the_interface_answers_as_described() {
    let schemathesis = schemathesis();
    let patience = patience();
    let directory = tempfile::tempdir().unwrap();
    let name = format!("pg-test-{}-st", process::id());
    let address = free_address();
    fs::write(directory.path().join("peers.toml"), other_peers(5)).unwrap();
    let filter =
        Filter::start(Command::new(PROGRAM), directory.path(), &name, &config(&name, &address), &patience).unwrap();
    patience.until("the filter to be manageable", TIMEOUT, || Ok(TcpStream::connect(&address).ok())).unwrap();
    let token = fs::read_to_string(directory.path().join("state/admin.token")).unwrap();

    let output = Command::new(schemathesis)
        .args(["run", &format!("http://{address}/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        // Events never end; and whether the filter is ready depends on what was done to its peers.
        .args(["--exclude-path", "/api/v1/events", "--exclude-path", "/readyz"])
        .args(["--checks", CHECKS])
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none", "--no-color"])
        .current_dir(directory.path())
        .env("PYTHONUTF8", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "nothing was tested: {said}");
    let ended = filter.stop(&patience).unwrap();
    assert!(ended.with(0), "{}: {}", ended.status, ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

/// The program. Without it, nothing is tested, so that is a failure.
fn schemathesis() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")));
    let program = cache.unwrap_or_default().join("photongate/schemathesis/bin/st");
    assert!(program.exists(), "the test needs schemathesis at {}: run scripts/setup.sh", program.display());
    program
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

/// What every answer must keep to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// For each operation. More find little more, and take longer than the other tests.
const EXAMPLES: &str = "40";
