//! Any bytes through the whole pipeline: one verdict each, counted once, and what is discarded stays as it was.

#![no_main]

#[path = "../../dataplane/pipeline/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use photongate_pipeline::{Action, PortIndex};
use std::cell::RefCell;
use support::{B, Filter, NOW};

thread_local! {
    static FILTER: RefCell<Filter> = RefCell::new(B.filter(NOW, |settings| settings.clamp_mss = true));
}

// The first byte is the port by which the packet arrives; one of the four there is not.
fuzz_target!(|bytes: &[u8]| {
    let Some((port, packet)) = bytes.split_first() else { return };
    FILTER.with_borrow_mut(|filter| {
        let before = filter.pipeline.counters().snapshot().received().packets;
        let (outcome, after) = filter.judge(PortIndex(port % 4), NOW, packet);
        let tally = filter.pipeline.counters().snapshot();
        assert_eq!(tally.received().packets, before + 1);
        assert_eq!(outcome.verdict.is_forwarded(), matches!(outcome.action, Action::Forward | Action::Kernel));
        if outcome.action == Action::Discard {
            assert_eq!(after, packet);
        }
    });
});
