//! One bucket: the contacts at one distance, and those that wait for a place among them.

use std::net::SocketAddr;

use photongate_wire::Nanos;

use crate::{contact::Contact, id::Id};

/// The contacts at one distance.
#[derive(Default)]
pub(crate) struct Bucket {
    /// Heard longest ago first; before them those that were silent.
    entries: Vec<Entry>,
    /// Newest last.
    waiting: Vec<Contact>,
    /// When something was looked up here.
    pub(super) touched: Option<Nanos>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(super) contact: Contact,
    /// When it answered last.
    pub(super) heard: Nanos,
    /// How often it did not answer since.
    pub(super) silent: u8,
}

impl Bucket {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, id: &Id) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.contact.id == *id)
    }

    /// The one to be given up first.
    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.entries.first()
    }

    pub(super) fn live(&self) -> impl Iterator<Item = Contact> {
        self.entries.iter().filter(|entry| entry.silent == 0).map(|entry| entry.contact)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.entries.iter().map(|entry| entry.contact.address)
    }

    pub(super) fn insert(&mut self, contact: Contact, now: Nanos) {
        self.waiting.retain(|other| other.id != contact.id);
        self.entries.push(Entry { contact, heard: now, silent: 0 });
    }

    /// It has answered: it is given up last.
    pub(super) fn refresh(&mut self, id: &Id, now: Nanos) {
        if let Some(entry) = self.remove(id) {
            self.insert(entry.contact, now);
        }
    }

    /// It did not answer. It loses its place if somebody waits for it, or if this was not the first time.
    pub(super) fn silent(&mut self, id: &Id) {
        if let Some(mut entry) = self.remove(id) {
            entry.silent += 1;
            if self.waiting.is_empty() && entry.silent < MOST_SILENT {
                self.entries.insert(0, entry);
            }
        }
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.contact.id == *id)?;
        Some(self.entries.remove(at))
    }

    pub(super) fn remove_all(&mut self, is_gone: impl Fn(&Contact) -> bool) {
        self.entries.retain(|entry| !is_gone(&entry.contact));
        self.waiting.retain(|contact| !is_gone(contact));
    }

    /// Lets somebody wait; at most so many do, and the newest are likeliest to live.
    pub(super) fn wait(&mut self, contact: Contact, most: usize) {
        self.waiting.retain(|other| other.id != contact.id);
        self.waiting.push(contact);
        if self.waiting.len() > most {
            self.waiting.remove(0);
        }
    }

    pub(super) fn newest_waiting(&mut self) -> Option<Contact> {
        self.waiting.pop()
    }

    pub(super) fn forget_waiting(&mut self, contact: &Contact) {
        self.waiting.retain(|other| other != contact);
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.waiting.capacity() * size_of::<Contact>()
    }
}

/// A contact that was silent so often has no place any more, even if nobody waits for it.
const MOST_SILENT: u8 = 3;
