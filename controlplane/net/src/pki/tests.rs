//! An authority and its certificates: made, kept, renewed, and used.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use photongate_wire::{Nanos, UnixNanos};
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::config::read_text;
use crate::tls::{ClientCertificates, ClientTls, ClientTlsFiles, ServerTls, SubjectPattern, TlsFiles};

#[tokio::test]
async fn what_is_made_lets_a_server_and_a_client_shake_hands() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    assert_eq!(trial.shake("qks-a", "qks-b", "qks-a", "127.0.0.1").await, Ok(()));
    assert_eq!(trial.shake("qks-a", "alice", "qks-a", "QKS-A.example").await, Ok(()));
    let other_host = trial.shake("qks-a", "alice", "qks-a", "127.0.0.2").await.unwrap_err();
    assert!(other_host.contains("not valid for name"), "{other_host}");
    let other_server = trial.shake("qks-a", "alice", "qks-b", "127.0.0.1").await.unwrap_err();
    assert!(other_server.contains("and not CN=qks-b"), "{other_server}");
}

#[tokio::test]
async fn an_application_cannot_pose_as_a_server() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    let error = trial.shake("alice", "qks-b", "alice", "127.0.0.1").await.unwrap_err();
    assert!(error.contains("does not allow extended key usage"), "{error}");
}

#[test]
fn a_certificate_names_its_holder_and_the_role() {
    let trial = Trial::new(SITE);
    let reports = trial.init().unwrap();
    let info = reports[1].info.as_ref().unwrap();
    assert_eq!(info.subject.to_string(), "CN=qks-a SAN:127.0.0.1 SAN:qks-a.example SAN:photongate:qks:qks-a");
    assert_eq!(info.not_after.0 - trial.now.0, 30 * DAY.0);
    let serials: HashSet<_> = reports.iter().filter_map(|report| Some(&report.info.as_ref()?.serial)).collect();
    assert_eq!(serials.len(), reports.len());
}

#[test]
fn keys_are_their_owners_alone_and_certificates_are_for_everybody() {
    let trial = Trial::new(SITE);
    for report in trial.init().unwrap() {
        assert_eq!(report.action, Action::Made);
        assert_eq!((mode(&report.key), mode(&report.certificate)), (0o600, 0o644), "{}", report.name);
    }
    assert_eq!(mode(&trial.folder()), 0o700);
}

#[test]
fn what_is_there_is_kept_and_what_is_missing_is_made() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    let before = trial.content();
    let more = trial.with(&format!("{SITE}[[certificates]]\nname = \"bob\"\nrole = \"sae\"\n"));
    let reports = more.init(trial.now).unwrap();
    let actions: Vec<_> = reports.iter().map(|report| report.action).collect();
    assert_eq!(actions, [Action::Kept, Action::Kept, Action::Kept, Action::Kept, Action::Made]);
    for (path, content) in before {
        assert_eq!(fs::read(&path).unwrap(), content, "{}", path.display());
    }
}

#[test]
fn a_key_that_an_interrupted_run_left_alone_gets_its_certificate() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    let key = fs::read(trial.file("alice-key.pem")).unwrap();
    fs::remove_file(trial.file("alice.pem")).unwrap();
    let reports = trial.init().unwrap();
    assert_eq!((reports[3].action, &reports[3].standing), (Action::Made, &Standing::Good));
    assert_eq!(fs::read(trial.file("alice-key.pem")).unwrap(), key);
}

#[test]
fn only_what_ends_soon_is_renewed_and_keeps_its_key() {
    let trial = Trial::new(SITE);
    let first = trial.init().unwrap();
    let later = UnixNanos(trial.now.0 + 21 * DAY.0);
    let key = fs::read(trial.file("qks-a-key.pem")).unwrap();
    let due = trial.pki().init(later).unwrap();
    assert_eq!((due[1].action, &due[1].standing), (Action::Kept, &Standing::Bad(Fault::Ending)));
    let renewed = trial.pki().renew(later, Renewal::default()).unwrap();
    let actions: Vec<_> = renewed.iter().map(|report| report.action).collect();
    assert_eq!(actions, [Action::Kept, Action::Renewed, Action::Kept, Action::Kept]);
    assert_eq!(renewed[1].info.as_ref().unwrap().not_after.0 - later.0, 30 * DAY.0);
    assert_ne!(renewed[1].info.as_ref().unwrap().serial, first[1].info.as_ref().unwrap().serial);
    assert_eq!(fs::read(trial.file("qks-a-key.pem")).unwrap(), key);
    assert_eq!(mode(&trial.file("qks-a.pem")), 0o644);
}

