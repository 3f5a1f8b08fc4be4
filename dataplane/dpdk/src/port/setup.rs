//! The calls that set a port up, in the order drivers need them.

use photongate_dpdk_sys as sys;

use super::{Downgrade, Granted, PortConfig, PortError, PortInfo};
use crate::{Errno, Mempool};

/// Configures a stopped port as near to `config` as its abilities allow.
pub(super) fn configure(id: u16, info: &PortInfo, config: &PortConfig, pool: &Mempool) -> Result<Granted, PortError> {
    let mut granted = plan(info, config, pool.data_room());
    let scatter = info.rx_scatter && frame_length(granted.mtu) > u32::from(pool.data_room());
    let refused = |action| move |errno| PortError::refused(&info.name, action, errno);

    if let Err(errno) = apply(id, info, config, &granted, scatter) {
        // Some drivers claim more than they do. Receive-side scaling is where they disagree most.
        if !granted.rss_over_addresses {
            return Err(refused("be configured")(errno));
        }
        granted.rss_over_addresses = false;
        granted.downgrades.push(Downgrade::Rss);
        apply(id, info, config, &granted, scatter).map_err(refused("be configured"))?;
    }

    // Drivers of virtual devices take the MTU only from this call, and some do not know it at all.
    // SAFETY: the caller holds the port, and it is stopped.
    let _ = unsafe { sys::rte_eth_dev_set_mtu(id, granted.mtu) };

    // SAFETY: the caller holds the port, and both numbers can be written.
    let status = unsafe {
        sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut granted.rx_descriptors, &raw mut granted.tx_descriptors)
    };
    Errno::check(status).map_err(refused("have queues of that size"))?;
    let socket = info.socket.unwrap_or(0);
    for queue in 0..granted.rx_queues {
        // SAFETY: the caller holds the port, it is stopped, and pools are never freed.
        let status = unsafe { sys::pg_port_rx_queue(id, queue, granted.rx_descriptors, socket, pool.as_ptr()) };
        Errno::check(status).map_err(refused("set up a receive queue"))?;
    }
    for queue in 0..granted.tx_queues {
        // SAFETY: the caller holds the port, and it is stopped.
        let status = unsafe { sys::pg_port_tx_queue(id, queue, granted.tx_descriptors, socket) };
        Errno::check(status).map_err(refused("set up a transmit queue"))?;
    }
    if config.promiscuous && set_promiscuous(id, true).is_err() {
        granted.downgrades.push(Downgrade::Promiscuous);
    }
    Ok(granted)
}

/// Starts a configured port, and spreads its redirection table over the queues.
pub(super) fn start(id: u16, info: &PortInfo, granted: &Granted) -> Result<(), PortError> {
    // SAFETY: the caller holds the port, and it is configured and stopped.
    let status = unsafe { sys::rte_eth_dev_start(id) };
    Errno::check(status).map_err(|errno| PortError::refused(&info.name, "start", errno))?;
    if granted.rss_over_addresses {
        // A driver that keeps its own table has spread it evenly already.
        // SAFETY: the caller holds the port, and the table is as long as the driver says.
        let _ = unsafe { sys::pg_port_spread(id, info.reta_size, granted.rx_queues) };
    }
    Ok(())
}

pub(super) fn set_promiscuous(id: u16, is_on: bool) -> Result<(), Errno> {
    // SAFETY: the caller holds the port.
    let status =
        unsafe { if is_on { sys::rte_eth_promiscuous_enable(id) } else { sys::rte_eth_promiscuous_disable(id) } };
    Errno::check(status).map(drop)
}

