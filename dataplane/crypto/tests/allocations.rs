//! No backend allocates: the packet path cannot wait for an allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use photongate_crypto::{CmacJob, Digest, HashJob, Input, Key, MacJob, Tag, backend};

#[test]
fn no_backend_allocates() {
    let keys: Vec<_> = (0..BURST).map(|n| Key::from_bytes([n as u8; 16])).collect();
    // Of different lengths, so that there is something to sort.
    let payloads: Vec<_> = (0..BURST).map(|n| vec![n as u8; n * 7919 % 1500]).collect();
    let [host_as, host_host] = [Input::new(&[1; 20]), Input::new(&[2; 6])];
    let macs: Vec<_> = keys.iter().map(|as_as| MacJob { as_as, host_as, host_host, message: [[3; 16]; 2] }).collect();
    let cmacs: Vec<_> = keys
        .iter()
        .zip(&payloads)
        .map(|(as_as, data)| CmacJob { as_as, host_as, host_host, head: [[3; 16]; 2], data })
        .collect();
    let hashes: Vec<_> = payloads.iter().map(|data| HashJob { data }).collect();
    for backend in backend::every_kind() {
        let before = ALLOCATIONS.get();
        for count in 1..=BURST {
            backend.macs(&macs[..count], &mut [Tag::default(); BURST][..count]);
            backend.cmacs(&cmacs[..count], &mut [Tag::default(); BURST][..count]);
            backend.sha1(&hashes[..count], &mut [Digest::default(); BURST][..count]);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{backend:?}");
    }
    let before = ALLOCATIONS.get();
    black_box(Box::new(0));
    assert_eq!(ALLOCATIONS.get() - before, 1, "the allocator counts");
}

const BURST: usize = 64;

/// The system's allocator, counting what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: `System` does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System`, through `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