#[test]
fn a_renewal_may_reach_further_ahead_and_bring_new_keys() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    let key = fs::read(trial.file("qks-b-key.pem")).unwrap();
    let renewal = Renewal { before: Some(Nanos(45 * DAY.0)), new_keys: true };
    let renewed = trial.pki().renew(UnixNanos(trial.now.0 + 50 * DAY.0), renewal).unwrap();
    assert!(renewed[1..].iter().all(|report| report.action == Action::Renewed && report.standing == Standing::Good));
    assert_ne!(fs::read(trial.file("qks-b-key.pem")).unwrap(), key);
    assert_eq!(mode(&trial.file("qks-b-key.pem")), 0o600);
}

#[test]
fn other_hosts_in_the_site_file_make_a_certificate_due() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    let moved = trial.with(&SITE.replace("\"127.0.0.1\", \"QKS-a", "\"192.0.2.1\", \"QKS-a"));
    assert_eq!(moved.init(trial.now).unwrap()[1].standing, Standing::Bad(Fault::OtherNames));
    let renewed = moved.renew(trial.now, Renewal::default()).unwrap();
    assert_eq!((renewed[1].action, &renewed[1].standing), (Action::Renewed, &Standing::Good));
}

#[test]
fn a_certificate_of_another_key_or_another_authority_is_noticed() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    fs::copy(trial.file("qks-b-key.pem"), trial.file("qks-a-key.pem")).unwrap();
    let other = Trial::new(SITE);
    other.init().unwrap();
    for file in ["qks-b.pem", "qks-b-key.pem"] {
        fs::copy(other.file(file), trial.file(file)).unwrap();
    }
    let reports = trial.pki().show(trial.now).unwrap();
    assert_eq!(reports[1].standing, Standing::Bad(Fault::OtherKey));
    assert_eq!(reports[2].standing, Standing::Bad(Fault::OtherAuthority));
}

#[test]
fn half_an_authority_is_not_made_whole() {
    for file in ["ca.pem", "ca-key.pem"] {
        let trial = Trial::new(SITE);
        trial.init().unwrap();
        fs::remove_file(trial.file(file)).unwrap();
        let error = trial.init().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is missing beside", trial.file(file).display())), "{error}");
        assert!(!trial.file(file).exists());
    }
}

#[test]
fn a_certificate_without_its_key_is_not_written_over() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    fs::remove_file(trial.file("alice-key.pem")).unwrap();
    for outcome in [trial.init(), trial.pki().renew(trial.now, Renewal::default())] {
        assert!(matches!(outcome, Err(PkiError::WithoutKey { .. })));
    }
}

