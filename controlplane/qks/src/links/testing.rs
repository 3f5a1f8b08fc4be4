//! Two ends of a link for tests, and what is between them.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use bytes::Bytes;
use photongate_net::http::{Bounds, MachineOptions, MachineServer};
use photongate_net::tls::{ClientCertificates, ServerTls, SubjectPattern, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::signature::{Credentials, Signer};
use super::{
    Block, Channel, ChannelError, DeviceAddress, LinkEnd, LinkSource, Phase, Question, SourceError, SourceState,
};

/// The two servers of a link, `a` which leads and `b`, and the way between them.
#[derive(Clone)]
pub(super) struct Net(Arc<Shared>);

struct Shared {
    /// Who listens at `a` and at `b`.
    ends: [Mutex<Option<mpsc::Sender<Question>>>; 2],
    wire: Mutex<Wire>,
}

/// What becomes of a message on its way. `None`: it is lost.
type Wire = Box<dyn FnMut(Leg, Bytes) -> Option<Bytes> + Send>;

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// What the leading end asks.
    Question,
    /// What it is told.
    Answer,
}

/// A source that runs at one end.
pub(super) struct Running {
    pub(super) blocks: mpsc::Receiver<Block>,
    pub(super) state: watch::Receiver<SourceState>,
    pub(super) task: JoinHandle<Result<(), SourceError>>,
    /// What must not be gone before it.
    _site: Option<Site>,
}

impl Net {
    /// A link that loses nothing.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { ends: Default::default(), wire: Mutex::new(Box::new(|_, message| Some(message))) }))
    }

    /// From now on messages pass through `wire`.
    pub(super) fn wire(&self, wire: impl FnMut(Leg, Bytes) -> Option<Bytes> + Send + 'static) {
        *self.0.wire.lock().unwrap() = Box::new(wire);
    }

    /// Runs a source at the leading end, in the place of one that ran there before.
    pub(super) fn lead(&self, source: impl LinkSource) -> Running {
        self.run(0, Box::new(source))
    }

    /// As [`lead`](Self::lead), for the other end.
    pub(super) fn follow(&self, source: impl LinkSource) -> Running {
        self.run(1, Box::new(source))
    }

    fn run(&self, side: usize, source: Box<dyn LinkSource>) -> Running {
        let (asked, questions) = mpsc::channel(64);
        *self.0.ends[side].lock().unwrap() = Some(asked);
        let (blocks, produced) = mpsc::channel(ROOM);
        let (state, shown) = watch::channel(SourceState::default());
        let names: [crate::ids::QksId; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let end = LinkEnd {
            link: "a-to-b".parse().unwrap(),
            local: names[side].clone(),
            remote: names[1 - side].clone(),
            peer: Arc::new(Way { net: self.clone(), to: 1 - side }),
            questions,
            blocks,
            state,
        };
        Running { blocks: produced, state: shown, task: tokio::spawn(source.run(end)), _site: None }
    }
}

impl Running {
    /// Keeps the files of a site as long as the source.
    pub(super) fn with(self, site: &Site) -> Self {
        Self { _site: Some(site.clone()), ..self }
    }

    /// The next block.
    pub(super) async fn block(&mut self) -> Block {
        let block = timeout(PATIENCE, self.blocks.recv()).await;
        let state = self.state.borrow().clone();
        block.unwrap_or_else(|_| panic!("no block comes: {state:?}")).expect("the source has ended")
    }

    /// Waits until the source is in this phase, and says what it gives as the reason.
    pub(super) async fn phase(&mut self, phase: Phase) -> String {
        let reached = timeout(PATIENCE, self.state.wait_for(|state| state.phase == phase)).await;
        let state = reached.unwrap_or_else(|_| panic!("it is not {phase:?}")).expect("the source has ended").clone();
        state.reason.unwrap_or_default()
    }

