//! Any bytes from one filter to the next: what the first one protects the second one takes, and if it was changed on the way takes it as it
//! was, or not at all.

#![no_main]

#[path = "../../dataplane/pipeline/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use photongate_pipeline::{Action, Verdict};
use std::cell::RefCell;
use support::packets::udp;
use support::{A, B, Filter, INSIDE, NOW, OUTSIDE};

struct Filters {
    packets: u32,
    near: Filter,
    far: Filter,
    /// As far, but nothing was ever changed on the way to it.
    undisturbed: Filter,
}

impl Filters {
    fn new() -> Self {
        let near = A.filter(NOW, |settings| settings.clamp_mss = true);
        let [far, undisturbed] = [(), ()].map(|()| B.filter(NOW, |_| ()));
        Self { packets: 0, near, far, undisturbed }
    }
}

thread_local! {
    static FILTERS: RefCell<Filters> = RefCell::new(Filters::new());
}

// The first three bytes say which byte is changed on the way, if any, and how. If the next one is even the rest is a packet, else what is in one.
fuzz_target!(|bytes: &[u8]| {
    let Some(([high, low, change, kind], rest)) = bytes.split_first_chunk() else { return };
    let packet = match kind % 4 {
        0 | 2 => rest.to_vec(),
        1 => udp("10.248.1.1", "10.248.2.1", (1000, 2000), rest),
        _ => udp("fd00:248:1::1", "fd00:248:2::1", (1000, 2000), rest),
    };
    FILTERS.with_borrow_mut(|filters| {
        // Time stands still here, and what is remembered of one moment is an estimate, which must not fill up.
        if filters.packets == MOST {
            *filters = Filters::new();
        }
        let Filters { packets, near, far, undisturbed } = filters;
        *packets += 1;
        let (sent, protected) = near.judge(INSIDE, NOW, &packet);
        if sent.verdict != Verdict::Outbound {
            return;
        }
        let (taken, original) = undisturbed.judge(OUTSIDE, NOW, &protected);
        assert_eq!(taken.verdict, Verdict::Accepted);

        let mut changed = protected;
        if let Some(byte) = changed.get_mut(usize::from(u16::from_be_bytes([*high, *low]))) {
            *byte ^= change;
        }
        let (outcome, after) = far.judge(OUTSIDE, NOW, &changed);
        match outcome.verdict {
            Verdict::Accepted => assert_eq!(lasting(&after), lasting(&original)),
            _ if *change == 0 => panic!("{outcome:?} here, and there {taken:?}"),
            _ => {}
        }
        if outcome.action == Action::Discard {
            assert_eq!(after, changed, "what is discarded stays as it was");
        }
    });
});

/// What routers have no business with: the protocol, the addresses, and all behind them. The rest of the IP header may change on the way, such as
/// the hop limit or the flow label, and is not protected.
fn lasting(frame: &[u8]) -> (u8, &[u8]) {
    let is_tagged = |at: usize| matches!(frame[at..at + 2], [0x81, 0] | [0x88, 0xa8]);
    let mut ether_type = 12;
    while is_tagged(ether_type) {
        ether_type += 4;
    }
    let packet = &frame[ether_type + 2..];
    if packet[0] >> 4 == 4 { (packet[9], &packet[12..]) } else { (packet[6], &packet[8..]) }
}

/// Packets that go through the same filters.
const MOST: u32 = 500;