#[test]
fn a_key_of_the_authority_that_others_can_read_is_refused() {
    let trial = Trial::new(SITE);
    trial.init().unwrap();
    fs::set_permissions(trial.file("ca-key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = trial.init().unwrap_err().to_string();
    assert!(error.contains("has mode 640, so not only its owner can use it: run chmod 600"), "{error}");
}

#[test]
fn nothing_outlives_the_authority_and_nothing_is_issued_after_its_end() {
    let trial = Trial::new(&format!("[authority]\nyears = 1\n{SITE}"));
    trial.init().unwrap();
    let near_its_end = UnixNanos(trial.now.0 + 360 * DAY.0);
    let renewed = trial.pki().renew(near_its_end, Renewal::default()).unwrap();
    assert_eq!(renewed[0].standing, Standing::Bad(Fault::Ending));
    let (authority, certificate) = (renewed[0].info.as_ref().unwrap(), renewed[1].info.as_ref().unwrap());
    assert_eq!(certificate.not_after, authority.not_after);
    let error = trial.pki().renew(UnixNanos(trial.now.0 + 366 * DAY.0), Renewal::default()).unwrap_err().to_string();
    assert!(error.contains("the time of the authority's certificate is over"), "{error}");
}

#[test]
fn two_runs_in_one_folder_do_not_mix() {
    let trial = Trial::new(SITE);
    fs::create_dir(trial.folder()).unwrap();
    let _lock = files::take_folder(&trial.folder()).unwrap();
    assert!(matches!(trial.init(), Err(PkiError::Busy { .. })));
}

#[test]
fn every_mistake_of_a_site_file_is_told_with_what_to_do() {
    let text = r#"
certificates = [
    { name = "qks a", role = "qks", hosts = ["127.0.0.1:443"] },
    { name = "ca", role = "kme" },
    { name = "a-key", role = "sae", days = 0 },
    { name = "b", role = "filter" },
    { name = "c", role = "sae" },
    { name = "c", role = "admin", hosts = ["127.0.0.300", "-a.example", "*.example"] },
    { name = "c", role = "admin" },
]"#;
    let problems = read_text("site.toml".as_ref(), text, site::read).unwrap_err().to_string();
    assert_eq!(
        problems,
        r#"site.toml:3:14: certificates[0].name: "qks a" is no name here: write letters, digits, "-", "_" and ".", a letter or digit first
site.toml:3:46: certificates[0].hosts[0]: "127.0.0.1:443" is no host: write a DNS name or an IP address, without a port
site.toml:4:14: certificates[1].name: "ca" would get the files of another: "ca" and names that end in "-key" are taken
site.toml:4:27: certificates[1].role: "kme" is not a choice here: write "qks", "sae", "module", "filter", "admin", "px" or "dht"
site.toml:5:14: certificates[2].name: "a-key" would get the files of another: "ca" and names that end in "-key" are taken
site.toml:5:44: certificates[2].days: 0 is too small: 1 to 3650 days
site.toml:6:5: certificates[3].hosts: missing: add hosts = ["127.0.0.1", "qks-a.example"]
site.toml:8:44: certificates[5].hosts[0]: "127.0.0.300" is no host: write a DNS name or an IP address, without a port
site.toml:8:59: certificates[5].hosts[1]: "-a.example" is no host: write a DNS name or an IP address, without a port
site.toml:9:14: certificates[6].name: "c" is the name of another certificate too"#
    );
}

/// A site whose folder is there as long as the test.
struct Trial {
    folder: TempDir,
    site: Site,
    now: UnixNanos,
}

impl Trial {
    fn new(text: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { folder: tempfile::tempdir().unwrap(), site: parse(text), now: UnixNanos(now * 1_000_000_000) }
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn pki(&self) -> Pki {
        Pki::new(self.site.clone(), &self.folder())
    }

    /// The same folder, for another site file.
    fn with(&self, text: &str) -> Pki {
        Pki::new(parse(text), &self.folder())
    }

    fn init(&self) -> Result<Vec<Report>, PkiError> {
        self.pki().init(self.now)
    }

    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// Has `client` call `server` as `host`, and expect the name `expected`.
    async fn shake(&self, server: &str, client: &str, expected: &str, host: &str) -> Result<(), String> {
        let pair = |name: &str| (self.file(&format!("{name}.pem")), self.file(&format!("{name}-key.pem")));
        let ca = self.file("ca.pem");
        let (certificate, key) = pair(server);
        let clients = ClientCertificates::Required(ca.clone());
        let server = ServerTls::load(TlsFiles { certificate, key, clients }).unwrap();
        let expected = Some(SubjectPattern::CommonName(expected.to_owned()));
        let client = ClientTls::load(ClientTlsFiles { ca, identity: Some(pair(client)), expected }).unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let (near, far) = tokio::join!(
            TlsConnector::from(Arc::clone(&client.config())).connect(host, near),
            TlsAcceptor::from(server.config()).accept(far)
        );
        near.map_err(|error| error.to_string())?;
        far.map(|_| ()).map_err(|error| error.to_string())
    }
}

fn parse(text: &str) -> Site {
    read_text("site.toml".as_ref(), text, site::read).unwrap().config
}

fn mode(path: &PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const DAY: Nanos = Nanos::from_secs(24 * 60 * 60);

const SITE: &str = r#"
[[certificates]]
name = "qks-a"
role = "qks"
hosts = ["127.0.0.1", "QKS-a.example"]
days = 30

[[certificates]]
name = "qks-b"
role = "qks"
hosts = ["127.0.0.1"]

[[certificates]]
name = "alice"
role = "sae"
hosts = ["127.0.0.1"]
"#;
