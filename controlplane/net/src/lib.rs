//! What several roles share and no library gives: configuration loading and shutdown.

#![forbid(unsafe_code)]
