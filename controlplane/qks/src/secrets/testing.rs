//! What tests of secrets have in common.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{RewrapKeys, Sealing, WrappedKeys};

/// A store of wrapped keys in memory, shared by the processes of a test.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<u32, Vec<u8>>>);

impl Shelf {
    pub(crate) fn content(&self) -> BTreeMap<u32, Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn put(&self, number: u32, wrapped: Vec<u8>) {
        self.0.lock().unwrap().insert(number, wrapped);
    }
}

impl WrappedKeys for Shelf {
    fn load(&self, number: u32) -> Sealing<'_, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.content().get(&number).cloned()) })
    }

    fn latest(&self) -> Sealing<'_, Option<u32>> {
        Box::pin(async move {
            let latest = self.content().keys().max().copied();
            // So that others come between the question and what is made of the answer.
            tokio::task::yield_now().await;
            Ok(latest)
        })
    }

    fn add<'k>(&'k self, number: u32, wrapped: &'k [u8]) -> Sealing<'k, bool> {
        Box::pin(async move {
            let mut keys = self.0.lock().unwrap();
            let is_free = !keys.contains_key(&number);
            keys.entry(number).or_insert_with(|| wrapped.to_vec());
            Ok(is_free)
        })
    }
}

impl RewrapKeys for Shelf {
    fn replace<'k>(&'k self, number: u32, old: &'k [u8], new: &'k [u8]) -> Sealing<'k, bool> {
        Box::pin(async move {
            let mut keys = self.0.lock().unwrap();
            let found = keys.get_mut(&number).filter(|found| *found == old);
            Ok(found.map(|found| new.clone_into(found)).is_some())
        })
    }
}
