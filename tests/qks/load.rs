//! Applications that ask for keys and fetch them as fast as they can, and what must be true of what they got.

#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::site::{self, Site, server_of};

/// From the server (or the process of one) where keys are asked for to the one where they are fetched.
pub(crate) type Way = (String, String);

/// Keys of one answer: IDs, and the keys.
pub(crate) struct Answered {
    pub(crate) way: Way,
    pub(crate) keys: Vec<(String, String)>,
}

/// Applications at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    given: Arc<Mutex<Vec<Answered>>>,
    fetched: Arc<Mutex<Vec<Answered>>>,
    asking: Vec<JoinHandle<()>>,
}

impl Load {
    /// One for each way, which sends this request again and again. The keys of every second answer are fetched at once.
    pub(crate) fn begin(site: &Site, ways: &[(&str, &str)], request: &Value) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (given, fetched) = (Arc::<Mutex<Vec<Answered>>>::default(), Arc::<Mutex<Vec<Answered>>>::default());
        let mut asking = Vec::new();
        for (from, to) in ways {
            let (master, slave) = (sae(from), sae(to));
            let (enc, dec) = (site.url(from, &slave, "enc_keys"), site.url(to, &master, "dec_keys"));
            let (at_master, at_slave) = (site.client(&master), site.client(&slave));
            let way = ((*from).to_owned(), (*to).to_owned());
            let (stop, given, fetched) = (Arc::clone(&stop), Arc::clone(&given), Arc::clone(&fetched));
            let request = request.to_string();
            asking.push(tokio::spawn(async move {
                let mut is_second = false;
                while !stop.load(Ordering::Relaxed) {
                    let Some(keys) = keys_of(at_master.post(&enc).body(request.clone())).await else {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        continue;
                    };
                    given.lock().unwrap().push(Answered { way: way.clone(), keys: keys.clone() });
                    is_second = !is_second;
                    if is_second
                        && let Some(keys) = keys_of(at_slave.post(&dec).body(site::ids(&keys).to_string())).await
                    {
                        fetched.lock().unwrap().push(Answered { way: way.clone(), keys });
                    }
                }
            }));
        }
        Self { stop, given, fetched, asking }
    }

    /// Lets them finish, and enters what they got.
    pub(crate) async fn end(self, ledger: &mut Ledger, case: &str) {
        self.stop.store(true, Ordering::Relaxed);
        for asking in self.asking {
            asking.await.unwrap();
        }
        let taken = |list: &Mutex<Vec<Answered>>| std::mem::take(&mut *list.lock().unwrap());
        ledger.enter(taken(&self.given), taken(&self.fetched), case);
    }
}

/// All keys that applications ever got.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Which key was given under which ID.
    given: HashMap<Way, HashMap<String, String>>,
    seen: HashSet<String>,
    /// The IDs that were fetched on the other side, or are lost.
    done: HashSet<String>,
}

impl Ledger {
    /// No ID and no key may come twice, and both sides must have the same.
    pub(crate) fn enter(&mut self, given: Vec<Answered>, fetched: Vec<Answered>, case: &str) {
        for Answered { way, keys } in given {
            let known = self.given.entry(way).or_default();
            for (id, key) in keys {
                assert!(self.seen.insert(id.clone()), "{case}: the ID {id} was given twice");
                assert!(self.seen.insert(key.clone()), "{case}: a key was given twice, last as {id}");
                known.insert(id, key);
            }
        }
        for Answered { way, keys } in fetched {
            self.compare(&way, keys, case);
        }
    }

    /// Fetches what was not fetched yet, each key once. Of all, `most_lost` may be gone: what was on its way when a server died.
    pub(crate) async fn settle(&mut self, site: &Site, most_lost: usize, case: &str) {
        let mut lost = 0;
        for (way, known) in self.given.clone() {
            let client = site.client(&sae(&way.1));
            let url = site.url(&way.1, &sae(&way.0), "dec_keys");
            let missing: Vec<_> = known.into_keys().filter(|id| !self.done.contains(id)).collect();
            for together in missing.chunks(TOGETHER) {
                let answer = site::post(&client, url.clone(), &site::key_ids(together)).await;
                // If one is lost, none is given: then each for itself.
                match answer.status {
                    StatusCode::OK => self.compare(&way, site::keys(&answer), case),
                    StatusCode::BAD_REQUEST => lost += self.settle_each(&client, &url, &way, together, case).await,
                    status => panic!("{case}: {status} for {together:?}"),
                }
                for id in together.iter().take(3) {
                    let again = site::get(&client, format!("{url}?key_ID={id}")).await;
                    assert_eq!(again.status, StatusCode::BAD_REQUEST, "{case}: {id} is given a second time");
                }
            }
        }
        assert!(lost <= most_lost, "{case}: {lost} keys are lost");
    }

    /// Returns how many of them are lost.
    async fn settle_each(&mut self, client: &Client, url: &str, way: &Way, ids: &[String], case: &str) -> usize {
        let mut lost = 0;
        for id in ids {
            let answer = site::get(client, format!("{url}?key_ID={id}")).await;
            match answer.status {
                StatusCode::OK => self.compare(way, site::keys(&answer), case),
                StatusCode::BAD_REQUEST => lost += usize::from(self.done.insert(id.clone())),
                status => panic!("{case}: {status} for {id}"),
            }
        }
        lost
    }

    /// How many keys were given on a way.
    pub(crate) fn count(&self, from: &str, to: &str) -> usize {
        self.given.get(&(from.to_owned(), to.to_owned())).map_or(0, HashMap::len)
    }

    fn compare(&mut self, way: &Way, keys: Vec<(String, String)>, case: &str) {
        for (id, key) in keys {
            assert!(self.done.insert(id.clone()), "{case}: {id} was fetched twice");
            // One whose answer the master has not got is nobody's key.
            if let Some(given) = self.given.get(way).and_then(|known| known.get(&id)) {
                assert_eq!(*given, key, "{case}: the two sides have different keys for {id}");
            }
        }
    }
}

/// The application of a server.
fn sae(process: &str) -> String {
    format!("sae-{}", server_of(process))
}

/// The keys of an answer, if there is one in time and it has some.
async fn keys_of(request: RequestBuilder) -> Option<Vec<(String, String)>> {
    let response = request.timeout(PATIENCE).send().await.ok()?;
    let is_given = response.status() == StatusCode::OK;
    let answer: Value = response.json().await.ok()?;
    let keys = answer["keys"].as_array().filter(|_| is_given)?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some(keys.iter().map(|key| (text(&key["key_ID"]), text(&key["key"]))).collect())
}

const PATIENCE: Duration = Duration::from_secs(10);

/// Keys that are fetched in one request.
const TOGETHER: usize = 64;
