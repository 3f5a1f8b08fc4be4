use super::*;

#[test]
fn workers_are_pinned_and_the_main_lcore_floats_over_the_rest() {
    let config = EalConfig { worker_cpus: vec![3, 1], ..EalConfig::default() };
    assert_eq!(argument_after(&config, "--lcores"), "0@(0,2),1@3,2@1");
}

#[test]
fn the_main_lcore_shares_when_workers_take_every_processor() {
    let config = EalConfig { worker_cpus: vec![0, 1, 2, 3], ..EalConfig::default() };
    assert_eq!(argument_after(&config, "--lcores"), "0@(0,1,2,3),1@0,2@1,3@2,4@3");
}

#[test]
fn a_processor_that_is_not_there_is_named_with_those_that_are() {
    let config = EalConfig { worker_cpus: vec![1, 9], ..EalConfig::default() };
    let error = config.plan(&machine()).unwrap_err();
    assert_eq!(error.to_string(), "there is no processor 9 for this process; usable are 0-3");
}

#[test]
fn more_workers_than_lcores_are_refused() {
    let config = EalConfig { worker_cpus: vec![0; sys::RTE_MAX_LCORE as usize], ..EalConfig::default() };
    assert!(matches!(config.plan(&machine()).unwrap_err(), EalError::TooManyWorkers { .. }));
}

#[test]
fn too_few_hugepages_come_with_the_command_that_sets_some_aside() {
    let config = EalConfig { memory: Memory::Hugepages { mib: 1025 }, ..EalConfig::default() };
    let error = config.plan(&machine()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1025 MiB of hugepages are needed, 1024 MiB are free; set some aside with: \
         echo 513 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    );
}

#[test]
fn enough_hugepages_are_taken_in_memory() {
    let config = EalConfig { memory: Memory::Hugepages { mib: 1024 }, ..EalConfig::default() };
    let arguments = arguments(&config);
    assert!(arguments.contains(&"--in-memory".to_owned()) && !arguments.contains(&"--no-huge".to_owned()));
}

#[test]
fn more_memory_than_is_available_is_refused() {
    let config = EalConfig { memory: Memory::Ordinary { mib: 4097 }, ..EalConfig::default() };
    let error = config.plan(&machine()).unwrap_err();
    assert_eq!(error.to_string(), "4097 MiB of memory are needed, 4096 MiB are available");
}

#[test]
fn without_a_network_card_the_pci_bus_is_left_alone() {
    assert!(arguments(&EalConfig::default()).contains(&"--no-pci".to_owned()));
    let config = EalConfig { pci_devices: vec!["0000:3b:00.0".to_owned()], ..EalConfig::default() };
    assert!(!arguments(&config).contains(&"--no-pci".to_owned()));
    assert_eq!(argument_after(&config, "-a"), "0000:3b:00.0");
}

#[test]
fn an_argument_with_a_zero_byte_is_refused() {
    let config = EalConfig { raw_arguments: vec!["a\0b".to_owned()], ..EalConfig::default() };
    assert_eq!(config.plan(&machine()).unwrap_err(), EalError::ZeroByte { argument: "a\0b".to_owned() });
}

fn machine() -> Machine {
    Machine {
        cpus: (0..4).collect(),
        hugepages: vec![(2048, 256), (1024 * 512, 1)],
        default_hugepage_kib: 2048,
        available_mib: Some(4096),
    }
}

fn arguments(config: &EalConfig) -> Vec<String> {
    let plan = config.plan(&machine()).expect("the configuration fits the machine");
    plan.arguments.into_iter().map(|argument| argument.into_string().expect("UTF-8")).collect()
}

fn argument_after(config: &EalConfig, name: &str) -> String {
    let arguments = arguments(config);
    let position = arguments.iter().position(|argument| argument == name).expect("the argument is there");
    arguments[position + 1].clone()
}