pub(super) fn extended_stats(id: u16) -> Result<Vec<(String, u64)>, Errno> {
    // SAFETY: the caller holds the port. With no room given, DPDK only says how many there are.
    let count = Errno::check(unsafe { sys::rte_eth_xstats_get_names(id, std::ptr::null_mut(), 0) })?;
    let mut names = vec![sys::rte_eth_xstat_name::default(); count as usize];
    // SAFETY: the caller holds the port, and `names` has room for `count`.
    let named = Errno::check(unsafe { sys::rte_eth_xstats_get_names(id, names.as_mut_ptr(), count) })?;
    let mut values = vec![sys::rte_eth_xstat::default(); count as usize];
    // SAFETY: the caller holds the port, and `values` has room for `count`.
    let valued = Errno::check(unsafe { sys::rte_eth_xstats_get(id, values.as_mut_ptr(), count) })?;
    names.truncate(named as usize);
    values.truncate(valued as usize);
    let name = |id: u64| names.get(id as usize).map(|name| super::config::text(&name.name));
    Ok(values.iter().filter_map(|value| Some((name(value.id)?, value.value))).collect())
}

/// What can be had of what is wanted.
fn plan(info: &PortInfo, config: &PortConfig, buffer: u16) -> Granted {
    let mut downgrades = Vec::new();
    let rx_queues = config.rx_queues.min(info.max_rx_queues.max(1));
    if rx_queues < config.rx_queues {
        downgrades.push(Downgrade::RxQueues { wanted: config.rx_queues, granted: rx_queues });
    }
    let tx_queues = config.tx_queues.min(info.max_tx_queues.max(1));
    if tx_queues < config.tx_queues {
        downgrades.push(Downgrade::TxQueues { wanted: config.tx_queues, granted: tx_queues });
    }
    let wanted = config.mtu.unwrap_or(info.mtu);
    let mtu = wanted.min(info.max_mtu).max(info.min_mtu);
    if mtu != wanted {
        downgrades.push(Downgrade::Mtu { wanted, granted: mtu });
    }
    if frame_length(mtu) > u32::from(buffer) && !info.rx_scatter {
        downgrades.push(Downgrade::Scatter { frame: frame_length(mtu), buffer });
    }
    let rss_over_addresses = rx_queues > 1 && info.rss_over_addresses;
    if config.rx_queues > 1 && !rss_over_addresses {
        downgrades.push(Downgrade::Rss);
    }
    let tx_ip_checksum = config.checksums && info.tx_ip_checksum;
    if config.checksums && !tx_ip_checksum {
        downgrades.push(Downgrade::TxIpChecksum);
    }
    let tx_udp_checksum = config.checksums && info.tx_udp_checksum;
    if config.checksums && !tx_udp_checksum {
        downgrades.push(Downgrade::TxUdpChecksum);
    }
    Granted {
        rx_queues,
        tx_queues,
        rx_descriptors: config.rx_descriptors,
        tx_descriptors: config.tx_descriptors,
        mtu,
        rss_over_addresses,
        rx_checksums: config.checksums && info.rx_checksums,
        tx_ip_checksum,
        tx_udp_checksum,
        tx_multi_segment: info.tx_multi_segment,
        downgrades,
    }
}

fn apply(id: u16, info: &PortInfo, config: &PortConfig, granted: &Granted, rx_scatter: bool) -> Result<(), Errno> {
    let length = if info.hash_key_size == 0 { config.rss_key.len() } else { usize::from(info.hash_key_size) };
    let key: Vec<u8> = config.rss_key.iter().copied().cycle().take(length).collect();
    let raw = sys::pg_port_conf {
        rx_queues: granted.rx_queues,
        tx_queues: granted.tx_queues,
        mtu: granted.mtu,
        rss_key: if granted.rss_over_addresses { key.as_ptr() } else { std::ptr::null() },
        rss_key_length: u8::try_from(key.len()).unwrap_or(u8::MAX),
        rx_scatter,
        rx_checksum: granted.rx_checksums,
        tx_ip_checksum: granted.tx_ip_checksum,
        tx_udp_checksum: granted.tx_udp_checksum,
        tx_multi_segment: granted.tx_multi_segment,
    };
    // SAFETY: the caller holds the port, it is stopped, and `raw` and `key` live until the call returns.
    Errno::check(unsafe { sys::pg_port_configure(id, &raw const raw) }).map(drop)
}

/// Bytes of the longest frame: the IP packet, the Ethernet header and two 802.1Q tags.
fn frame_length(mtu: u16) -> u32 {
    u32::from(mtu) + 14 + 8
}

#[cfg(test)]
mod tests;
