//! `rte_hash` from fixed keys to pointers, with the rules of who may call what left to the caller.

use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use photongate_dpdk_sys as sys;

use crate::Errno;

/// A table of pointers to `V`. Look-ups may run on any thread at any time; everything else is for one thread at a time.
pub(super) struct RawTable<V, const N: usize> {
    raw: NonNull<sys::rte_hash>,
    values: PhantomData<NonNull<V>>,
}

// SAFETY: the table was made for one writer with lock-free readers, and the writer's methods are only called by
// `Writer`, of which there is one. What is shared through it are values, which must therefore be both `Send` and
// `Sync`.
unsafe impl<V: Send + Sync, const N: usize> Send for RawTable<V, N> {}
// SAFETY: as above.
unsafe impl<V: Send + Sync, const N: usize> Sync for RawTable<V, N> {}

/// Where a key is kept in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(i32);

/// Keys that are looked up in one call.
///
/// DPDK takes 64, but in all versions to 24.11 shifts a 64-bit one by their number to see whether all were found:
/// with 64 keys of which none is in a main bucket, it does not look into the extended ones.
pub(super) const MOST_AT_ONCE: usize = sys::RTE_HASH_LOOKUP_BULK_MAX as usize / 2;

impl<V, const N: usize> RawTable<V, N> {
    pub(super) fn create(slots: u32, socket: Option<u32>) -> Result<Self, Errno> {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("photongate_{number}")).expect("no zero byte in the format");
        let socket = socket.map_or(-1, |socket| socket as c_int);
        // SAFETY: DPDK copies the name; the caller shows that the environment is up.
        let raw = unsafe { sys::pg_hash_create(name.as_ptr(), slots, N as u32, socket) };
        NonNull::new(raw).map(|raw| Self { raw, values: PhantomData }).ok_or_else(Errno::last)
    }

    /// Writes the value of each key that is there, and leaves the places of the others as they are.
    ///
    /// # Panics
    /// When there are more than [`MOST_AT_ONCE`] keys, or not as many values.
    #[inline]
    pub(super) fn look_up_bulk(&self, keys: &[[u8; N]], values: &mut [Option<NonNull<V>>]) {
        assert!(keys.len() <= MOST_AT_ONCE && keys.len() == values.len());
        if keys.is_empty() {
            return;
        }
        let mut pointers = [ptr::null::<c_void>(); MOST_AT_ONCE];
        for (pointer, key) in pointers.iter_mut().zip(keys) {
            *pointer = key.as_ptr().cast();
        }
        let mut hits = 0_u64;
        // SAFETY: `pointers` begin with as many keys of the table's length as said, at most what DPDK takes, and
        // there are as many values. A hit puts a pointer there that the writer set, not null, so it is an
        // `Option<NonNull<V>>`. Readers need no lock in a table made with RW_CONCURRENCY_LF.
        unsafe {
            sys::rte_hash_lookup_bulk_data(
                self.raw.as_ptr(),
                pointers.as_mut_ptr(),
                keys.len() as u32,
                &raw mut hits,
                values.as_mut_ptr().cast(),
            );
        }
    }

    #[inline]
    pub(super) fn look_up(&self, key: &[u8; N]) -> Option<NonNull<V>> {
        let mut data = ptr::null_mut();
        // SAFETY: the key has the table's length, and `data` can be written. Readers need no lock.
        let slot = unsafe { sys::rte_hash_lookup_data(self.raw.as_ptr(), key.as_ptr().cast(), &raw mut data) };
        if slot < 0 { None } else { NonNull::new(data.cast()) }
    }

    /// Points the key to `value`, whether it is new or has one. For the writer.
    ///
    /// A value that it had is not returned, nor freed, in any version of DPDK.
    pub(super) fn set(&self, key: &[u8; N], value: NonNull<V>) -> Result<(), Errno> {
        // SAFETY: the key has the table's length. There is one writer, and it is here.
        let status =
            unsafe { sys::rte_hash_add_key_data(self.raw.as_ptr(), key.as_ptr().cast(), value.as_ptr().cast()) };
        Errno::check(status).map(drop)
    }

    /// Takes the key out of the table. Its slot stays taken, for readers may be comparing with the key there. For the
    /// writer.
    pub(super) fn unlink(&self, key: &[u8; N]) -> Option<Slot> {
        // SAFETY: the key has the table's length. There is one writer, and it is here.
        let slot = unsafe { sys::rte_hash_del_key(self.raw.as_ptr(), key.as_ptr().cast()) };
        (slot >= 0).then_some(Slot(slot))
    }

    /// Gives an unlinked key's slot back, and the bucket that went with it. For the writer, when all readers have
    /// quiesced since, once.
    pub(super) fn free(&self, slot: Slot) {
        // SAFETY: there is one writer, and it is here. A slot comes from `unlink`.
        let status = unsafe { sys::rte_hash_free_key_with_position(self.raw.as_ptr(), slot.0) };
        debug_assert_eq!(status, 0, "freeing fails only for slots out of range");
    }

    /// All keys and values. For the writer.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8; N], NonNull<V>)> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let (mut key, mut data) = (ptr::null(), ptr::null_mut());
            // SAFETY: all results can be written, and the writer, who alone could change the table meanwhile, is here.
            let slot = unsafe { sys::rte_hash_iterate(self.raw.as_ptr(), &raw mut key, &raw mut data, &raw mut next) };
            if slot < 0 {
                return None;
            }
            // SAFETY: the key lies in the table, has its length, and is not changed while the table is borrowed by
            // the writer.
            let key = unsafe { &*key.cast::<[u8; N]>() };
            Some((key, NonNull::new(data.cast()).expect("the writer puts in no null pointers")))
        })
    }
}

impl<V, const N: usize> Drop for RawTable<V, N> {
    fn drop(&mut self) {
        // SAFETY: the last user of the table is going.
        unsafe { sys::rte_hash_free(self.raw.as_ptr()) }
    }
}

/// Tables need names that differ; nobody reads them.
static CREATED: AtomicU32 = AtomicU32::new(0);
