//! `[[peers]]` and `[as_list]`: what the configuration adds to the reading of a list.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_peer_takes_the_protocol_of_the_filter_unless_it_has_its_own() {
    let text = format!("{MINIMAL}drkey_protocol = 7\n{}[lf]\ndrkey_protocol = 9\n", peer("3-1", "10.3.0.0/16"));
    let config = FilterConfig::parse(FILE.as_ref(), &text).unwrap();
    let protocols: Vec<_> = config.peers.peers().iter().map(|peer| peer.key.protocol.0).collect();
    assert_eq!(protocols, [9, 7]);
}

#[test]
fn more_peers_than_the_dictionary_has_room_for_are_refused() {
    let text = format!("{}[keys]\nmax_peers = 1\n", peer("3-1", "10.3.0.0/16"));
    refused(&text, "peers: 2 peers, but keys.max_peers is 1: raise it");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join(FILE), folder.path().join("peer"));
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, MINIMAL.replace(&format!("secret = \"{SECRET}\""), "file = \"peer\"")).unwrap();
    assert!(FilterConfig::load(&file).unwrap().warnings.is_empty());
    fs::write(&file, MINIMAL.replace("secret =", "file = \"peer\", secret =")).unwrap();
    let problems = FilterConfig::load(&file).unwrap_err().to_string();
    assert!(problems.ends_with("peers[0].shared_secrets[0].file: given beside secret: keep one of them"), "{problems}");
}

#[test]
fn a_secret_that_every_user_can_read_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    fs::write(&file, MINIMAL).unwrap();
    for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let config = FilterConfig::load(&file).unwrap();
        assert_eq!(config.warnings.len(), warnings);
        for warning in config.warnings {
            let chmod = format!("run chmod o-r {}", file.display());
            assert!(warning.message.contains(&chmod), "{warning}");
        }
    }
}

#[test]
fn a_filter_without_peers_is_warned_about() {
    let (text, _) = MINIMAL.split_once("[[peers]]").unwrap();
    let config = FilterConfig::parse(FILE.as_ref(), text).unwrap();
    let expected = "filter.toml:1:1: peers: no peers: nothing can be authenticated, in either direction";
    assert_eq!(config.warnings[0].to_string(), expected);
}

#[test]
fn peers_may_stand_in_a_file_of_their_own() {
    let folder = folder(&peer("3-1", "10.3.0.0/16"));
    let config = FilterConfig::load(&folder.path().join(FILE)).unwrap();
    assert_eq!(config.peers.peers()[0].key.isd_as.to_string(), "3-1");
    assert_eq!(config.as_list, ListSource::File { path: folder.path().join("list.toml"), watch: true });
    assert_eq!(config.warnings, []);
}

#[test]
fn mistakes_in_both_files_are_reported_at_once_each_with_its_file() {
    let folder = folder(&peer("1-ff00:0:111", "10.3.0.0/33"));
    let file = folder.path().join(FILE);
    fs::write(&file, WITH_LIST.replace("role = \"inside\"", "role = \"in\"")).unwrap();
    let problems = FilterConfig::load(&file).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (problem.file.file_name().unwrap().to_str().unwrap(), problem.position.unwrap().line))
        .collect();
    assert_eq!(places, [(FILE, 5), ("list.toml", 2), ("list.toml", 3)]);
}

#[test]
fn a_list_that_is_not_there_is_named() {
    let folder = folder("");
    fs::remove_file(folder.path().join("list.toml")).unwrap();
    let problems = FilterConfig::load(&folder.path().join(FILE)).unwrap_err().to_string();
    assert!(problems.ends_with("list.toml: cannot be read: No such file or directory (os error 2)"), "{problems}");
}

#[test]
fn at_a_start_the_rest_of_the_configuration_can_do_without_the_list() {
    let folder = folder("peers = 1");
    let file = folder.path().join(FILE);
    let (config, problems) = FilterConfig::load_to_start(&file, SecretFiles::Check).unwrap();
    assert!(config.peers.peers().is_empty());
    assert!(problems.unwrap().to_string().ends_with("peers: this is a whole number: write a list in brackets: [ … ]"));
    fs::write(&file, format!("{WITH_LIST}[lf]\nport = 0\n")).unwrap();
    let problems = FilterConfig::load_to_start(&file, SecretFiles::Check).unwrap_err();
    assert_eq!(problems.iter().len(), 2, "{problems}");
}

#[test]
fn a_list_and_peers_beside_it_are_refused() {
    refused(
        "[as_list]\nfile = \"list.toml\"",
        "as_list: given beside [[peers]]: the peers are here or in a file of their own, so remove one of the two",
    );
    let text = WITH_LIST.replace("file = \"list.toml\"", "");
    assert_eq!(problems(&text), ["as_list.file: missing: add file = \"as-list.toml\""]);
}

#[test]
fn a_list_is_checked_against_the_filter_that_names_it() {
    let folder = folder(&(peer("1-ff00:0:111", "2001:db8::/32") + &peer("4-1", "10.4.0.0/16")));
    let file = folder.path().join(FILE);
    let text = WITH_LIST.replace("role = \"inside\"", "role = \"inside\"\nmtu = 1279");
    fs::write(&file, text + "[keys]\nmax_peers = 1\n").unwrap();
    let problems = FilterConfig::load(&file).unwrap_err().to_string();
    assert!(problems.contains("is this filter's own AS (isd_as)"), "{problems}");
    assert!(problems.contains("a port has an mtu of 1279"), "{problems}");
}

#[test]
fn the_context_of_a_later_list_is_that_of_the_first() {
    let text = format!("{MINIMAL}[lf]\ndrkey_protocol = 9\n[keys]\nmax_peers = 7\nepoch = \"1h\"\n");
    let config = FilterConfig::parse(FILE.as_ref(), &text).unwrap();
    let context = config.list_context();
    assert_eq!((context.local, context.default_protocol.0), (Some(config.isd_as), 9));
    assert_eq!((context.times, context.max_peers, context.least_mtu), (Some(config.keys.times), 7, 1500));
}

/// A folder with a configuration and the list that it names.
fn folder(list: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [(FILE, WITH_LIST), ("list.toml", list)] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

pub(super) const WITH_LIST: &str = r#"isd_as = "1-ff00:0:111"
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "inside"
forward_to = "outside"
[[ports]]
name = "outside"
device = "net_tap1,iface=pg-out"
role = "outside"
forward_to = "inside"
[as_list]
file = "list.toml"
"#;
