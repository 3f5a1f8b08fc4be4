//! Scripts that run several servers of this machine until they are told to stop.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Runs a script of this repository, with its arguments, to its end: it says something, and leaves nothing behind.
///
/// # Panics
/// If not.
pub(crate) fn says_and_leaves_nothing(script: &str, arguments: &[&str], words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(script).args(arguments).current_dir(REPOSITORY).envs(surroundings(folder.path())).output();
    let run = run.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && said.contains(words), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{said}");
}

/// Runs a script, words separated by spaces, in a terminal, once to be stopped by Ctrl-C and once by Ctrl-D, when it runs so many servers: each
/// time nothing is left behind.
///
/// # Panics
/// If not.
pub(crate) fn keys_stop(script: &str, servers: usize) {
    for key in ["\x03", "\x04"] {
        let folder = tempfile::tempdir().unwrap();
        // A terminal of its own, which makes of the key what it makes of it for people; and signals as people have them, whoever runs the tests
        // in the background: what is ignored from the beginning no shell can listen to.
        let mut terminal = Command::new("env")
            .args(["--default-signal=INT,QUIT", "script", "-qefc", script, "/dev/null"])
            .current_dir(REPOSITORY)
            .envs(surroundings(folder.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = BufReader::new(terminal.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        let reading = thread::spawn(move || shown.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        while !lines.recv_timeout(PATIENCE).expect("it says how it stops").contains("removes the folder") {}
        assert!(processes_in(folder.path()).len() > servers, "the servers and the script");
        terminal.stdin.as_mut().unwrap().write_all(key.as_bytes()).unwrap();
        // What is shown ends with the script.
        let ended = std::iter::repeat_with(|| lines.recv_timeout(PATIENCE)).find_map(Result::err);
        if ended != Some(RecvTimeoutError::Disconnected) {
            // Its terminal goes with it, at which the script stops.
            terminal.kill().unwrap();
            panic!("{script} does not stop at {key:?}");
        }
        reading.join().unwrap().unwrap();
        terminal.wait().unwrap();
        assert_eq!(processes_in(folder.path()), Vec::<PathBuf>::new(), "{key:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{key:?}");
    }
}

/// The program that it is to run, and where it is to make its folder.
fn surroundings(folder: &Path) -> [(&'static str, PathBuf); 2] {
    [("PHOTONGATE", env!("CARGO_BIN_EXE_photongate").into()), ("TMPDIR", folder.to_owned())]
}

/// The processes that are at home in a folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    // Those that have ended in the meantime, and all that are no processes, are nowhere.
    processes.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|home| home.starts_with(folder))).collect()
}

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Far more than the servers take to start or stop.
const PATIENCE: Duration = Duration::from_secs(90);
