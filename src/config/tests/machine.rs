//! `[workers]`, `[memory]`, `[dpdk]`, `[duplicates]`.

use super::*;

#[test]
fn a_network_card_without_hugepages_is_warned_about() {
    let text = MINIMAL.replace("net_tap0,iface=pg-in", "3b:00.0");
    let config = FilterConfig::parse(FILE.as_ref(), &text).unwrap();
    assert_eq!(
        config.warnings[0].to_string(),
        "filter.toml:4:10: ports[0].device: a network card without hugepages is slow, if it works at all: set memory.hugepages = true"
    );
}

#[test]
fn bad_workers_are_refused() {
    refused("[workers]\ncount = 0", "workers.count: 0 is too small: 1 to 128 workers");
    refused("[workers]\nburst = 0", "workers.burst: 0 is too small: 1 to 64 packets");
    refused("[workers]\ncores = [1, 1]", "workers.cores[1]: 1 is listed twice: each worker needs a core of its own");
    refused(
        "[workers]\ncores = []",
        "workers.cores: this is an empty list: name one core for each worker, or leave the field out",
    );
    refused(
        "[workers]\ncount = 2\ncores = [1]",
        "workers.cores: 2 workers and a list of 1 cores: give each worker one core",
    );
    let [problem] = &refusals("[workers]\ncrypto = \"abacus\"")[..] else { panic!("one problem is expected") };
    let start =
        "workers.crypto: \"abacus\" cannot be used: no crypto backend `abacus` on this machine: choose one of auto, ";
    assert!(problem.starts_with(start), "{problem}");
}

#[test]
fn there_are_as_many_workers_as_cores_are_listed() {
    let config = FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}[workers]\ncores = [2, 3]\n")).unwrap();
    assert_eq!(config.workers.count, 2);
}

#[test]
fn bad_memory_is_refused() {
    refused("[memory]\nmib = 1", "memory.mib: 1 is too small: 64 to 1048576 MiB");
    refused("[memory]\nbuffers = 100", "memory.buffers: 100 is too small: 1024 to 16777216 buffers");
    refused(
        "[memory]\nbuffers = 200_000",
        "memory.buffers: 200000 buffers take 452 MiB, and memory.mib is 256: raise it, or have fewer buffers",
    );
    let why = "cannot name files: use up to 32 letters, digits, `-` and `_`";
    refused("[dpdk]\nname = \"../x\"", &format!("dpdk.name: \"../x\" {why}"));
    refused("[dpdk]\nname = \"\"", &format!("dpdk.name: \"\" {why}"));
    refused("[dpdk]\narguments = \"--log-level=8\"", "dpdk.arguments: this is text: write a list in brackets: [ … ]");
}

#[test]
fn bad_duplicate_filters_are_refused() {
    refused(
        "[duplicates]\npackets_per_second = 0",
        "duplicates.packets_per_second: 0 is too small: 1 to 10000000000 packets per second",
    );
    refused(
        "[duplicates]\nfalse_positive_rate = 0.2",
        "duplicates.false_positive_rate: 0.2 is out of range: 1e-12 to 1e-1",
    );
    refused("[duplicates]\nmemory_limit_mib = 0", "duplicates.memory_limit_mib: 0 is too small: 1 to 1048576 MiB");
    let [problem] = &refusals("[duplicates]\nmemory_limit_mib = 1")[..] else { panic!("one problem is expected") };
    assert!(problem.starts_with("duplicates.memory_limit_mib: remembering 1000000 packets per second"), "{problem}");
    assert!(problem.contains("raise memory_limit_mib to "), "{problem}");
}

#[test]
fn a_duplicate_filter_that_is_off_may_be_as_large_as_it_likes() {
    let text = format!("{MINIMAL}[duplicates]\nenabled = false\nmemory_limit_mib = 1\n");
    assert!(FilterConfig::parse(FILE.as_ref(), &text).unwrap().duplicates.is_none());
}
