//! Which way keys travel: link state between key servers. Pure.
