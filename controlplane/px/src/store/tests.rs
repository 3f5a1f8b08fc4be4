use std::sync::{Arc, Mutex};

use omnipaxos::ballot_leader_election::Ballot;
use proptest::prelude::*;

use super::*;
use crate::{
    command::{Change, ClientId, Command, Entry, Generation, Pid, Revision, Sequence, Ticket, UnixMillis, Value},
    membership::Membership,
    state::State,
    storage::image::Image,
};

#[test]
fn what_was_written_is_there_after_a_start_and_starts_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, recovered) = open(directory.path());
    assert_eq!((recovered.boot, recovered.cluster.is_none()), (1, true));
    let mut history = History::new();
    let batch = [history.begin(), history.append(3), history.promise(), history.decide()].concat();
    store.write(&batch).unwrap();
    drop(store);

    let (_, recovered) = Store::open(directory.path(), &node(), StoreId(99)).unwrap();

    assert_eq!((recovered.boot, recovered.store), (2, StoreId(7)));
    assert_eq!(recovered.cluster, history.image.recover());
}

#[test]
fn the_directory_of_another_node_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let refused = Store::open(directory.path(), &"b".into(), StoreId(7)).unwrap_err();
    assert!(matches!(&refused, StoreError::OtherNode { found, .. } if *found == node()), "{refused}");
}

#[test]
fn a_directory_that_is_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path());
    let refused = Store::open(directory.path(), &node(), StoreId(7)).unwrap_err();
    assert!(matches!(refused, StoreError::InUse), "{refused}");
}

#[test]
fn a_damaged_byte_is_found_wherever_data_are() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path());
    let mut history = History::new();
    store.write(&[history.begin(), history.append(40)].concat()).unwrap();
    store.write(&history.append(40)).unwrap();
    store.write(&history.promise()).unwrap();
    let expected = history.image.recover();
    drop(store);
    for file in [DATABASE, JOURNAL] {
        let path = directory.path().join(file);
        let whole = fs::read(&path).unwrap();
        let marked: Vec<_> = whole.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK).collect();
        assert!(!marked.is_empty(), "half of the entries are somewhere in {file}");

        let found = marked.iter().filter(|(offset, _)| {
            let mut damaged = whole.clone();
            damaged[*offset] ^= 1;
            fs::write(&path, &damaged).unwrap();
            match Store::open(directory.path(), &node(), StoreId(7)) {
                Err(StoreError::Corrupted(_) | StoreError::Damaged { .. }) => true,
                Err(other) => panic!("{other}"),
                // A copy that is of no use any more.
                Ok((_, recovered)) => {
                    assert_eq!(recovered.cluster, expected, "damaged data are never taken for good ones");
                    false
                }
            }
        });

        assert!(found.count() >= 24, "one for each of the values");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_journal_that_is_gone_is_not_taken_for_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path());
    let mut history = History::new();
    store.write(&history.begin()).unwrap();
    store.write(&history.append(3)).unwrap();
    drop(store);
    fs::remove_file(directory.path().join(JOURNAL)).unwrap();
    let refused = Store::open(directory.path(), &node(), StoreId(7)).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

#[test]
fn the_journal_is_used_again_when_the_database_has_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path());
    let mut history = History::new();
    store.write(&history.begin()).unwrap();
    for _ in 0..10 {
        for _ in 0..20 {
            store.write(&history.append(1)).unwrap();
            store.write(&history.decide()).unwrap();
        }
        store.write(&history.apply_and_trim()).unwrap();
    }
    let journal = fs::metadata(directory.path().join(JOURNAL)).unwrap();
    assert_eq!(journal.len(), 1 << 20, "400 batches were written, of a page each");
    store.write(&history.append(1)).unwrap();
    drop(store);
    assert_eq!(open(directory.path()).1.cluster, history.image.recover());
}

