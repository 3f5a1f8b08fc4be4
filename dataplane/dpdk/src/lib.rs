//! Safe wrapper over DPDK.
