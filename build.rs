//! Build identity for `photongate --version`: the git revision, and the DPDK version that is linked.
//!
//! DPDK needs no link arguments from here: those of the `photongate-dpdk-sys` crate reach the binary, and DPDK loads
//! its poll-mode drivers when it starts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(revision) = git_revision() {
        println!("cargo::rustc-env=PHOTONGATE_GIT_REVISION={revision}");
    }
    // Without libdpdk the build fails elsewhere, and with a better message than this script could give.
    if env::var_os("CARGO_FEATURE_DATAPLANE").is_some()
        && let Ok(dpdk) = pkg_config::Config::new().cargo_metadata(false).probe("libdpdk")
    {
        println!("cargo::rustc-env=PHOTONGATE_DPDK_VERSION={}", dpdk.version);
    }
}

/// The commit that is checked out. `None` without git, and in sources from elsewhere that lie in somebody's repository.
fn git_revision() -> Option<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    if !root.join(".git").exists() {
        return None;
    }
    // A checkout changes HEAD, a commit the branch that HEAD names, and git may pack all branches into one file.
    let branch = git(&root, &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&root, &["rev-parse", "--git-path", name]).map(|path| root.join(path));
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&root, &["rev-parse", "--short=12", "HEAD"])
}

/// What git prints, or `None` when it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
