//! A way to a server that can be made slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Passes TCP connections on, at once or not at all.
pub(crate) struct SlowWay {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_slow: AtomicBool,
    waiting: AtomicUsize,
}

impl SlowWay {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(near, server, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    /// From now on new connections lead nowhere, and so do those that are open; or they are as they should be.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        self.state.is_slow.store(is_slow, Ordering::SeqCst);
    }

    /// How many connections were made while it was slow.
    pub(crate) fn waiting(&self) -> usize {
        self.state.waiting.load(Ordering::SeqCst)
    }
}

async fn pass(mut near: TcpStream, server: u16, state: Arc<State>) {
    if state.is_slow.load(Ordering::SeqCst) {
        state.waiting.fetch_add(1, Ordering::SeqCst);
        near.readable().await.ok();
        // Until whoever waits has given up.
        let mut rest = tokio::io::sink();
        tokio::io::copy(&mut near, &mut rest).await.ok();
        return;
    }
    let mut far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
    let slow = async {
        while !state.is_slow.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        // A connection that was open is cut.
        () = slow => {}
    }
}
