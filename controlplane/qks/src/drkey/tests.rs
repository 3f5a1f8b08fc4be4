//! What becomes of the answers of a neighbour.

use std::fs;

use photongate_net::tls::{ClientTls, ClientTlsFiles};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::ids::StreamId;
use crate::links::Origin;
use crate::peer::PeerClient;
use crate::secrets::keyring_of;
use crate::stock::{BlockName, BlockState, Check, Piece};
use crate::store::{Database, NewBlock};

#[tokio::test]
async fn an_answer_that_was_announced_is_taken_once() {
    let lab = Lab::new().await;
    let answer = lab.answer(0);
    lab.neighbour.announce(vec![piece(0)]);
    assert_eq!(lab.receive(&answer).await.unwrap().key.as_bytes(), &[9; 16]);
    assert!(lab.receive(&answer).await.is_err(), "it was sent again");
}

#[tokio::test]
async fn an_answer_under_key_material_that_was_not_announced_is_refused() {
    let lab = Lab::new().await;
    lab.neighbour.announce(vec![piece(0)]);
    assert!(lab.receive(&lab.answer(32)).await.is_err());
}

#[tokio::test]
async fn an_answer_that_was_changed_is_refused_and_its_key_material_is_not_taken_again() {
    let lab = Lab::new().await;
    let answer = lab.answer(0);
    let mut changed = serde_json::to_value(&answer).unwrap();
    changed["not_after"] = serde_json::json!(721);
    lab.neighbour.announce(vec![piece(0)]);
    assert!(lab.receive(&serde_json::from_value(changed).unwrap()).await.is_err());
    assert!(lab.receive(&answer).await.is_err());
}

/// A neighbour, and a block of key material shared with it.
struct Lab {
    neighbour: Arc<Neighbour>,
    materials: Materials,
    bytes: Vec<u8>,
    _folder: TempDir,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.cert.pem()).unwrap();
        let tls = ClientTls::load(ClientTlsFiles { ca, identity: None, expected: None }).unwrap();
        let client = PeerClient::new(vec!["https://localhost/".parse().unwrap()], &tls).unwrap();
        let store = Store::open(&Database::Sqlite(folder.path().join("qks.db"))).await.unwrap();
        let materials = Materials::new(store.clone(), keyring_of(Arc::new(store.clone())));
        let bytes: Vec<u8> = (0..64).collect();
        let state = BlockState {
            length: 64,
            used: 0,
            is_mine: false,
            origin: Origin::Qkd,
            made_at: now(),
            expires_at: now().saturating_add(Nanos::from_secs(60)),
            check: Check([0; 16]),
        };
        let sealed = materials.seal_block(block(), &bytes).await.unwrap();
        let neighbour = "qks-b".parse().unwrap();
        let new = NewBlock { name: block(), state, neighbour, link: "ab".parse().unwrap(), sealed };
        store.add_blocks(vec![new]).await.unwrap();
        Self { neighbour: Neighbour::new("qks-b".parse().unwrap(), client), materials, bytes, _folder: folder }
    }

    /// What the neighbour answers, with the bytes at `offset` as the key of the message.
    fn answer(&self, offset: u32) -> Level1Answer {
        let epoch = Epoch { start: UnixNanos(360_000_000_000), end: UnixNanos(720_000_000_000) };
        let one_time = &self.bytes[offset as usize..offset as usize + 32];
        exchange::seal(&request(), epoch, &Key::from_bytes([9; 16]), vec![piece(offset)], one_time).unwrap()
    }

    async fn receive(&self, answer: &Level1Answer) -> Result<Level1Key, DrkeyError> {
        receive(&self.neighbour, &self.materials, &request(), answer).await
    }
}

fn request() -> Level1Request {
    let pair = AsPair { fast: IsdAs::from_bits(1), slow: IsdAs::from_bits(2) };
    Level1Request { pair, protocol: Protocol::GENERIC, at: UnixNanos(500_000_000_000) }
}

fn block() -> BlockName {
    BlockName { stream: StreamId(Uuid::nil()), number: 0 }
}

fn piece(offset: u32) -> Piece {
    Piece { block: block(), offset, length: 32 }
}
