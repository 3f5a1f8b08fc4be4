//! `[lf]` and `[keys]`.

use super::*;

#[test]
fn bad_lf_settings_are_refused() {
    refused("[lf]\nport = 0", "lf.port: 0 is too small: 1 to 65535");
    refused("[lf]\nlf2_port = 0", "lf.lf2_port: 0 is too small: 1 to 65535");
    refused(
        "[lf]\nport = 49148",
        "lf.lf2_port: 49148 is both lf.port and lf.lf2_port: the encapsulations are told apart by their ports",
    );
    refused("[lf]\ndrkey_protocol = 65536", "lf.drkey_protocol: 65536 is too large: 0 to 65535");
    refused(
        "[lf]\nsource_port = \"random\"",
        r#"lf.source_port: "random" is not a choice here: write "fixed" or "flow""#,
    );
    refused(
        "[lf]\npublic_address = [\"192.0.2.1\", \"2001:db8::1\", \"192.0.2.2\"]",
        "lf.public_address[2]: 192.0.2.2 is a second IPv4 address beside 192.0.2.1: keep one",
    );
}

#[test]
fn bad_key_times_are_refused_with_the_numbers() {
    refused(
        "[keys]\nepoch = \"1h\"\nprefetch = \"1h\"",
        "keys.epoch: an epoch of 3600s is too short: with prefetch 3600s, grace 2s and time_threshold 1s it must be \
         at least 3603s",
    );
    refused("[keys]\nepoch = \"366d\"", "keys.epoch: \"366d\" is too long: at most 31536000s");
    refused("[keys]\ntime_threshold = \"181s\"", "keys.time_threshold: \"181s\" is too long: at most 180s");
    refused("[keys]\ntime_threshold = \"10us\"", "keys.time_threshold: \"10us\" is too short: at least 1ms");
    refused("[keys]\nmax_peers = 1_000_001", "keys.max_peers: 1000001 is too large: 1 to 1000000 peers");
}