#[test]
fn a_journal_grows_no_further_when_no_state_is_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path());
    let mut history = History::new();
    store.write(&history.begin()).unwrap();
    for _ in 0..600 {
        store.write(&history.promise()).unwrap();
    }
    drop(store);
    let journal = fs::metadata(directory.path().join(JOURNAL)).unwrap();
    assert!(journal.len() <= 1 << 20, "{journal:?}");
    assert_eq!(open(directory.path()).1.cluster, history.image.recover());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn after_a_crash_the_disk_has_what_was_synced_and_no_half_of_what_was_not(
        steps in proptest::collection::vec(0..7_u8, 1..40),
        dies_after in 0..120_usize,
        seed in any::<u64>(),
    ) {
        let machine = Machine::default();
        let (mut store, _) = machine.open();
        let mut history = History::new();
        store.write(&history.begin()).unwrap();
        let mut durable = history.image.clone();
        machine.die_after(dies_after);
        for step in steps {
            let batch = history.step(step);
            if store.write(&batch).is_err() {
                break;
            }
            durable = history.image.clone();
        }
        let crashed = machine.crash(seed);
        drop(store);

        let (mut store, recovered) = crashed.open();

        let last = history.image.recover();
        prop_assert!(recovered.cluster == durable.recover() || recovered.cluster == last);
        // And it goes on from there.
        let mut history = History { image: if recovered.cluster == last { history.image } else { durable }, ..history };
        history.resume();
        store.write(&history.step(0)).unwrap();
        drop(store);
        prop_assert_eq!(crashed.open().1.cluster, history.image.recover());
    }

    #[test]
    fn the_store_and_the_model_of_the_simulation_agree(steps in proptest::collection::vec(0..7_u8, 1..60)) {
        let machine = Machine::default();
        let (mut store, _) = machine.open();
        let mut history = History::new();
        store.write(&history.begin()).unwrap();
        for step in steps {
            store.write(&history.step(step)).unwrap();
        }
        drop(store);
        prop_assert_eq!(machine.open().1.cluster, history.image.recover());
    }
}

/// Makes operations such as a node makes them, and the image that they lead to.
struct History {
    image: Image,
    state: State,
    membership: Membership,
    number: u64,
}

impl History {
    fn new() -> Self {
        let membership = Membership::founding([(node(), StoreId(7)), ("b".into(), StoreId(8))]).unwrap();
        Self { image: Image::default(), state: State::new(10), membership, number: 0 }
    }

    fn begin(&mut self) -> Vec<Operation> {
        let snapshot = self.state.snapshot(&self.membership);
        self.done(vec![Operation::Replace(snapshot), Operation::Begin(0)])
    }

    /// Takes up the state that the image has.
    fn resume(&mut self) {
        let (snapshot, _) = self.image.recover().expect("the first batch was synced");
        self.membership = snapshot.header.membership.clone();
        self.state = State::from_snapshot(snapshot, 10);
    }

    fn step(&mut self, step: u8) -> Vec<Operation> {
        match step {
            0 | 1 => self.append(1 + usize::from(step) * 20),
            2 => self.promise(),
            3 => self.decide(),
            4 => self.apply_and_trim(),
            5 => self.rewrite(),
            _ => self.next_configuration(),
        }
    }

    fn append(&mut self, entries: usize) -> Vec<Operation> {
        let index = self.acceptor().end();
        let entries = (0..entries).map(|_| self.entry()).collect();
        self.done(vec![Operation::Append { index, entries }])
    }

    fn promise(&mut self) -> Vec<Operation> {
        self.number += 1;
        let ballot = Ballot::with(1, u32::try_from(self.number).unwrap(), 0, 1);
        self.done(vec![Operation::Promise(ballot), Operation::AcceptedRound(ballot)])
    }

    fn decide(&mut self) -> Vec<Operation> {
        let places = self.acceptor().end();
        self.done(vec![Operation::Decided(places)])
    }

    fn apply_and_trim(&mut self) -> Vec<Operation> {
        let acceptor = self.acceptor();
        let applied = self.state.revision().0 - self.membership.base.0;
        for place in applied..acceptor.decided.min(acceptor.end()) {
            self.state.apply(acceptor.entry(place).unwrap());
        }
        let place = (self.state.revision().0 - self.membership.base.0).saturating_sub(3).max(acceptor.start);
        let changes = self.state.take_changes(&self.membership);
        self.done(vec![Operation::Changes(changes), Operation::Trim(place)])
    }

    /// Another leader had something else behind what is decided.
    fn rewrite(&mut self) -> Vec<Operation> {
        let index = self.acceptor().decided.min(self.acceptor().end());
        let entries = vec![self.entry(), self.entry()];
        self.done(vec![Operation::Append { index, entries }])
    }

    fn next_configuration(&mut self) -> Vec<Operation> {
        let mut batch = self.decide();
        batch.extend(self.apply_and_trim());
        self.state.skip();
        self.membership.configuration.0 += 1;
        self.membership.base = self.state.revision();
        let changes = self.state.take_changes(&self.membership);
        batch.extend(self.done(vec![Operation::Changes(changes), Operation::Begin(0)]));
        batch
    }

