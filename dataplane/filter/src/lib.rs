//! The filter's worker: ports, lcores, the key dictionary; joins the pipeline to DPDK.

#![forbid(unsafe_code)]
