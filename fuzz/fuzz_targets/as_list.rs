//! Any bytes as an AS list, in TOML and in JSON: refused with a reason, or a list that comes back from every form it is written in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_agent::as_list::{AsList, Context, Format, Held, SecretFiles};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let context = Context { secret_files: SecretFiles::Trust, ..Context::default() };
    for format in [Format::Toml, Format::Json] {
        match AsList::read("list".as_ref(), text, format, &context) {
            Ok(read) => comes_back(&read.list, &context),
            Err(problems) => {
                assert!(problems.iter().len() > 0);
                let lines = text.lines().count().max(1) + 1;
                let position =
                    |problem: &photongate_net::config::Problem| problem.position.expect("it stands somewhere");
                assert!(problems.iter().all(|problem| position(problem).line <= lines));
                assert!(!problems.to_string().is_empty());
            }
        }
    }
});

fn comes_back(list: &AsList, context: &Context<'_>) {
    let prefixes: usize = list.peers().iter().map(|peer| peer.prefixes.len()).sum();
    assert_eq!(list.routes().len(), prefixes);
    let held = Context { held: Held::By(list), ..*context };
    for (format, text) in [(Format::Toml, list.to_toml()), (Format::Json, list.to_json())] {
        let shown = AsList::read("list".as_ref(), &text, format, &held).expect("what is shown is a list");
        assert!(list.difference(&shown.list).is_empty());
        assert_eq!(list.digest(), shown.list.digest());
    }
    let sealed = AsList::from_sealed(&list.to_sealable(), context).expect("what is sealed is a list");
    // Paths of files become absolute.
    assert_eq!(list.digest(), sealed.digest());
}
