//! Any line by which nodes ask each other for values: questions and answers are read as they are written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_dht::transfer::{Answer, LONGEST_VALUE, parse_question, question};

fuzz_target!(|line: &[u8]| {
    if let Ok(key) = parse_question(line) {
        let written = question(key);
        assert_eq!(parse_question(written.trim_end().as_bytes()), Ok(key));
    }
    if let Ok(answer) = Answer::parse(line) {
        assert_eq!(Answer::parse(answer.line().trim_end().as_bytes()), Ok(answer));
        if let Answer::Value { size } = answer {
            assert!(size <= LONGEST_VALUE);
        }
    }
});
