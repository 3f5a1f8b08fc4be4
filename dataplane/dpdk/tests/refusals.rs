//! How the environment fails to come up. A process of its own: DPDK takes one try.

use photongate_dpdk::eal::Memory;
use photongate_dpdk::{Eal, EalConfig, EalError};

#[test]
fn what_is_wrong_beforehand_leaves_the_one_try_and_dpdks_own_refusal_uses_it_up() {
    let no_such_cpu = EalConfig { worker_cpus: vec![4095], ..EalConfig::default() };
    let error = Eal::init(no_such_cpu).unwrap_err();
    assert!(matches!(error, EalError::UnknownCpu { cpu: 4095, .. }), "{error}");

    let too_many_hugepages = EalConfig { memory: Memory::Hugepages { mib: u32::MAX }, ..EalConfig::default() };
    let error = Eal::init(too_many_hugepages).unwrap_err();
    assert!(matches!(error, EalError::NotEnoughHugepages { wanted_mib: u32::MAX, .. }), "{error}");

    let unknown_argument = EalConfig { raw_arguments: vec!["--no-such-thing".to_owned()], ..EalConfig::default() };
    let error = Eal::init(unknown_argument).unwrap_err();
    let EalError::InvalidArguments { log } = &error else { panic!("{error}") };
    assert!(log.iter().any(|line| line.contains("no-such-thing")), "{log:?}");

    assert_eq!(Eal::init(EalConfig::default()).unwrap_err(), EalError::AlreadyInitialised);
}
