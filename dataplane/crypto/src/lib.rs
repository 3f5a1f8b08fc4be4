//! AES-CBC-MAC and SHA-1 for the packet path, one packet at a time or a burst at a time.

#![forbid(unsafe_code)]
