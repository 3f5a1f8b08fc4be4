//! The `photongate` binary.

fn main() {}