    /// Waits until the reason that the source gives contains `text`.
    pub(super) async fn reason(&mut self, text: &str) {
        let says = |state: &SourceState| state.reason.as_ref().is_some_and(|reason| reason.contains(text));
        let reached = timeout(PATIENCE, self.state.wait_for(says)).await.map(drop);
        assert!(reached.is_ok(), "{:?} and not {text:?}", self.state.borrow());
    }

    /// Ends it at once, as when its process is killed.
    pub(super) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Answers as a device whose TLS side `site` certified, until the end of the test: where it is.
pub(super) async fn serve(site: &Site, router: Router) -> DeviceAddress {
    let Credentials { certificate, key, ca } = site.credentials("device");
    let tls = ServerTls::load(TlsFiles { certificate, key, clients: ClientCertificates::Required(ca) }).unwrap();
    let listeners = vec![("127.0.0.1:0".parse().unwrap(), Arc::new(tls))];
    let refusal = |status, _: &str| IntoResponse::into_response(status);
    let options = MachineOptions { listeners, bounds: Bounds::default(), refusal };
    let server = MachineServer::bind(options).await.unwrap();
    let port = server.addresses()[0].port();
    tokio::spawn(server.run(router, std::future::pending()));
    DeviceAddress {
        url: format!("https://localhost:{port}/").parse().unwrap(),
        credentials: site.credentials("application"),
        device: Some(SubjectPattern::CommonName("device".to_owned())),
    }
}

/// Fails unless both ends have the same block.
pub(super) fn assert_same(a: &Block, b: &Block) {
    assert_eq!((a.stream, a.number, a.origin), (b.stream, b.number, b.origin));
    assert!(a.bytes == b.bytes, "the bytes of {a:?} differ");
}

struct Way {
    net: Net,
    to: usize,
}

impl Way {
    fn pass(&self, leg: Leg, message: Bytes) -> Result<Bytes, ChannelError> {
        let passed = self.net.0.wire.lock().unwrap()(leg, message);
        passed.ok_or_else(|| ChannelError::Unreachable("the wire is cut".to_owned()))
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Way({})", self.to)
    }
}

impl Channel for Way {
    fn ask(
        &self,
        question: Bytes,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ChannelError>> + Send + '_>> {
        Box::pin(async move {
            let gone = || ChannelError::NoAnswer("nobody is there".to_owned());
            let body = self.pass(Leg::Question, question)?;
            let other = self.net.0.ends[self.to].lock().unwrap().clone().ok_or_else(gone)?;
            let (answer, answered) = oneshot::channel();
            other.try_send(Question { body, answer }).map_err(|_| gone())?;
            let answered = timeout(patience, answered).await;
            let late = |_| ChannelError::Unreachable("it takes too long".to_owned());
            self.pass(Leg::Answer, answered.map_err(late)?.map_err(|_| gone())?)
        })
    }
}

/// An authority, and the files of whom it certified.
#[derive(Clone)]
pub(super) struct Site {
    folder: Arc<TempDir>,
    authority: Arc<CertifiedIssuer<'static, KeyPair>>,
}

impl Site {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("ca.pem"), &authority.pem());
        Self { folder: Arc::new(folder), authority: Arc::new(authority) }
    }

    /// The files of one whose common name is `name`. It serves at `localhost`, too.
    pub(super) fn credentials(&self, name: &str) -> Credentials {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &*self.authority).unwrap();
        let (certificate_path, key_path) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        write(&certificate_path, &certificate.pem());
        write(&key_path, &key.serialize_pem());
        Credentials { certificate: certificate_path, key: key_path, ca: self.path("ca.pem") }
    }

    /// What the server `name` signs with, for the server `other`.
    pub(super) fn open(&self, name: &str, other: &str) -> Signer {
        self.credentials(name).open(&other.parse().unwrap()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn write(path: &Path, text: &str) {
    photongate_net::secret_file::replace(path, text.as_bytes()).unwrap();
}

/// Blocks that wait to be taken, before a source must wait.
pub(super) const ROOM: usize = 4;

/// Longer than any source needs. Tests run in paused time, where it costs nothing.
const PATIENCE: Duration = Duration::from_secs(3_600);
