//! What is decided about a packet: verdicts, stages, rate limits, duplicate suppression.

#![forbid(unsafe_code)]
