use super::*;

#[test]
fn a_capable_device_is_granted_everything() {
    let config = PortConfig { rx_queues: 4, tx_queues: 4, mtu: Some(1500), ..PortConfig::default() };
    let granted = plan(&capable(), &config, 2048);
    assert_eq!(granted.downgrades, []);
    assert!(granted.rss_over_addresses && granted.tx_ip_checksum && granted.tx_udp_checksum && granted.rx_checksums);
    assert_eq!((granted.rx_queues, granted.tx_queues, granted.mtu), (4, 4, 1500));
}

#[test]
fn queues_are_limited_to_what_the_device_has() {
    let config = PortConfig { rx_queues: 40, tx_queues: 20, ..PortConfig::default() };
    let granted = plan(&capable(), &config, 2048);
    assert_eq!((granted.rx_queues, granted.tx_queues), (16, 8));
    assert_eq!(
        granted.downgrades,
        [Downgrade::RxQueues { wanted: 40, granted: 16 }, Downgrade::TxQueues { wanted: 20, granted: 8 }]
    );
}

#[test]
fn the_mtu_stays_inside_the_devices_limits() {
    for (wanted, granted) in [(20, 68), (9702, 9600)] {
        let config = PortConfig { mtu: Some(wanted), ..PortConfig::default() };
        let plan = plan(&capable(), &config, 16384);
        assert_eq!((plan.mtu, plan.downgrades), (granted, vec![Downgrade::Mtu { wanted, granted }]));
    }
}

#[test]
fn long_frames_without_scatter_are_told_when_a_buffer_is_too_small_for_them() {
    let info = PortInfo { rx_scatter: false, ..capable() };
    let config = PortConfig { mtu: Some(9000), ..PortConfig::default() };
    assert_eq!(plan(&info, &config, 2048).downgrades, [Downgrade::Scatter { frame: 9022, buffer: 2048 }]);
    assert_eq!(plan(&info, &config, 9022).downgrades, []);
    assert_eq!(plan(&capable(), &config, 2048).downgrades, []);
}

#[test]
fn several_queues_without_scaling_over_addresses_are_told() {
    let info = PortInfo { rss_over_addresses: false, ..capable() };
    let config = PortConfig { rx_queues: 2, ..PortConfig::default() };
    let granted = plan(&info, &config, 2048);
    assert_eq!((granted.rss_over_addresses, granted.downgrades), (false, vec![Downgrade::Rss]));
}

#[test]
fn checksums_that_nobody_wants_are_neither_granted_nor_missed() {
    let info = PortInfo { tx_ip_checksum: true, tx_udp_checksum: false, ..capable() };
    let config = PortConfig { checksums: false, ..PortConfig::default() };
    let granted = plan(&info, &config, 2048);
    assert_eq!((granted.tx_ip_checksum, granted.downgrades), (false, vec![]));
    let granted = plan(&info, &PortConfig::default(), 2048);
    assert_eq!((granted.tx_ip_checksum, granted.downgrades), (true, vec![Downgrade::TxUdpChecksum]));
}

fn capable() -> PortInfo {
    PortInfo {
        name: "0000:3b:00.0".to_owned(),
        driver: "net_test".to_owned(),
        mac: [2, 0, 0, 0, 0, 1],
        socket: None,
        mtu: 1500,
        min_mtu: 68,
        max_mtu: 9600,
        max_rx_queues: 16,
        max_tx_queues: 8,
        reta_size: 128,
        hash_key_size: 40,
        rss_over_addresses: true,
        rx_scatter: true,
        rx_checksums: true,
        tx_ip_checksum: true,
        tx_udp_checksum: true,
        tx_multi_segment: true,
    }
}
