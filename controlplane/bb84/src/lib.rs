//! A simulated QKD link that really runs the protocol: BB84 over a lossy, noisy and perhaps overheard channel, and all that
//! follows it over an authenticated classical channel until both ends hold the same secret bits.

#![forbid(unsafe_code)]