    fn done(&mut self, batch: Vec<Operation>) -> Vec<Operation> {
        batch.iter().for_each(|operation| self.image.apply(operation));
        batch
    }

    fn acceptor(&self) -> Acceptor {
        self.image.recover().expect("it has begun").1
    }

    fn entry(&mut self) -> Entry {
        self.number += 1;
        let change = match self.number % 5 {
            0 => Change::Register { nonce: self.number },
            1 => Change::Delete { name: "a".parse().unwrap(), expected: Some(Generation(1)) },
            _ => Change::Put { name: "a".parse().unwrap(), value: Value::new(MARK).unwrap(), expected: None },
        };
        Entry::Command(Arc::new(Command {
            ticket: Ticket { node: Pid(1), boot: 1, number: self.number },
            client: ClientId::new(self.number / 5 * 5, Revision(1)),
            sequence: Sequence(self.number),
            author: "somebody".into(),
            time: UnixMillis(1),
            change,
        }))
    }
}

fn open(directory: &Path) -> (Store, Recovered) {
    Store::open(directory, &node(), StoreId(7)).unwrap()
}

fn node() -> NodeName {
    "a".into()
}

/// Stands in values, to be found in the file.
const MARK: &[u8] = b"to be found in the file again";

/// A machine whose disk is in memory.
#[derive(Debug, Default)]
struct Machine {
    database: Volatile,
    journal: Volatile,
}

impl Machine {
    fn open(&self) -> (Store, Recovered) {
        let (database, journal) = (self.database.clone(), self.journal.clone());
        let Ok(opened) = Store::open_on(database, journal, &node(), StoreId(7)) else { panic!("the disk can be used") };
        opened
    }

    /// Dies after so many writes and syncs.
    fn die_after(&self, writes: usize) {
        let left = Arc::new(Mutex::new(writes));
        for file in [&self.database, &self.journal] {
            file.0.lock().unwrap().left = Some(Arc::clone(&left));
        }
    }

    fn crash(&self, seed: u64) -> Self {
        Self { database: self.database.crash(seed), journal: self.journal.crash(!seed) }
    }
}

/// A file that forgets, when the machine dies, some of what was not synced: sector by sector.
#[derive(Clone, Debug, Default)]
struct Volatile(Arc<Mutex<Sectors>>);

#[derive(Clone, Debug, Default)]
struct Sectors {
    synced: Vec<u8>,
    seen: Vec<u8>,
    /// Where it was written since the last sync.
    written: Vec<(usize, usize)>,
    /// So many more writes and syncs of the machine work.
    left: Option<Arc<Mutex<usize>>>,
}

impl Volatile {
    /// The file as it is found after the machine has died.
    fn crash(&self, seed: u64) -> Self {
        let sectors = self.0.lock().unwrap();
        let mut found = sectors.synced.clone();
        found.resize(sectors.seen.len().max(found.len()), 0);
        let mut chance = seed | 1;
        for (from, to) in &sectors.written {
            for start in (*from..*to).step_by(SECTOR) {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let end = (start + SECTOR).min(*to).min(sectors.seen.len());
                if chance >> 63 == 1 && start < end {
                    found[start..end].copy_from_slice(&sectors.seen[start..end]);
                }
            }
        }
        Self(Arc::new(Mutex::new(Sectors { synced: found.clone(), seen: found, written: Vec::new(), left: None })))
    }
}

impl Sectors {
    fn works(&self) -> Result<(), std::io::Error> {
        let Some(left) = &self.left else { return Ok(()) };
        let mut left = left.lock().unwrap();
        *left = left.checked_sub(1).ok_or_else(|| std::io::Error::other("the machine has died"))?;
        Ok(())
    }
}

impl StorageBackend for Volatile {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().seen[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        let mut sectors = self.0.lock().unwrap();
        sectors.works()?;
        sectors.seen.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        let mut sectors = self.0.lock().unwrap();
        sectors.works()?;
        sectors.synced = sectors.seen.clone();
        sectors.written.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        let mut sectors = self.0.lock().unwrap();
        sectors.works()?;
        let start = usize::try_from(offset).unwrap();
        sectors.seen[start..start + data.len()].copy_from_slice(data);
        sectors.written.push((start, start + data.len()));
        Ok(())
    }
}

const SECTOR: usize = 512;
