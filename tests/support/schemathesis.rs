//! An interface, exercised by schemathesis from the description that it gives of itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Goes through the interface at `address`, in `folder`, with the token of an admin. Paths that contain one of `left_out` are not tried.
#[track_caller]
pub(crate) fn go_through(address: &str, token: &str, left_out: &[&str], folder: &Path) {
    let mut command = Command::new(program());
    command
        .args(["run", &format!("http://{address}/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(left_out.iter().flat_map(|path| ["--exclude-path", path]))
        .args(["--checks", CHECKS])
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none", "--no-color"])
        .current_dir(folder)
        .env("PYTHONUTF8", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "nothing was tested: {said}");
}

/// The program. Without it, nothing is tested, so that is a failure.
fn program() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")));
    let program = cache.unwrap_or_default().join("photongate/schemathesis/bin/st");
    assert!(program.exists(), "the test needs schemathesis at {}: run scripts/setup.sh", program.display());
    program
}

/// What every answer must keep to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// For each operation. More find little more, and take longer than the other tests.
const EXAMPLES: &str = "40";
